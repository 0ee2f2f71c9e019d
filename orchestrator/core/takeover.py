"""Taking over what an earlier run over the same repository has finished: `run --resume-failed`.

Tasks are known again by what they are to do (`core/content.py`), not by their id or place. Only results that
succeeded, and whose commit is still in the repository, are taken over; and none whose needs are done anew.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from orchestrator.core.content import content_digests
from orchestrator.core.plan import RunPlan
from orchestrator.errors import JournalError
from orchestrator.git.history import resolve_commits
from orchestrator.journal.runs import is_live, list_runs, run_dir
from orchestrator.journal.state import RunState, load_state
from orchestrator.model.result import Status, TaskResult
from orchestrator.model.task import Task


def take_over(plan: RunPlan) -> RunPlan:
    """Return the plan with the results that need not be had again; the same plan when there are none."""
    digests = content_digests(plan.config, plan.tasks, plan.agents)
    earlier = _newest_with(plan.folder, set(digests.values()))
    if earlier is None:
        warning = "no earlier run over this repository has any of these tasks: all of them start"
        return replace(plan, warnings=(*plan.warnings, warning))
    found = _matching(plan.tasks, digests, _succeeded(earlier))
    kept = _with_kept_needs(plan.tasks, _still_there(plan, found))
    names = {task.id: task.name for task in plan.tasks}
    results = {
        task_id: replace(
            result,
            worker_id=task_id,
            name=names[task_id],
            kept_from=result.kept_from or earlier.run_id,
        )
        for task_id, result in sorted(kept.items(), key=lambda item: list(names).index(item[0]))
    }
    return replace(plan, kept={**results, **_needless(plan.tasks, results)})


def _needless(tasks: tuple[Task, ...], kept: Mapping[str, TaskResult]) -> dict[str, TaskResult]:
    """Results for the variants of tasks that are taken over: none of them starts."""
    pairs = [(task, kept.get(task.variant_of or "")) for task in tasks if task.id not in kept]
    return {
        task.id: TaskResult(
            worker_id=task.id,
            name=task.name,
            agent=result.agent,
            status=Status.CANCELLED,
            error_kind="not_needed",
            error_message=f"not started: the result of `{task.variant_of}` is taken over",
            kept_from=result.kept_from,
        )
        for task, result in pairs
        if result is not None
    }


def _newest_with(folder: Path, digests: set[str]) -> RunState | None:
    for run_id in list_runs():
        place = run_dir(run_id)
        try:
            state = None if is_live(place) else load_state(place)
        except JournalError:
            continue
        if state is None or not state.repo or Path(state.repo).resolve() != folder.resolve():
            continue
        if digests & {worker.digest for worker in state.workers.values()}:
            return state
    return None


def _succeeded(state: RunState) -> dict[str, list[TaskResult]]:
    """Results that are durable and good, by what the task was to do."""
    found: dict[str, list[TaskResult]] = defaultdict(list)
    for worker in state.workers.values():
        if worker.digest and worker.result and worker.result.success:
            found[worker.digest].append(worker.result)
    return found


def _matching(
    tasks: tuple[Task, ...], digests: Mapping[str, str], results: dict[str, list[TaskResult]]
) -> dict[str, TaskResult]:
    """Give each task one result of its own; of several, the one under its id."""
    found: dict[str, TaskResult] = {}
    for by_id in (True, False):
        for task in tasks:
            left = results.get(digests[task.id], [])
            fitting = [result for result in left if not by_id or result.worker_id == task.id]
            if task.id not in found and fitting:
                found[task.id] = fitting[0]
                left.remove(fitting[0])
    return found


def _still_there(plan: RunPlan, found: Mapping[str, TaskResult]) -> dict[str, TaskResult]:
    """Leave out results whose work is gone; outside git there is none to look for."""
    if plan.repository is None or plan.isolation == "none":
        return dict(found)
    commits = [result.commit or "" for result in found.values()]
    there = resolve_commits(commits, git_dir=plan.repository.common_dir) if commits else []
    pairs = zip(found.items(), there, strict=True)
    return {task_id: result for (task_id, result), commit in pairs if commit and result.commit}


def _with_kept_needs(tasks: tuple[Task, ...], found: dict[str, TaskResult]) -> dict[str, TaskResult]:
    """Leave out what builds on work that is done anew."""
    needs = {task.id: task.needs for task in tasks}
    while stale := [task_id for task_id in found if not all(need in found for need in needs[task_id])]:
        for task_id in stale:
            del found[task_id]
    return found
