"""The workspaces that a run has made, found by what it recorded of them: also after it died."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from pathlib import Path

from orchestrator.git.repository import Repository
from orchestrator.git.shield import Shield
from orchestrator.git.worktrees import entries_under
from orchestrator.workspaces.checkout import WorktreeWorkspace
from orchestrator.workspaces.hub import RECORD, read_record
from orchestrator.workspaces.names import SHIELDS, START_COMMIT, branch_name
from orchestrator.workspaces.own_clone import CloneWorkspace


def recorded_workspaces(
    repo: Repository,
    run_id: str,
    directory: Path,
    author: str,
    pool: Executor,
    *,
    only: Callable[[str], bool] | None = None,
) -> Iterator[WorktreeWorkspace | CloneWorkspace]:
    """Every workspace that is recorded, whole or not: its shield is made first and removed last."""
    shields = directory / SHIELDS
    entries = {place: entry for entry, place in entries_under(repo.common_dir, directory)}
    for shield in sorted(shields.iterdir()) if shields.is_dir() else ():
        if only and not only(shield.name):
            continue
        path, start = directory / shield.name, shield / START_COMMIT
        if not start.is_file():
            continue  # its making ended before there was anything else
        branch = branch_name(run_id, shield.name)
        guard = Shield(git_dir=shield, objects=repo.common_dir / "objects")
        if (shield / RECORD).is_file():
            hub, base = read_record(shield)
            yield CloneWorkspace(
                path=path,
                branch=branch,
                start_commit=start.read_text(),
                common_dir=repo.common_dir,
                hub=hub,
                base=base,
                shield=guard,
                author=author,
                pool=pool,
            )
            continue
        yield WorktreeWorkspace(
            path=path,
            branch=branch,
            start_commit=start.read_text(),
            common_dir=repo.common_dir,
            entry=entries.get(path, shield / "no-entry"),
            shield=guard,
            author=author,
            pool=pool,
        )


def reopened(
    repo: Repository, run_id: str, directory: Path, name: str, *, author: str, pool: Executor
) -> WorktreeWorkspace | CloneWorkspace | None:
    """Return the workspace of this name; None when it is not whole. Its overlay is shown again."""
    found = recorded_workspaces(repo, run_id, directory, author, pool, only=lambda other: other == name)
    return next((workspace for workspace in found if workspace.is_whole()), None)
