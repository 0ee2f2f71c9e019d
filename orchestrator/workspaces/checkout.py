"""One worker's worktree, once made: committing what is in it, and taking it away."""

from __future__ import annotations

from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from orchestrator.errors import GitError, WorkspaceError
from orchestrator.git.history import MergeConflictError, is_ancestor, join, resolve_commits
from orchestrator.git.leftovers import changed_paths, commit_leftovers
from orchestrator.git.locks import clear_stale_lock
from orchestrator.git.process import run_git
from orchestrator.git.restoring import restore
from orchestrator.git.salvage import Scene, copy_index, index_tree, is_clean
from orchestrator.git.shield import Shield
from orchestrator.git.status import read_status
from orchestrator.git.worktrees import delete_branch_at, remove_tree, remove_worktree
from orchestrator.model.confinement import GitFolders
from orchestrator.model.result import Restored
from orchestrator.model.salvage import Salvaged
from orchestrator.workspaces.pool import in_pool
from orchestrator.workspaces.salvage import (
    PRIVATE_INDEX,
    held_commits,
    keep_salvage,
    salvage_commit,
    wanted_ignored,
)

#: In a workspace's shield from when its checkout is whole until its removal begins. Without it, files
#: that are missing were not deleted by anyone.
WHOLE = "whole"


class StrayWorkError(WorkspaceError):
    """What the agent left does not fit its branch; it is kept on another one."""

    def __init__(self, message: str, *, branch: str, hint: str) -> None:
        self.branch = branch
        super().__init__(message, hint=hint)


class MisfitError(GitError):
    """The work and its branch cannot be joined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where a worker began, where its branch is, and the commit that the agent left its checkout at."""

    start: str
    tip: str
    left_at: str


