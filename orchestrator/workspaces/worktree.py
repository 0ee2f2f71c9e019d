"""The strategy `worktree`: each attempt gets a linked git worktree on a branch of its own."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from orchestrator.errors import GitError, WorkspaceError
from orchestrator.git.history import MergeConflictError, is_ancestor, join, resolve_commits
from orchestrator.git.leftovers import changed_paths, commit_leftovers
from orchestrator.git.process import run_git
from orchestrator.git.repository import Repository
from orchestrator.git.shield import Shield
from orchestrator.git.worktrees import (
    add_worktree,
    delete_branch_at,
    remove_tree,
    remove_worktree,
)
from orchestrator.workspaces.copying import copy_fault, copy_into
from orchestrator.workspaces.pool import in_pool

__all__ = ["WorktreeWorkspace", "WorktreeWorkspaces", "branch_name", "copy_fault", "workspace_name"]

#: Beside the workspaces, and no worker's name: ids start with a letter or a digit.
SHIELDS = ".shields"
_START = "start-commit"


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
        pool: Executor,
    ) -> None:
        self._repo = repo
        self._run_id = run_id
        self._base_commit = base_commit
        self._directory = directory
        self._author = author
        self._copy_files = copy_files
        self._pool = pool

    async def create(self, worker_id: str, attempt: int, needs: Sequence[str]) -> WorktreeWorkspace:
        """Make the workspace of one attempt; `needs` are the commits it builds on. Raises WorkspaceError."""
        call = partial(self._create, worker_id, attempt, tuple(needs))
        return await in_pool(self._pool, call, undo=lambda made: made.remove_now())

    def _create(self, worker_id: str, attempt: int, needs: tuple[str, ...]) -> WorktreeWorkspace:
        name = workspace_name(worker_id, attempt)
        path = self._directory / name
        shielding = self._directory / SHIELDS / name
        if path.exists() or shielding.exists():
            raise WorkspaceError(f"{path} already exists", hint="see `orchestrator gc`")
        try:
            shield = self._repo.shield(shielding, head=self._base_commit, ignore=self._copy_files)
            start = self._start_commit(shield, worker_id, needs)
            return self._fill(path, shield, start)
        except (GitError, OSError) as err:
            remove_tree(shielding)
            raise WorkspaceError(f"no workspace for {worker_id}: {err}") from err
        except BaseException:
            remove_tree(shielding)
            raise

    def _start_commit(self, shield: Shield, worker_id: str, needs: tuple[str, ...]) -> str:
        start = self._base_commit
        for need in needs:
            try:
                start = join(shield, start, need, author=self._author, message=f"Join what {worker_id} needs")
            except MergeConflictError as err:
                hint = "let one of the tasks it needs build on the other"
                raise WorkspaceError(
                    f"the work that {worker_id} needs cannot be joined: {err.message}", hint=hint
                ) from err
        return start

    def _fill(self, path: Path, shield: Shield, start: str) -> WorktreeWorkspace:
        (shield.git_dir / _START).write_text(start)
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
        except BaseException:
            made.remove_now()
            raise
        return made


@dataclass(frozen=True, slots=True, kw_only=True)
class WorktreeWorkspace:
    """One worker's worktree. Our git never goes by its `.git` file, which an agent can rewrite."""

    path: Path
    branch: str
    start_commit: str
    common_dir: Path
    entry: Path  #: its folder under the repository's `worktrees`
    shield: Shield
    author: str
    pool: Executor

    async def commit(self, message: str) -> str:
        """Commit what was left uncommitted, onto the worker's branch; return that branch's tip.

        The worker's processes must be gone. Raises WorkspaceError when what the agent left cannot be
        brought onto the branch; the work is on a branch then that the error names.
        """
        return await in_pool(self.pool, partial(self.commit_now, message))

    async def files_changed(self) -> tuple[str, ...]:
        """Paths that differ from `start_commit` in the committed work, sorted."""
        return await in_pool(self.pool, self._files_changed)

    async def remove(self) -> None:
        """Take the checkout away, and its branch too when it holds no work of its own."""
        await in_pool(self.pool, self.remove_now)

    def commit_now(self, message: str) -> str:
        """As `commit`, in this thread."""
        try:
            return self._commit(message)
        except (GitError, OSError) as err:
            raise WorkspaceError(f"cannot commit the work in {self.path}: {err}") from err

    def remove_now(self) -> None:
        """As `remove`, in this thread."""
        try:
            remove_worktree(self.common_dir, self.path)
            delete_branch_at(self.common_dir, self.branch, self.start_commit)
            remove_tree(self.shield.git_dir)
        except (GitError, OSError) as err:
            raise WorkspaceError(f"cannot remove the workspace {self.path}: {err}") from err

    def _commit(self, message: str) -> str:
        self._clear_stale_locks()
        head, tip = self._head(), self._tip()
        at = head or tip or self.start_commit
        index = self.entry / "index"
        work = commit_leftovers(
            self.shield,
            self.path,
            index,
            start=self.start_commit,
            head=at,
            author=self.author,
            message=message,
        )
        result = self._onto_branch(work, tip or self.start_commit, stayed=head in {None, tip})
        if result != tip:
            self._set_branch(self.branch, result, tip)
        self._return_to_branch(result, index)
        return result

    def _onto_branch(self, work: str, tip: str, *, stayed: bool) -> str:
        """Join the work with the branch, and with the start commit if the agent rewrote that one."""
        if not stayed and not is_ancestor(self.shield, self.start_commit, work):
            raise self._stray(work, tip, "it does not build on the start commit")
        try:
            message = f"Join the work of {self.path.name}"
            result = join(self.shield, tip, work, author=self.author, message=message)
            return join(self.shield, self.start_commit, result, author=self.author, message=message)
        except MergeConflictError as err:
            raise self._stray(work, tip, err.message) from err

    def _stray(self, work: str, tip: str, reason: str) -> WorkspaceError:
        """Keep work that does not fit the branch on a branch of its own, and say so."""
        kept = f"{self.branch}@head"
        self._set_branch(kept, work, None)
        return WorkspaceError(
            f"the agent left {self.path.name} at commit {work[:12]}, which does not fit its branch "
            f"{self.branch} (at {tip[:12]}, begun at {self.start_commit[:12]}): {reason}",
            hint=f"nothing is lost: see the branches {self.branch} and {kept}",
        )

    def _clear_stale_locks(self) -> None:
        """A killed git leaves its locks; whoever could hold them is gone."""
        for name in ("index.lock", "HEAD.lock"):
            (self.entry / name).unlink(missing_ok=True)

    def _head(self) -> str | None:
        """The commit the agent left its worktree at; None when it spoilt the worktree's entry."""
        try:
            (head,) = resolve_commits(["HEAD"], git_dir=self.entry, common_dir=self.common_dir)
        except GitError:
            return None
        return head

    def _tip(self) -> str | None:
        (tip,) = resolve_commits([f"refs/heads/{self.branch}"], git_dir=self.common_dir)
        return tip

    def _set_branch(self, branch: str, commit: str, old: str | None) -> None:
        expected = [old] if old is not None else []
        argv = ["update-ref", "--no-deref", f"refs/heads/{branch}", commit, *expected]
        run_git(argv, git_dir=self.common_dir)

    def _return_to_branch(self, result: str, index: Path) -> None:
        """Leave the worktree on its branch, so that it can be looked at or used again."""
        head_file, wanted = self.entry / "HEAD", f"refs/heads/{self.branch}"
        if not head_file.is_file() or head_file.read_bytes() == f"ref: {wanted}\n".encode():
            return
        run_git(["symbolic-ref", "HEAD", wanted], git_dir=self.entry, common_dir=self.common_dir)
        self.shield.run(["read-tree", "--reset", "-u", result], work_tree=self.path, index=index)

    def _files_changed(self) -> tuple[str, ...]:
        try:
            return changed_paths(self.shield, self.start_commit, self._tip() or self.start_commit)
        except GitError as err:
            raise WorkspaceError(f"cannot list what changed in {self.path}: {err}") from err


def workspace_name(worker_id: str, attempt: int) -> str:
    """The folder of one attempt, and the last part of its branch."""
    return worker_id if attempt == 1 else f"{worker_id}@{attempt}"


def branch_name(run_id: str, name: str) -> str:
    """The branch of one attempt."""
    return f"orchestrator/{run_id}/{name}"
