"""What the scheduler is told of each task besides its graph: accounts, prices, budgets, time limits."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace

from orchestrator.agents.logins import account
from orchestrator.config import BudgetKeys, OrchestratorConfig, split_time_limit
from orchestrator.core.plan import HOLDING_COST, RunPlan
from orchestrator.core.scheduler import (
    Admission,
    Amount,
    Budget,
    Ledger,
    Measured,
    SchedulerState,
    Terms,
    Told,
    initial_state,
)
from orchestrator.core.scheduler.budget import settle
from orchestrator.journal.state import RunState
from orchestrator.model.result import Status
from orchestrator.model.task import Task
from orchestrator.ports import Agent


def opening_state(
    plan: RunPlan,
    *,
    ended: Mapping[str, Status] | None = None,
    attempts: Mapping[str, int] | None = None,
    ledger: Ledger | None = None,
) -> SchedulerState:
    """Return the scheduler's state before its first event; the rest is for a run that goes on."""
    config = plan.config
    return initial_state(
        plan.tasks,
        max_workers=plan.max_workers,
        halt=config.halt,
        retries=config.retries,
        budget=_budget(config.budget),
        start_interval_s=config.start_interval,
        terms={task.id: _terms(config, task, choices(plan, task.id)) for task in plan.tasks},
        ended=ended,
        attempts=attempts,
        ledger=ledger,
    )


def ledger_of(config: OrchestratorConfig, tasks: Iterable[Task], state: RunState) -> Ledger:
    """Add up what the attempts of a run that goes on have spent so far."""
    ledger, usual = Ledger(), _budget(config.budget).usual
    for task in tasks:
        worker = state.workers.get(task.id)
        expected = Told(task.expected_cost_usd, task.expected_tokens)
        for attempt in worker.attempts if worker else ():
            ledger = settle(ledger, task.id, Told(*attempt.told), expected.over(usual))
    return ledger


def with_room(state: SchedulerState, measured: Measured) -> SchedulerState:
    """Return the state that knows a first measurement, before anything starts."""
    return replace(state, admission=Admission(measured.room, measured.kind, measured.detail, measured.floor))


def choices(plan: RunPlan, task_id: str) -> tuple[Agent, ...]:
    """The agents that a task may run with: its own, then those it may fall over to."""
    return (plan.agents[task_id], *plan.fallbacks.get(task_id, ()))


def time_limit(config: OrchestratorConfig, task: Task) -> tuple[float | None, float | None]:
    """Return the task's own time limit, else the run's for all tasks: in seconds, or as a percentage."""
    if task.timeout_s is not None or task.timeout_percent is not None:
        return task.timeout_s, task.timeout_percent
    return split_time_limit(config.task_timeout)


def _budget(keys: BudgetKeys) -> Budget:
    return Budget(
        cost=keys.cost,
        tokens=keys.tokens,
        usual=Amount(keys.expected_cost, keys.expected_tokens),
        at_once=keys.stop == "now",
    )


def _terms(config: OrchestratorConfig, task: Task, agents: tuple[Agent, ...]) -> Terms:
    if task.variants:  # it only chooses: no agent runs, nothing is spent
        return Terms(accounts=(f"the choice of {task.id}",), expected=Told(0.0, 0))
    env = {**_passed(config), **config.env, **task.env}
    return Terms(
        accounts=tuple(account(agent.name, env) for agent in agents),
        timeout_percent=time_limit(config, task)[1],
        expected=Told(task.expected_cost_usd, task.expected_tokens),
        max_cost=task.max_cost_usd or config.max_cost,
        holds_cost=all(agent.name in HOLDING_COST for agent in agents),
        budget=Budget(cost=task.budget_usd, tokens=task.budget_tokens),
    )


def _passed(config: OrchestratorConfig) -> dict[str, str]:
    return {name: os.environ[name] for name in config.pass_env if name in os.environ}
