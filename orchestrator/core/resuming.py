"""Opens a run again that has ended or died: its lock, its state, its plan, a clean place to go on from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.config import OrchestratorConfig, workspaces_dir
from orchestrator.core.earlier import RESUME, Earlier, going_on
from orchestrator.core.plan import RunPlan, prepare
from orchestrator.core.variants import expand
from orchestrator.errors import InputError, JournalError
from orchestrator.executors.recovery import end_run
from orchestrator.git.history import list_branches
from orchestrator.journal.runs import RunLock, is_live, journal_path
from orchestrator.journal.state import RunState, fold
from orchestrator.journal.store import read_events
from orchestrator.journal.stored_plan import StoredPlan, load_plan
from orchestrator.journal.withheld import put_back
from orchestrator.journal.worker_state import WorkerState
from orchestrator.model.event import Event
from orchestrator.model.task import Task
from orchestrator.workspaces.leftovers import remove_leftovers
from orchestrator.workspaces.names import SHIELDS, attempt_of, workspace_name

#: Picks the workers that start again. Raises InputError.
Choose = Callable[[RunState], Sequence[str]]
#: Settings and tasks as a task file gives them now.
Given = tuple[OrchestratorConfig, tuple[Task, ...]]


@contextmanager
def reopened_run(
    folder: Path, choose: Choose, *, reason: str, given: Given | None = None, options: Mapping[str, Any]
) -> Iterator[tuple[RunPlan, Earlier]]:
    """Take over the run in `folder`, whose process is gone; the lock is given back at the end.

    `given` has the secret values that are not kept with the run; `options` count more than what the run
    began with. Raises InputError or JournalError before anything has changed.
    """
    if is_live(folder):
        raise InputError(
            f"the run {folder.name} is going",
            hint="`orchestrator status --watch` shows it",
        )
    lock = RunLock.acquire(folder)
    try:
        yield _reopen(folder, lock, choose, reason=reason, given=given, options=options)
    finally:
        lock.release()


def _reopen(
    folder: Path,
    lock: RunLock,
    choose: Choose,
    *,
    reason: str,
    given: Given | None,
    options: Mapping[str, Any],
) -> tuple[RunPlan, Earlier]:
    events = _events(folder)
    state = fold(events)
    if given is not None:
        given = (given[0], expand(given[1]))
    stored = put_back(load_plan(folder), given, os.environ)
    again = tuple(choose(state))
    plan = plan_again(stored, state, options)
    if left := end_run(folder):
        raise JournalError(
            f"processes of the run {folder.name} cannot be ended: {', '.join(map(str, left))}",
            hint="end them, then try again",
        )
    attempts = {worker.id: worker.attempt for worker in state.workers.values()}
    earlier = Earlier(
        folder=folder, lock=lock, reason=reason, events=events, state=state, again=again, attempts=attempts
    )
    return plan, _cleared(plan, earlier)


def _events(folder: Path) -> tuple[Event, ...]:
    events = tuple(read_events(journal_path(folder)))
    if not events:
        raise JournalError(
            f"the journal of the run {folder.name} is empty",
            hint="it died before it began: run it anew",
        )
    return events


def plan_again(stored: StoredPlan, state: RunState, options: Mapping[str, Any]) -> RunPlan:
    """Settle everything anew but what the work so far stands on: the base commit and the isolation."""
    said = stored.config.model_dump(by_alias=True, exclude_unset=True)
    given = {name: value for name, value in options.items() if value is not None}
    fixed = {"isolation": state.isolation}
    if stored.base_commit is not None:
        fixed["base"] = stored.base_commit
    return prepare(OrchestratorConfig(**{**said, **given, **fixed}), stored.tasks)


def _cleared(plan: RunPlan, earlier: Earlier) -> Earlier:
    """Put away the workspaces that nobody goes on in, their work committed; count every attempt there was."""
    directory = workspaces_dir() / earlier.run_id
    if plan.repository is None or plan.isolation == "none":
        return earlier
    going = set()
    for worker_id in earlier.again if earlier.reason == RESUME else ():
        if found := going_on(earlier.state.workers[worker_id]):
            going.add(workspace_name(worker_id, found.workspace))
    asked_for = {
        Path(worker.workspace).name
        for worker in earlier.state.workers.values()
        if worker.workspace and worker.kept and earlier.reason != RESUME
    }

    def abandoned(name: str) -> bool:
        worker_id, _ = attempt_of(name)
        if worker_id in earlier.again:
            return name not in going | asked_for
        return _is_overdue(earlier.state.workers.get(worker_id), plan.config.keep)

    left = remove_leftovers(
        plan.repository, earlier.run_id, directory, author=plan.config.author, only=abandoned
    )
    if left.faults:
        raise JournalError(
            f"what the run {earlier.run_id} left cannot be put away: {'; '.join(left.faults)}",
            hint="mend that, then try again",
        )
    return _counted(plan, earlier, directory)


def _is_overdue(worker: WorkerState | None, keep: str) -> bool:
    """Whether a workspace should have gone with its worker's success, but the run died before that."""
    if worker is None or worker.result is None or worker.kept or keep == "always":
        return False
    return worker.result.success


def _counted(plan: RunPlan, earlier: Earlier, directory: Path) -> Earlier:
    """A run may die before it recorded that an attempt began; its branch or shield is there all the same."""
    attempts = dict(earlier.attempts)
    prefix = f"orchestrator/{earlier.run_id}/"
    branches = list_branches(plan.repository.common_dir, prefix) if plan.repository else []
    shields = directory / SHIELDS
    names = [branch.removeprefix(prefix) for branch in branches]
    for name in [*names, *(entry.name for entry in shields.iterdir())] if shields.is_dir() else names:
        worker_id, number = attempt_of(name)
        if worker_id in attempts:
            attempts[worker_id] = max(attempts[worker_id], number)
    return replace(earlier, attempts=attempts)
