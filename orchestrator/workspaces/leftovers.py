"""Clearing away what a run left behind, without losing work."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import WorkspaceError
from orchestrator.git.repository import Repository
from orchestrator.git.worktrees import remove_tree
from orchestrator.workspaces.checkout import StrayWorkError, WorktreeWorkspace
from orchestrator.workspaces.names import BASE_PLACE, LANDING_PLACE, SHIELDS
from orchestrator.workspaces.own_clone import CloneWorkspace
from orchestrator.workspaces.recorded import recorded_workspaces


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftovers:
    """What was removed and what stays (or would be, and would)."""

    removed: tuple[Path, ...]  #: checkouts
    kept: tuple[str, ...]  #: branches that hold work
    faults: tuple[str, ...]  #: what could not be removed, and why


def remove_leftovers(
    repo: Repository,
    run_id: str,
    directory: Path,
    *,
    author: str,
    dry_run: bool = False,
    only: Callable[[str], bool] | None = None,
) -> Leftovers:
    """Remove the workspaces of a run whose processes are all gone; `directory` is where it kept them.

    What is uncommitted is committed first. Branches that hold work stay. `only` picks
    workspaces by name.
    """
    directory = directory.resolve()
    removed, kept, faults = [], [], []
    with ThreadPoolExecutor(max_workers=1) as pool:
        for workspace in recorded_workspaces(repo, run_id, directory, author, pool, only=only):
            try:
                kept += _branches_with_work(workspace, dry_run=dry_run)
                if not dry_run:
                    workspace.remove_now()
                removed.append(workspace.path)
            except WorkspaceError as err:
                faults.append(str(err))
    if not dry_run and not faults and only is None:
        _remove_rest(directory)
    return Leftovers(removed=tuple(removed), kept=tuple(kept), faults=tuple(faults))


def _branches_with_work(workspace: WorktreeWorkspace | CloneWorkspace, *, dry_run: bool) -> list[str]:
    if dry_run:
        return [workspace.branch] if workspace.has_work() else []
    try:
        tip = workspace.commit_now("Keep what was left uncommitted") if workspace.is_whole() else None
    except StrayWorkError as err:
        return [workspace.branch, err.branch]
    return [workspace.branch] if (tip or workspace.tip()) not in {None, workspace.start_commit} else []


def _remove_rest(directory: Path) -> None:
    remove_tree(directory / SHIELDS)
    for name in (LANDING_PLACE, BASE_PLACE):
        remove_tree(directory / name)
    with suppress(OSError):  # something that is not ours is in it, or it is gone already
        directory.rmdir()
