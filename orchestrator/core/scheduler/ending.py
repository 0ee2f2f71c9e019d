"""Ends workers, alone or all that have not started, and the run itself by its rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from orchestrator.core.scheduler.budget import Ledger
from orchestrator.core.scheduler.messages import Action, EndWorker, HaltRun, StopAttempt
from orchestrator.core.scheduler.state import Node, SchedulerState, Stage, Waiting
from orchestrator.model.outcome import TurnEnd
from orchestrator.model.result import Status

Step = tuple[SchedulerState, tuple[Action, ...]]
Fits = Callable[[SchedulerState, Node, Ledger], bool]

_WHY = {
    "timeout": ("run_timeout", "the run's time limit was reached"),
    "halt": ("halted", "the halt rule ended the run"),
    "budget": ("run_budget", "the run's budget is spent"),
    "interrupt": ("interrupted", "the run was interrupted"),
    "request": ("stopped", "the run was stopped on request"),
    "base_gate": ("base_gate", "the base commit fails its own gate, and `base_gate` is `require`"),
}


def staged(state: SchedulerState, changes: Mapping[str, Stage]) -> SchedulerState:
    """Return the state with some workers in other stages."""
    return replace(state, stages={**state.stages, **changes})


def without_waiting(state: SchedulerState, worker_ids: Iterable[str]) -> Mapping[str, Waiting]:
    """Return what the others wait for."""
    if not state.waiting:
        return state.waiting
    gone = set(worker_ids)
    return {worker_id: why for worker_id, why in state.waiting.items() if worker_id not in gone}


def end_worker(state: SchedulerState, first: EndWorker) -> Step:
    """End one worker, and with it all that can no longer start; make ready what now can."""
    stages, statuses = dict(state.stages), dict(state.statuses)
    actions: list[Action] = []
    ends = [first]
    for end in ends:
        stages[end.worker_id], statuses[end.worker_id] = Stage.ENDED, end.status
        actions.append(end)
        for dependent in state.nodes[end.worker_id].dependents:
            if stages[dependent] is not Stage.BLOCKED:
                continue
            node = state.nodes[dependent]
            if end.status is not Status.SUCCEEDED and end.worker_id in node.needs:
                stages[dependent] = Stage.ENDED
                ends.append(skip(dependent, end.worker_id, end.status))
            elif _may_start(node, statuses):
                stages[dependent] = Stage.READY
    waiting = without_waiting(state, (end.worker_id for end in ends))
    return replace(state, stages=stages, statuses=statuses, waiting=waiting), tuple(actions)


def _may_start(node: Node, statuses: Mapping[str, Status]) -> bool:
    return all(statuses.get(need) is Status.SUCCEEDED for need in node.needs) and all(
        before in statuses for before in node.after
    )


def skip(worker_id: str, need: str, status: Status) -> EndWorker:
    """End a worker whose need did not succeed."""
    words = status.value.replace("_", " ")
    message = f"not started: it needs `{need}`, which ended as {words}"
    return EndWorker(worker_id, Status.CANCELLED, "need_failed", message)


def halted_by_rule(state: SchedulerState) -> Step:
    """End the run if its halt rule is met."""
    if state.stopping:
        return state, ()
    counted = (
        status
        for worker_id, status in state.statuses.items()
        if worker_id not in state.earlier and state.nodes[worker_id].counted
    )
    detail = state.halt.met(counted, sum(node.counted for node in state.nodes.values()))
    return _halt(state, detail, "halt", at_once=state.halt.at_once) if detail else (state, ())


def halted_by_budget(state: SchedulerState, fits: Fits) -> Step:
    """End the run if its budget is spent, or if what is left is enough for nothing that could start.

    While something runs, it may turn out cheaper than what is reserved for it.
    """
    if state.stopping or not state.budget.limited:
        return state, ()
    ready = state.in_stage(Stage.READY)
    spent = state.budget.spent_by(state.ledger.spent)
    if not spent and (not ready or state.in_stage(Stage.RUNNING, Stage.DELAYED)):
        return state, ()
    if not spent and any(fits(state, state.nodes[worker_id], state.ledger) for worker_id in ready):
        return state, ()
    if not any(True for _ in _unstarted(state)) and not (spent and state.budget.at_once):
        return state, ()
    used = state.budget.describe(state.ledger.spent)
    detail = f"{used} are spent" + ("" if spent else ", the rest is not enough for another attempt")
    return _halt(state, detail, "budget", at_once=spent and state.budget.at_once)


def _halt(state: SchedulerState, detail: str, reason: str, *, at_once: bool) -> Step:
    if at_once:
        halted, actions = stop(state, reason, now=False)
    else:
        halted, actions = cancel(replace(state, stopping=reason), _unstarted(state), reason)
    return halted, (HaltRun(detail, reason), *actions)


def stop(state: SchedulerState, reason: str, *, now: bool) -> Step:
    """Let nothing new start and stop what runs; a second stop can only make it faster."""
    if state.stopping_now:
        return state, ()
    first = state.stopping or reason
    stops = tuple(StopAttempt(worker_id, first, now) for worker_id in state.running())
    stopped, cancelled = cancel(replace(state, stopping=first, stopping_now=now), _unstarted(state), first)
    return stopped, stops + cancelled


def _unstarted(state: SchedulerState) -> Iterable[str]:
    return state.in_stage(Stage.BLOCKED, Stage.READY, Stage.DELAYED)


def cancel(state: SchedulerState, worker_ids: Iterable[str], reason: str) -> Step:
    """End workers that hold no slot. Those that a quota parked can go on another day, and say so."""
    kind, why = _WHY.get(reason, ("stopped", f"the run was stopped ({reason})"))
    ends: list[Action] = []
    statuses, stages = dict(state.statuses), dict(state.stages)
    for worker_id in worker_ids:
        tried = state.attempts.get(worker_id, 0)
        words = f"not tried again after attempt {tried}" if tried else "not started"
        if worker_id in state.parked:
            limit = f"parked at a limit of {account_of(state, worker_id) or 'its agent'}"
            end = EndWorker(worker_id, Status.PARKED, TurnEnd.RATE_LIMITED.value, f"{limit}: {why}")
        else:
            end = EndWorker(worker_id, Status.CANCELLED, kind, f"{words}: {why}")
        ends.append(end)
        statuses[worker_id], stages[worker_id] = end.status, Stage.ENDED
    return replace(state, statuses=statuses, stages=stages, waiting={}), tuple(ends)


def account_of(state: SchedulerState, worker_id: str) -> str:
    """The account that the worker's newest attempt uses, or used."""
    return state.nodes[worker_id].terms.accounts[state.choices.get(worker_id, 0)]