def fit(shield: Shield, work: str, places: Places, *, author: str, name: str) -> str:
    """Join the work with the branch, and with the start commit if the agent rewrote that one.

    Work is built on what the agent left the checkout at, so mostly there is nothing to find out.
    Raises MisfitError.
    """
    stayed = places.left_at == places.tip
    if not stayed and not is_ancestor(shield, places.start, work):
        raise MisfitError("it does not build on the start commit")
    message = f"Join the work of {name}"
    try:
        if not stayed:
            work = join(shield, places.tip, work, author=author, message=message)
        if places.left_at == places.start:
            return work
        return join(shield, places.start, work, author=author, message=message)
    except MergeConflictError as err:
        raise MisfitError(err.message) from err


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

    @property
    def git_folders(self) -> GitFolders:
        """What a commit in the worktree writes, for the sandbox."""
        return GitFolders(common_dir=self.common_dir, entry=self.entry, branch=self.branch)

    async def commit(self, message: str) -> str:
        """Commit what was left uncommitted, onto the worker's branch; return that branch's tip.

        The worker's processes must be gone. Raises WorkspaceError when what the agent left cannot be
        brought onto the branch; the work is on a branch then that the error names.
        """
        return await in_pool(self.pool, partial(self.commit_now, message))

    async def restore(self, commit: str) -> Restored:
        """Let its tracked files be those of `commit`."""
        call = partial(restore, self.shield, self.path, self.entry / "index", commit)
        return await in_pool(self.pool, call)

    async def files_changed(self) -> tuple[str, ...]:
        """Paths that differ from `start_commit` in the committed work, sorted."""
        return await in_pool(self.pool, self._files_changed)

    async def remove(self) -> Salvaged | None:
        """Take the checkout away, and its branch too when it holds no work of its own.

        What no branch holds is salvaged first. Raises WorkspaceError, and removes nothing, when it cannot be.
        """
        return await in_pool(self.pool, self.remove_now)

    def commit_now(self, message: str) -> str:
        """As `commit`, in this thread."""
        try:
            return self._commit(message)
        except (GitError, OSError) as err:
            raise WorkspaceError(f"cannot commit the work in {self.path}: {err}") from err

    def remove_now(self) -> Salvaged | None:
        """As `remove`, in this thread."""
        salvaged = self.salvage_now() if self.is_whole() else None
        try:
            (self.shield.git_dir / WHOLE).unlink(missing_ok=True)
            remove_worktree(self.common_dir, self.path)
            delete_branch_at(self.common_dir, self.branch, self.start_commit)
            remove_last(self.shield.git_dir)
        except (GitError, OSError) as err:
            raise WorkspaceError(f"cannot remove the workspace {self.path}: {err}") from err
        return salvaged

    def salvage_now(self) -> Salvaged | None:
        """Keep what no branch holds, in a ref of its own; None when there is nothing. Blocks."""
        try:
            return self._salvage()
        except (GitError, OSError) as err:
            raise WorkspaceError(f"cannot salvage what is in {self.path}: {err}") from err

    def is_whole(self) -> bool:
        """Whether its making came to an end and its removal has not begun."""
        return self.path.is_dir() and (self.shield.git_dir / WHOLE).exists()

    def has_work(self) -> bool:
        """Whether the branch, or the checkout as it stands, holds anything beyond the start commit."""
        if set(self._places()) - {None, self.start_commit}:
            return True
        self.shield.set_head(self.start_commit)
        try:
            return self.is_whole() and bool(read_status(self.shield, self.path, self.entry / "index"))
        except GitError:
            return True  # a damaged index: something happened here

    def _commit(self, message: str) -> str:
        self._clear_stale_locks()
        head, tip = self._places()
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
            before_restaging=self._salvage,
        )
        result = self._onto_branch(work, tip or self.start_commit, left_at=at)
        if result != tip:
            self._set_branch(self.branch, result, tip)
        self._return_to_branch(result, index)
        return result

    def _salvage(self) -> Salvaged | None:
        head, tip = self._places()
        at, index = head or tip or self.start_commit, self.entry / "index"
        ignored = wanted_ignored(self.shield, self.path)
        if at == tip and not ignored and is_clean(self.shield, self.path, index, at):
            return None
        private = copy_index(index, self.shield.git_dir / PRIVATE_INDEX)
        scene = Scene(
            shield=self.shield,
            work_tree=self.path,
            index=private,
            start=self.start_commit,
            head=at,
            staged=index_tree(self.shield, private),
            held=held_commits(self.common_dir, self.branch),
        )
        commit = salvage_commit(scene, ignored, branch=self.branch, author=self.author)
        if commit is None:
            return None
        return keep_salvage(self.shield, self.common_dir, self.branch, commit, head=at)

    def _onto_branch(self, work: str, tip: str, *, left_at: str) -> str:
        places = Places(start=self.start_commit, tip=tip, left_at=left_at)
        try:
            return fit(self.shield, work, places, author=self.author, name=self.path.name)
        except MisfitError as err:
            raise self._stray(work, tip, err.message) from err

    def _stray(self, work: str, tip: str, reason: str) -> StrayWorkError:
        """Keep work that does not fit the branch on a branch of its own, and say so."""
        kept = f"{self.branch}@head"
        self._set_branch(kept, work, None)
        return StrayWorkError(
            f"the agent left {self.path.name} at commit {work[:12]}, which does not fit its branch "
            f"{self.branch} (at {tip[:12]}, begun at {self.start_commit[:12]}): {reason}",
            branch=kept,
            hint=f"nothing is lost: see the branches {self.branch} and {kept}",
        )

    def _clear_stale_locks(self) -> None:
        """A killed git leaves its locks; those of an owner that lives stay, and the caller is told."""
        branch = self.common_dir / "refs" / "heads" / f"{self.branch}.lock"
        for lock in (self.entry / "index.lock", self.entry / "HEAD.lock", branch):
            clear_stale_lock(lock)

    def _places(self) -> tuple[str | None, str | None]:
        """The commits the agent left its worktree and its branch at; None where it spoilt them."""
        names = ["HEAD", f"refs/heads/{self.branch}"]
        try:
            head, tip = resolve_commits(names, git_dir=self.entry, common_dir=self.common_dir)
        except GitError:
            return None, self.tip()
        return head, tip

    def tip(self) -> str | None:
        """Return the branch's commit, None when there is no such branch."""
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
            return changed_paths(self.shield, self.start_commit, self.tip() or self.start_commit)
        except GitError as err:
            raise WorkspaceError(f"cannot list what changed in {self.path}: {err}") from err


def remove_last(shielding: Path) -> None:
    """Remove a workspace's shield, and the folders of its run with the last of them."""
    remove_tree(shielding)
    with suppress(OSError):  # others are still there
        shielding.parent.rmdir()
        shielding.parent.parent.rmdir()
