"""The strategy `worktree`: each attempt gets a linked git worktree on a branch of its own."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from functools import partial
from pathlib import Path

from orchestrator.errors import GitError, WorkspaceError
from orchestrator.git.history import MergeConflictError, Settle, join
from orchestrator.git.repository import Repository
from orchestrator.git.shield import Shield
from orchestrator.git.worktrees import add_worktree
from orchestrator.state_file import write_state_file
from orchestrator.workspaces.checkout import WHOLE, WorktreeWorkspace, remove_last
from orchestrator.workspaces.copying import copy_fault, copy_into
from orchestrator.workspaces.names import INTEGRATION, SHIELDS, START_COMMIT, branch_name, workspace_name
from orchestrator.workspaces.pool import in_pool
from orchestrator.workspaces.recorded import reopened
from orchestrator.workspaces.salvage import salvage_ignored_too

__all__ = [
    "INTEGRATION",
    "SHIELDS",
    "START_COMMIT",
    "WorktreeWorkspaces",
    "branch_name",
    "copy_fault",
    "workspace_name",
]


class WorktreeWorkspaces:
    """Makes worktrees for one run, outside the user's repository."""

    def __init__(
        self,
        repo: Repository,
        *,
        run_id: str,
        base_commit: str,
        directory: Path,
        author: str,
        copy_files: tuple[str, ...],
        salvage_ignored: bool = False,
        pool: Executor,
        settle: Settle | None = None,
    ) -> None:
        self._repo = repo
        self._run_id = run_id
        self._base_commit = base_commit
        self._directory = directory.resolve()  # as git records it
        self._author = author
        self._copy_files = copy_files
        self._salvage_ignored = salvage_ignored
        self._pool = pool
        self._settle = settle

    async def create(self, worker_id: str, attempt: int, needs: Sequence[str]) -> WorktreeWorkspace:
        """Make the workspace of one attempt; `needs` are the commits it builds on. Raises WorkspaceError."""
        call = partial(self._create, worker_id, attempt, tuple(needs))
        return await in_pool(self._pool, call, undo=lambda made: made.remove_now())

    async def reopen(self, worker_id: str, attempt: int) -> WorktreeWorkspace | None:
        """Return the workspace of an earlier attempt; None when it is not whole."""
        names = (self._repo, self._run_id, self._directory, workspace_name(worker_id, attempt))
        call = partial(reopened, *names, author=self._author, pool=self._pool)
        found = await in_pool(self._pool, call)
        return found if isinstance(found, WorktreeWorkspace) else None

    def _create(self, worker_id: str, attempt: int, needs: tuple[str, ...]) -> WorktreeWorkspace:
        name = workspace_name(worker_id, attempt)
        path = self._directory / name
        shielding = self._directory / SHIELDS / name
        if path.exists() or not make_room(shielding):
            raise WorkspaceError(f"{path} already exists", hint="see `orchestrator gc`")
        try:
            shield = self._repo.shield(shielding, head=self._base_commit, ignore=self._copy_files)
            if self._salvage_ignored:
                salvage_ignored_too(shielding, self._copy_files)
            commits = (self._base_commit, *needs)
            start = join_needs(shield, commits, author=self._author, worker_id=worker_id, settle=self._settle)
            return self._fill(path, shield, start)
        except (GitError, OSError) as err:
            remove_last(shielding)
            raise WorkspaceError(f"no workspace for {worker_id}: {err}") from err
        except BaseException:
            remove_last(shielding)
            raise

    def _fill(self, path: Path, shield: Shield, start: str) -> WorktreeWorkspace:
        write_state_file(shield.git_dir / START_COMMIT, start.encode())
        branch = branch_name(self._run_id, path.name)
        entry = add_worktree(self._repo.common_dir, path, branch, start)
        made = WorktreeWorkspace(
            path=path,
            branch=branch,
            start_commit=start,
            common_dir=self._repo.common_dir,
            entry=entry,
            shield=shield,
            author=self._author,
            pool=self._pool,
        )
        try:
            argv = ["read-tree", "-u", "--reset", start]
            shield.run(argv, work_tree=path, index=entry / "index")
            for name in self._copy_files:
                copy_into(self._repo.root, name, path)
            (shield.git_dir / WHOLE).touch()
        except BaseException:
            made.remove_now()
            raise
        return made


def join_needs(
    shield: Shield, commits: Sequence[str], *, author: str, worker_id: str, settle: Settle | None = None
) -> str:
    """Return a commit that holds all of `commits`: the base and what is needed. Raises WorkspaceError.

    `settle` is asked about what git cannot merge.
    """
    message = f"Join what {worker_id} needs"
    start, *needs = commits
    for need in needs:
        try:
            start = join(shield, start, need, author=author, message=message, settle=settle)
        except MergeConflictError as err:
            raise WorkspaceError(
                f"the work that {worker_id} needs cannot be joined: {err.message}",
                hint="let one of the tasks it needs build on the other",
            ) from err
    return start


def make_room(shielding: Path) -> bool:
    """Make the folder, unless it is there; say whether it is new."""
    for _ in range(100):
        try:
            shielding.mkdir(parents=True, mode=0o700)
        except FileNotFoundError:
            continue  # a removal at the same time took an empty folder above it away
        except FileExistsError:
            return False
        return True
    raise WorkspaceError(f"cannot make the folder {shielding}")


def integration_branch(run_id: str) -> str:
    """The branch that holds what was landed of a run."""
    return f"orchestrator/{run_id}/{INTEGRATION}"
