"""The strategy `none`: the worker works in the user's own folder, and nothing of ours touches git there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from orchestrator.errors import GitError, WorkspaceError
from orchestrator.git.history import resolve_commits
from orchestrator.git.leftovers import changed_paths
from orchestrator.git.repository import Repository
from orchestrator.git.status import read_status
from orchestrator.model.confinement import GitFolders
from orchestrator.workspaces.pool import in_pool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Snapshot:
    """The state of the user's checkout at one moment."""

    head: str
    dirty: frozenset[tuple[str, int, int]]  #: path, time and size of what is not as committed


class NoWorkspaces:
    """Hands out one folder, which may be a repository's checkout or any other."""

    def __init__(self, path: Path, *, pool: Executor, repo: Repository | None = None) -> None:
        self._path = path
        self._pool = pool
        self._repo = repo

    async def create(self, worker_id: str, attempt: int, needs: Sequence[str]) -> OwnFolder:  # noqa: ARG002 (the port's signature; nothing is made)
        """Return the folder itself. Raises WorkspaceError when it is not there."""
        if not self._path.is_dir():
            raise WorkspaceError(f"{self._path} is not a folder")
        repo = self._repo
        before = None if repo is None else await in_pool(self._pool, partial(_snapshot, repo))
        start = None if before is None else before.head
        return OwnFolder(self._path, None, start, repo=repo, before=before, pool=self._pool)

    async def reopen(self, worker_id: str, attempt: int) -> OwnFolder:
        """Return the folder: there is no other."""
        return await self.create(worker_id, attempt, ())


@dataclass(frozen=True, slots=True)
class OwnFolder:
    """The user's own folder: our code commits nothing there and removes nothing."""

    path: Path
    branch: None
    start_commit: str | None
    repo: Repository | None
    before: _Snapshot | None
    pool: Executor

    @property
    def git_folders(self) -> GitFolders | None:
        """The repository's git folder, within the checkout or not."""
        return None if self.repo is None else GitFolders(common_dir=self.repo.common_dir)

    async def commit(self, message: str) -> None:
        """Do nothing: the work stays as the agent left it."""

    async def restore(self, commit: str) -> None:
        """Do nothing: the folder is the user's."""

    async def files_changed(self) -> tuple[str, ...]:
        """Paths that changed in the checkout since the start, by whomever; none outside git."""
        if self.repo is None or self.before is None:
            return ()
        return await in_pool(self.pool, partial(_changes, self.repo, self.before))

    async def remove(self) -> None:
        """Do nothing: the folder is the user's."""


def _snapshot(repo: Repository) -> _Snapshot:
    (head,) = resolve_commits(["HEAD"], git_dir=repo.git_dir)
    head = head or repo.head
    try:
        with tempfile.TemporaryDirectory(prefix="orchestrator-") as folder:
            shield = repo.shield(Path(folder) / "git", head=head)
            entries = read_status(shield, repo.root, repo.git_dir / "index")
    except GitError as err:
        raise WorkspaceError(f"cannot tell what changes in {repo.root}: {err}") from err
    return _Snapshot(head=head, dirty=frozenset(_signature(repo.root, entry.path) for entry in entries))


def _signature(root: Path, path: bytes) -> tuple[str, int, int]:
    name = os.fsdecode(path)
    try:
        found = (root / name).lstat()
    except (FileNotFoundError, NotADirectoryError):
        return name, 0, -1
    return name, found.st_mtime_ns, found.st_size


def _changes(repo: Repository, before: _Snapshot) -> tuple[str, ...]:
    after = _snapshot(repo)
    changed = {name for name, _, _ in before.dirty ^ after.dirty}
    if after.head != before.head:
        with tempfile.TemporaryDirectory(prefix="orchestrator-") as folder:
            shield = repo.shield(Path(folder) / "git", head=after.head)
            changed |= set(changed_paths(shield, before.head, after.head))
    return tuple(sorted(changed))
