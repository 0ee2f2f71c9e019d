"""Clears away what ended runs left: workspaces always, their records when they are old enough."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.cli.runs import is_over
from orchestrator.config import OrchestratorConfig, workspaces_dir
from orchestrator.errors import JournalError, OrchestratorError
from orchestrator.executors.recovery import end_orphans
from orchestrator.git.repository import open_repository
from orchestrator.journal.runs import is_live, list_runs, run_dir
from orchestrator.journal.state import load_state
from orchestrator.workspaces.environment import remove_run_tmp
from orchestrator.workspaces.hub import remove_unused_hubs
from orchestrator.workspaces.leftovers import remove_leftovers


@dataclass(slots=True, kw_only=True)
class Sweep:
    """What is taken away of one run, or would be."""

    run_id: str
    workspaces: list[str] = field(default_factory=list)
    branches_kept: list[str] = field(default_factory=list)
    record_removed: bool = False
    freed_bytes: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return not (self.workspaces or self.record_removed or self.faults)


def sweep_runs(repo: Path | None, older_than_s: float | None, *, dry_run: bool) -> list[Sweep]:
    """Go over all ended runs; a run that is going is never touched."""
    if not dry_run:
        end_orphans()
    folders = [run_dir(run_id) for run_id in list_runs()]
    ended = [folder for folder in folders if not is_live(folder) and (repo is None or is_over(repo, folder))]
    done = [_sweep(folder, older_than_s, dry_run=dry_run) for folder in ended]
    if not dry_run:
        remove_unused_hubs()
    return [sweep for sweep in done if not sweep.is_empty]


def _sweep(folder: Path, older_than_s: float | None, *, dry_run: bool) -> Sweep:
    sweep = Sweep(run_id=folder.name)
    repo, ended_at = _facts(folder)
    workspaces = workspaces_dir() / folder.name
    if workspaces.exists():
        before = _size(workspaces)
        _clear_workspaces(sweep, repo, workspaces, dry_run=dry_run)
        sweep.freed_bytes += before if dry_run else before - _size(workspaces)
    if not dry_run:
        remove_run_tmp(folder.name)
    age_s = (datetime.now(UTC) - ended_at).total_seconds()
    if older_than_s is not None and age_s >= older_than_s and not sweep.faults:
        sweep.record_removed = True
        sweep.freed_bytes += _size(folder)
        if not dry_run:
            shutil.rmtree(folder)
    return sweep


def _facts(folder: Path) -> tuple[str | None, datetime]:
    """The run's repository and when it was last heard of; the folder's own age without a journal."""
    try:
        state = load_state(folder)
    except JournalError:
        return None, datetime.fromtimestamp(folder.stat().st_mtime, UTC)
    return state.repo or None, state.finished_at or state.seen_at or datetime.now(UTC)


def _clear_workspaces(sweep: Sweep, repo: str | None, workspaces: Path, *, dry_run: bool) -> None:
    try:
        if repo is None:
            raise JournalError(f"nobody knows which repository {workspaces} belongs to")
        author = OrchestratorConfig.default().author
        left = remove_leftovers(
            open_repository(Path(repo)), sweep.run_id, workspaces, author=author, dry_run=dry_run
        )
    except OrchestratorError as err:
        sweep.faults.append(f"{err.message}; the workspaces stay: {workspaces}")
        return
    sweep.workspaces += [str(path) for path in left.removed]
    sweep.branches_kept += left.kept
    sweep.faults += left.faults


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())
