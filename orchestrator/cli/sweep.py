"""Clears away what ended runs left: workspaces always, the rest when that is asked for."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from orchestrator.cli.runs import is_over
from orchestrator.config import OrchestratorConfig, runs_dir, workspaces_dir
from orchestrator.errors import JournalError, OrchestratorError
from orchestrator.executors.recovery import end_orphans
from orchestrator.git.repository import open_repository
from orchestrator.journal.runs import RunLock, is_live, journal_path, list_runs, run_dir
from orchestrator.journal.state import load_state
from orchestrator.journal.store import read_events
from orchestrator.landing.branches import judge_branches, remove_branch
from orchestrator.model.event import EventKind
from orchestrator.workspaces.environment import remove_run_tmp
from orchestrator.workspaces.hub import remove_unused_hubs
from orchestrator.workspaces.leftovers import remove_leftovers
from orchestrator.workspaces.salvaged import drop_kept, list_kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be taken away besides workspaces."""

    older_than_s: float | None = None  #: records of runs that ended so long ago
    branches: bool = False  #: those that are landed or hold nothing
    salvage: bool = False  #: what was salvaged so long ago
    dry_run: bool = False


@dataclass(slots=True, kw_only=True)
class Sweep:
    """What is taken away of one run, or would be."""

    run_id: str
    workspaces: list[str] = field(default_factory=list)
    branches_removed: list[dict[str, str]] = field(default_factory=list)  #: branch, commit, how
    branches_kept: list[str] = field(default_factory=list)
    kept_because: dict[str, str] = field(default_factory=dict)  #: by branch, where that was looked into
    salvage_removed: list[str] = field(default_factory=list)  #: refs
    record_removed: bool = False
    freed_bytes: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        gone = self.workspaces or self.branches_removed or self.salvage_removed or self.record_removed
        return not (gone or self.kept_because or self.faults)


def sweep_runs(repo: Path | None, wish: Wish) -> list[Sweep]:
    """Go over all ended runs; a run that is going is never touched."""
    if not wish.dry_run:
        end_orphans()
    folders = [run_dir(run_id) for run_id in list_runs()]
    ended = [folder for folder in folders if not is_live(folder) and (repo is None or is_over(repo, folder))]
    repos = {folder: _facts(folder).repo for folder in ended}
    done = [_sweep_held(folder, wish) for folder in ended]
    if wish.salvage and wish.older_than_s is not None:
        done += _drop_salvage(
            {Path(found) for found in repos.values() if found} | ({repo} if repo else set()), wish
        )
    if not wish.dry_run:
        remove_unused_hubs()
    return [sweep for sweep in done if sweep and not sweep.is_empty]


def _sweep_held(folder: Path, wish: Wish) -> Sweep | None:
    """Sweep a run that nobody resumes meanwhile; None when somebody does."""
    if wish.dry_run:
        return _sweep(folder, wish)
    try:
        lock = RunLock.acquire(folder)
    except JournalError:
        return None
    try:
        return _sweep(folder, wish)
    finally:
        lock.release()


def _sweep(folder: Path, wish: Wish) -> Sweep:
    sweep = Sweep(run_id=folder.name)
    facts = _facts(folder)
    workspaces = workspaces_dir() / folder.name
    if workspaces.exists():
        before = _size(workspaces)
        _clear_workspaces(sweep, facts.repo, workspaces, dry_run=wish.dry_run)
        sweep.freed_bytes += before if wish.dry_run else before - _size(workspaces)
    if wish.branches and facts.repo:
        _clear_branches(sweep, folder, facts, dry_run=wish.dry_run)
    if not wish.dry_run:
        remove_run_tmp(folder.name)
    age_s = (datetime.now(UTC) - facts.ended_at).total_seconds()
    if wish.older_than_s is not None and age_s >= wish.older_than_s and not sweep.faults:
        sweep.record_removed = True
        sweep.freed_bytes += _size(folder)
        if not wish.dry_run:
            shutil.rmtree(folder)
    return sweep


def _clear_branches(sweep: Sweep, folder: Path, facts: _Facts, *, dry_run: bool) -> None:
    """Only branches that the run's own record names, and of these only what a branch of the user's holds."""
    made = {
        event.data["branch"]: event.data["start_commit"]
        for event in read_events(journal_path(folder))
        if event.kind is EventKind.WORKSPACE_CREATED and event.data.get("branch")
    }
    try:
        repo = open_repository(Path(facts.repo or ""))
        fates = judge_branches(repo, made, base_ref=facts.base_ref, leaving=sweep.workspaces)
    except OrchestratorError as err:
        sweep.faults.append(f"{err.message}; its branches stay")
        return
    for fate in fates:
        if fate.goes and (dry_run or remove_branch(repo, fate)):
            sweep.branches_removed.append(
                {"branch": fate.branch, "commit": fate.commit, "how": str(fate.how)}
            )
        else:
            sweep.kept_because[fate.branch] = fate.reason or "it moved meanwhile"
    sweep.branches_kept = list(sweep.kept_because)


def _drop_salvage(repos: set[Path], wish: Wish) -> list[Sweep]:
    """Let go of what was salvaged long enough ago, in these repositories, of runs that are over."""
    latest = datetime.now(UTC) - timedelta(seconds=wish.older_than_s or 0.0)
    sweeps: dict[str, Sweep] = {}
    for root in sorted(repos):
        try:
            repo = open_repository(root)
        except OrchestratorError:
            continue  # it is gone, and what was salvaged went with it
        for kept in list_kept(repo):
            if kept.at <= latest and not is_live(runs_dir() / kept.run_id):
                sweep = sweeps.setdefault(kept.run_id, Sweep(run_id=kept.run_id))
                if wish.dry_run or drop_kept(repo, kept):
                    sweep.salvage_removed.append(kept.ref)
    return list(sweeps.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    repo: str | None
    base_ref: str
    ended_at: datetime


def _facts(folder: Path) -> _Facts:
    """The run's repository and when it was last heard of; the folder's own age without a journal."""
    try:
        state = load_state(folder)
    except JournalError:
        made_at = datetime.fromtimestamp(folder.stat().st_mtime, UTC)
        return _Facts(repo=None, base_ref="", ended_at=made_at)
    ended_at = state.finished_at or state.seen_at or datetime.now(UTC)
    return _Facts(repo=state.repo or None, base_ref=state.base_ref, ended_at=ended_at)


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
