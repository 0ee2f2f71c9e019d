"""Lays out the graph of a run's tasks: the state before its first event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestrator.core.scheduler.budget import Budget, Ledger
from orchestrator.core.scheduler.halting import halt_rule
from orchestrator.core.scheduler.state import Node, SchedulerState, Stage, Terms
from orchestrator.model.result import Status
from orchestrator.model.task import Task


def initial_state(
    tasks: Sequence[Task],
    *,
    max_workers: int,
    halt: str = "never",
    retries: int = 0,
    budget: Budget | None = None,
    start_interval_s: float | None = None,
    terms: Mapping[str, Terms] | None = None,
    ended: Mapping[str, Status] | None = None,
    attempts: Mapping[str, int] | None = None,
    ledger: Ledger | None = None,
) -> SchedulerState:
    """Lay out the graph of `tasks`, whose needs are known to exist and to have no cycle.

    For a run that goes on: `ended` are the final statuses it has, `attempts` the numbers that are taken,
    `ledger` what was spent.
    """
    dependents: dict[str, list[str]] = {task.id: [] for task in tasks}
    for task in tasks:
        for need in _before(task):
            dependents[need].append(task.id)
    paths = _paths(tasks, dependents)
    nodes = {
        task.id: Node(
            id=task.id,
            index=index,
            needs=tuple(dict.fromkeys(task.needs)),
            after=task.variants,
            dependents=tuple(dependents[task.id]),
            counted=task.variant_of is None,
            retries=retries if task.retries is None else task.retries,
            path_s=paths[task.id],
            terms=(terms or {}).get(task.id, Terms()),
        )
        for index, task in enumerate(tasks)
    }
    statuses = dict(ended or {})
    return SchedulerState(
        nodes=nodes,
        max_workers=max_workers,
        halt=halt_rule(halt, sum(node.counted for node in nodes.values())),
        budget=budget or Budget(),
        start_interval_s=start_interval_s,
        stages={task.id: _stage(task, statuses) for task in tasks},
        statuses=statuses,
        earlier=frozenset(statuses),
        attempts=dict(attempts or {}),
        ledger=ledger or Ledger(),
    )


def _stage(task: Task, ended: Mapping[str, Status]) -> Stage:
    if task.id in ended:
        return Stage.ENDED
    met = all(ended.get(need) is Status.SUCCEEDED for need in task.needs) and all(
        variant in ended for variant in task.variants
    )
    return Stage.READY if met else Stage.BLOCKED


def _before(task: Task) -> tuple[str, ...]:
    """All that must have ended before the task starts."""
    return tuple(dict.fromkeys((*task.needs, *task.variants)))


def _paths(tasks: Sequence[Task], dependents: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Longest estimated path from each task to the end; a task without an estimate counts as the mean."""
    known = [task.estimate_s for task in tasks if task.estimate_s is not None]
    usual = sum(known) / len(known) if known else 1.0
    own = {task.id: usual if task.estimate_s is None else task.estimate_s for task in tasks}
    open_ends = {task_id: len(after) for task_id, after in dependents.items()}
    needs = {task.id: _before(task) for task in tasks}
    paths: dict[str, float] = {}
    last = [task_id for task_id, count in open_ends.items() if not count]
    while last:
        task_id = last.pop()
        paths[task_id] = own[task_id] + max((paths[after] for after in dependents[task_id]), default=0.0)
        for need in needs[task_id]:
            open_ends[need] -= 1
            if not open_ends[need]:
                last.append(need)
    return paths
