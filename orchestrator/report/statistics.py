"""What many runs say together of each agent and task: how often it succeeds, how long it takes, its cost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from orchestrator.journal.state import RunState
from orchestrator.model.result import Status, TaskResult

_Key = tuple[str | None, str]  #: repository, None for all of them, and name
#: Stopped, or waiting for somebody: they say nothing of an agent or a task.
_NOT_TRIED = frozenset({Status.CANCELLED, Status.PARKED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of the results of one agent, or of one task of one repository, over all runs given."""

    repo: str | None  #: None: over every repository
    name: str
    results: int  #: those that were tried to their end
    succeeded: int
    success_rate: float
    median_seconds: float
    attempts_per_result: float
    cost_usd: float | None  #: in all; None where no result tells one
    cost_unknown: int  #: results that tell none

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON's object."""
        return asdict(self)


def statistics(states: Iterable[RunState]) -> dict[str, list[Figures]]:
    """Return figures of `agents` and of `tasks`, the most used first; results of runs still going count.

    Each variant counts for its agent, and their task for itself.
    """
    found = [
        (state.repo, worker, worker.result)
        for state in states
        for worker in state.workers.values()
        if worker.result and worker.result.attempts and worker.result.status not in _NOT_TRIED
    ]
    by_agent = [((None, result.agent), result) for _, _, result in found if not result.variants]
    by_task = [((repo, worker.id), result) for repo, worker, result in found if worker.variant_of is None]
    return {"agents": _grouped(by_agent), "tasks": _grouped(by_task)}


def _grouped(found: Iterable[tuple[_Key, TaskResult]]) -> list[Figures]:
    groups: dict[_Key, list[TaskResult]] = {}
    for key, result in found:
        groups.setdefault(key, []).append(result)
    figures = [_figures(repo, name, results) for (repo, name), results in groups.items()]
    return sorted(figures, key=lambda each: (-each.results, each.name, each.repo or ""))


def _figures(repo: str | None, name: str, results: list[TaskResult]) -> Figures:
    succeeded = sum(result.success for result in results)
    costs = [result.usage.cost_usd for result in results if result.usage.cost_usd is not None]
    return Figures(
        repo=repo,
        name=name,
        results=len(results),
        succeeded=succeeded,
        success_rate=round(succeeded / len(results), 4),
        median_seconds=round(median(result.duration for result in results), 3),
        attempts_per_result=round(sum(result.attempts for result in results) / len(results), 2),
        cost_usd=round(sum(costs), 6) if costs else None,
        cost_unknown=len(results) - len(costs),
    )
