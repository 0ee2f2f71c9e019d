"""Ends what runs left that died with all that watched over them: the start of a run is also a recovery."""

from __future__ import annotations

from pathlib import Path

from orchestrator.errors import RunNotFoundError
from orchestrator.journal.runs import is_live, run_dir
from orchestrator.sandbox.orphans import remove_orphans
from orchestrator.workspaces.environment import remove_run_tmp, runs_with_tmp


def end_orphans() -> list[int]:
    """End every process of dead runs of this state folder; return their pids.

    A run that ended has no folder for temporary files any more, so that nothing is looked at without a
    dead one.
    """
    dead = [folder for run_id in runs_with_tmp() if (folder := _folder(run_id)) and not is_live(folder)]
    ended = remove_orphans(*dead) if dead else []
    for folder in dead:
        remove_run_tmp(folder.name)
    return ended


def end_run(folder: Path) -> list[int]:
    """End every process of a run whose lock the caller holds; return those that could not be ended."""
    remove_orphans(folder)
    left = remove_orphans(folder)
    if not left:
        remove_run_tmp(folder.name)
    return left


def _folder(run_id: str) -> Path | None:
    try:
        folder = run_dir(run_id)
    except RunNotFoundError:
        return None
    return folder if folder.is_dir() else None  # else it is of another state folder
