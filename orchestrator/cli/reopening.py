"""What `resume` and `retry` share: find the run, open it again, carry it on, show its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.cli.execution import EXIT_CODES, carry_out
from orchestrator.cli.output import say
from orchestrator.cli.runs import pick_run
from orchestrator.cli.summary import show_end
from orchestrator.cli.tasks import read_tasks
from orchestrator.core.earlier import RESUME, unsuccessful
from orchestrator.core.resuming import reopened_run
from orchestrator.errors import InputError
from orchestrator.journal.state import RunState
from orchestrator.model.event import RunStatus

_ENDED = frozenset({RunStatus.SUCCEEDED, RunStatus.FAILED})


def go_on(
    run: str | None,
    repo: Path | None,
    choose: Callable[[RunState], Sequence[str]],
    *,
    reason: str,
    task_file: Path | None,
    options: Mapping[str, Any],
    events: str | None,
    show_progress: bool,
    as_json: bool,
) -> int:
    """Carry the run on with the workers that `choose` picks; return the exit code."""
    if events == "-" and as_json:
        raise InputError("--events - and --json both want stdout", hint="give only one of them")
    folder = pick_run(run, repo)
    given = read_tasks([task_file], (), {}) if task_file else None
    with reopened_run(folder, choose, reason=reason, given=given, options=options) as (plan, earlier):
        if not earlier.again and earlier.state.status in _ENDED:
            say(_nothing(earlier.state, reason))
            return EXIT_CODES[earlier.state.status]
        carried = carry_out(plan, events=events, show_progress=show_progress, earlier=earlier)
    if events != "-":
        show_end(carried, as_json=as_json)
    return EXIT_CODES[carried.status]


def named_tasks(state: RunState, ids: Sequence[str]) -> tuple[str, ...]:
    """The tasks to try again. Raises InputError for a name that the run has not."""
    if unknown := [task_id for task_id in ids if task_id not in state.workers]:
        raise InputError(
            f"the run {state.run_id} has no task {', '.join(map(ascii, unknown))}",
            hint=f"it has {', '.join(state.workers)}",
        )
    return unsuccessful(state, ids)


def _nothing(state: RunState, reason: str) -> str:
    if state.status is RunStatus.SUCCEEDED:
        return f"run {state.run_id} has ended: all {len(state.tasks)} tasks succeeded"
    hint = "; `orchestrator retry` tries what failed again" if reason == RESUME else ""
    return f"run {state.run_id} has ended: every task has its result{hint}"
