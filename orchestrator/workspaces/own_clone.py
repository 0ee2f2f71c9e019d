"""One worker's clone, once made: taking its commits in, committing what is left, and taking it away.

An agent may write anything into its `.git`, so no git of ours reads its configuration or runs there.
Its commits are fetched, every object checked, through a folder of ours that only borrows its objects.
"""

from __future__ import annotations

import shutil
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from orchestrator.errors import GitError, WorkspaceError
from orchestrator.git.foreign_index import adopt_staging, staged, staged_by_hand
from orchestrator.git.history import MergeConflictError, commit_tree, join, resolve_commits
from orchestrator.git.leftovers import changed_paths, commit_leftovers
from orchestrator.git.locks import clear_stale_lock
from orchestrator.git.process import run_git
from orchestrator.git.restoring import restore
from orchestrator.git.salvage import Scene, copy_index, index_tree, is_clean
from orchestrator.git.shield import Shield
from orchestrator.git.status import read_status
from orchestrator.git.transfer import forget, hand_over, take_in
from orchestrator.git.worktrees import delete_branch_at, remove_tree
from orchestrator.model.confinement import GitFolders
from orchestrator.model.result import Restored
from orchestrator.model.salvage import Salvaged
from orchestrator.workspaces import clone_folder
from orchestrator.workspaces.checkout import (
    WHOLE,
    MisfitError,
    Places,
    StrayWorkError,
    fit,
    remove_last,
)
from orchestrator.workspaces.hub import Base, Hub
from orchestrator.workspaces.overlay import Layers, is_mounted, mount, unmount
from orchestrator.workspaces.pool import in_pool
from orchestrator.workspaces.salvage import (
    PRIVATE_INDEX,
    held_commits,
    keep_salvage,
    salvage_commit,
    wanted_ignored,
)

#: Beside the workspaces: what each overlay changed.
LAYERS = ".layers"
_NAMES = ("head", "tip", "staged", "aside")


@dataclass(frozen=True, slots=True, kw_only=True)
class CloneWorkspace:
    """One worker's clone, or an overlay that holds one."""

    path: Path
    branch: str  #: of the same name in the clone and in the user's repository
    start_commit: str
    common_dir: Path
    hub: Hub
    base: Base | None  #: the checkout that the overlay shows; None: a checkout of its own
    shield: Shield  #: over the user's objects
    author: str
    pool: Executor

    @property
    def git_dir(self) -> Path:
        return self.path / ".git"

    @property
    def reads(self) -> tuple[Path, ...]:
        """What the clone borrows objects from; a sandbox must show it, read-only."""
        return (self.hub.git_dir, self.common_dir / "objects")

    @property
    def git_folders(self) -> GitFolders:
        """What the clone reads outside itself."""
        return GitFolders(common_dir=self.common_dir, branch=self.branch, borrowed=self.reads)

    @property
    def layers(self) -> Layers | None:
        return Layers(self.base.files, self.path.parent / LAYERS / self.path.name) if self.base else None

    @property
    def inside(self) -> Shield:
        """The same shield over the hub's objects, where work lies that is not published yet."""
        return Shield(git_dir=self.shield.git_dir, objects=self.hub.objects)

    async def commit(self, message: str) -> str:
        """Bring what the agent did onto the worker's branch in the user's repository; return its tip.

        The worker's processes must be gone. Raises WorkspaceError when it cannot be brought onto the
        branch; the work is on a branch then that the error names.
        """
        return await in_pool(self.pool, partial(self.commit_now, message))

    async def restore(self, commit: str) -> Restored:
        """Let its tracked files be those of `commit`."""
        return await in_pool(self.pool, partial(self._restore, commit))

    async def files_changed(self) -> tuple[str, ...]:
        """Paths that differ from `start_commit` in the committed work, sorted."""
        return await in_pool(self.pool, self._files_changed)

    async def remove(self) -> Salvaged | None:
        """Take the clone away, and its branch too when it holds no work of its own.

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
            unmount(self.path)
            remove_tree(self.path)
            if layers := self.layers:
                remove_tree(layers.own)
                with suppress(OSError):  # others are still there
                    layers.own.parent.rmdir()
            if self._view.exists() and self.hub.git_dir.exists():
                forget(self.hub.git_dir, self._incoming, _NAMES)
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
        """Whether its making came to an end and its removal has not begun. Shows its overlay again."""
        if not (self.path.is_dir() and (self.shield.git_dir / WHOLE).exists()):
            return False
        if (layers := self.layers) and not is_mounted(self.path):  # the machine was started anew
            mount(layers, self.path)
        return True

    def has_work(self) -> bool:
        """Whether the branch, or the clone as it stands, holds anything beyond the start commit."""
        if self.tip() not in {None, self.start_commit}:
            return True
        if not self.is_whole():
            return False
        if not clone_folder.is_where(self.git_dir, self.branch, self.start_commit):
            return True
        self.shield.set_head(self.start_commit)
        try:
            return bool(read_status(self.inside, self.path, self.known_index()))
        except GitError:
            return True  # damaged: something happened here

    def tip(self) -> str | None:
        """Return the commit of the branch in the user's repository, None when there is no such branch."""
        (tip,) = resolve_commits([f"refs/heads/{self.branch}"], git_dir=self.common_dir)
        return tip

    @property
    def _view(self) -> Path:
        return self.shield.git_dir / "view"

    @property
    def _incoming(self) -> str:
        return f"refs/incoming/{self.branch}"

    def known_index(self) -> Path:
        """Our own index, of what was checked out or committed last."""
        own = self.shield.git_dir / "index"
        return self.base.index if self.base and not own.exists() else own

    def _commit(self, message: str) -> str:
        self._clear_stale_locks()
        known = self.tip() or self.start_commit
        head, tip, fault = self._commits(known)
        at = head or tip or known
        index = self.shield.git_dir / "index"
        if not index.exists():
            shutil.copyfile(self.known_index(), index)
        by_hand = self._adopt_index(index, at, known)
        work = commit_leftovers(
            self.inside,
            self.path,
            index,
            start=self.start_commit,
            head=at,
            author=self.author,
            message=message,
        )
        if by_hand and not fault and not by_hand <= staged(self.inside, index):
            self._salvage()  # something was staged that is in no file any more
        if fault:
            raise self._stray(work, known, f"what it committed cannot be taken over: {fault}")
        result = self._onto_branch(work, Places(start=self.start_commit, tip=tip or known, left_at=at), known)
        if result != known:
            self._publish(self.branch, result)
        if (result, at) != (known, known):
            self._put_back(work, result, index)
        return result

    def _clear_stale_locks(self) -> None:
        """A killed git leaves its locks; those of an owner that lives stay, and the caller is told."""
        branch = self.common_dir / "refs" / "heads" / f"{self.branch}.lock"
        for lock in (self.shield.git_dir / "index.lock", branch):
            clear_stale_lock(lock)

    def _commits(self, known: str) -> tuple[str | None, str | None, str | None]:
        """The commits the agent left its HEAD and its branch at, now in the hub; or why they are not."""
        if clone_folder.is_where(self.git_dir, self.branch, known):
            return known, known, None
        if not (self.git_dir.exists() or self.git_dir.is_symlink()):
            return None, None, None
        try:
            clone_folder.require_plain(self.git_dir, self.hub.objects)
            claimed = clone_folder.places(self.git_dir, self.branch)
            view = clone_folder.make_view(self._view, self.hub.git_dir, self.git_dir / "objects")
            found = take_in(self.hub.git_dir, view, claimed, under=self._incoming)
        except (GitError, OSError) as err:
            return None, None, str(err)
        return found.get("head"), found.get("tip"), None

    def _adopt_index(self, index: Path, at: str, known: str) -> frozenset[bytes]:
        """Bring an index of ours to that commit, with what the agent staged; return what that was.

        The agent's own index may name objects that are missing.
        """
        if at != known:
            self.inside.run(["read-tree", "--reset", at], index=index)
        theirs = self.git_dir / "index"
        by_hand = staged_by_hand(self.inside, theirs, index)
        adopt_staging(self.inside, self.path, theirs, index)
        return by_hand

    def _onto_branch(self, work: str, places: Places, known: str) -> str:
        """Join the work with the branch in the clone, and with what was published before."""
        try:
            result = fit(self.inside, work, places, author=self.author, name=self.path.name)
            message = f"Join the work of {self.path.name}"
            return join(self.inside, known, result, author=self.author, message=message)
        except (MisfitError, MergeConflictError) as err:
            raise self._stray(work, places.tip, err.message) from err

    def _salvage(self) -> Salvaged | None:
        files = self._salvage_files()
        aside = self._salvage_aside()
        return files or aside

    def _salvage_aside(self) -> Salvaged | None:
        """Keep what the agent stashed or committed on other branches of its clone; return the first."""
        claimed = clone_folder.set_aside(self.git_dir, self.branch)
        if not claimed:
            return None
        there = resolve_commits(claimed, git_dir=self.common_dir)
        kept = [self._keep_aside(commit) for commit, has in zip(claimed, there, strict=True) if has is None]
        return next((one for one in kept if one), None)

    def _keep_aside(self, claimed: str) -> Salvaged | None:
        """Keep one commit, with its history behind it; None when it cannot be taken over."""
        try:
            clone_folder.require_plain(self.git_dir, self.hub.objects)
            view = clone_folder.make_view(self._view, self.hub.git_dir, self.git_dir / "objects")
            found = take_in(self.hub.git_dir, view, {"aside": claimed}, under=self._incoming)
        except (GitError, OSError):
            return None  # damaged, or never there
        if "aside" not in found:
            return None
        tree = self.inside.run(["rev-parse", f"{claimed}^{{tree}}"]).stdout.decode("ascii").strip()
        parents = (self.start_commit, claimed)
        message = f"Set aside in {self.path.name}"
        commit = commit_tree(self.inside, tree, parents, author=self.author, message=message)
        hand_over(self.hub.git_dir, self.shield, commit, known=self.start_commit)
        return keep_salvage(self.shield, self.common_dir, self.branch, commit, head=self.start_commit)

    def _salvage_files(self) -> Salvaged | None:
        known = self.tip() or self.start_commit
        own, ignored = self.known_index(), wanted_ignored(self.inside, self.path)
        if (
            not ignored
            and clone_folder.is_where(self.git_dir, self.branch, known)
            and not staged_by_hand(self.inside, self.git_dir / "index", own)
            and is_clean(self.inside, self.path, own, known)
        ):
            return None
        head, tip, fault = self._commits(known)
        at = head or tip or known
        index = copy_index(own, self.shield.git_dir / PRIVATE_INDEX)
        by_hand = frozenset() if fault else self._adopt_index(index, at, known)
        scene = Scene(
            shield=self.inside,
            work_tree=self.path,
            index=index,
            start=self.start_commit,
            head=at,
            staged=self._staged_tree(at) if by_hand else None,
            held=held_commits(self.common_dir, self.branch),
        )
        commit = salvage_commit(scene, ignored, branch=self.branch, author=self.author)
        if commit is None:
            return None
        hand_over(self.hub.git_dir, self.shield, commit, known=self.start_commit)
        return keep_salvage(self.shield, self.common_dir, self.branch, commit, head=at)

    def _staged_tree(self, at: str) -> str | None:
        """The tree in the agent's own index, now in the hub; None when it cannot be taken over."""
        try:
            clone_folder.require_plain(self.git_dir, self.hub.objects)
            view = clone_folder.make_view(self._view, self.hub.git_dir, self.git_dir / "objects")
            reading = Shield(git_dir=view, objects=view / "objects")
            tree = index_tree(reading, copy_index(self.git_dir / "index", view / "index"))
            if tree is None:
                return None
            commit = commit_tree(reading, tree, (at,), author=self.author, message="Index")
            take_in(self.hub.git_dir, view, {"staged": commit}, under=self._incoming)
        except (GitError, OSError):
            return None  # its files are kept all the same
        return tree

    def _stray(self, work: str, tip: str, reason: str) -> StrayWorkError:
        """Keep work that does not fit the branch on a branch of its own, and say so."""
        kept = f"{self.branch}@head"
        self._publish(kept, work)
        if tip != self.start_commit and tip != self.tip():
            self._publish(self.branch, tip)
        return StrayWorkError(
            f"the agent left {self.path.name} at commit {work[:12]}, which does not fit its branch "
            f"{self.branch} (at {tip[:12]}, begun at {self.start_commit[:12]}): {reason}",
            branch=kept,
            hint=f"nothing is lost: see the branches {self.branch} and {kept}",
        )

    def _publish(self, branch: str, commit: str) -> None:
        """Copy the commit into the user's repository, and let the branch there be at it."""
        (old,) = resolve_commits([f"refs/heads/{branch}"], git_dir=self.common_dir)
        hand_over(self.hub.git_dir, self.shield, commit, known=self.start_commit)
        expected = old or "0" * len(commit)
        run_git(
            ["update-ref", "--no-deref", f"refs/heads/{branch}", commit, expected], git_dir=self.common_dir
        )

    def _put_back(self, work: str, result: str, index: Path) -> None:
        """Leave the clone on its branch, so that it can be looked at or used again."""
        if result != work:
            self.inside.run(["read-tree", "--reset", "-u", result], work_tree=self.path, index=index)
        clone_folder.put_back(self.git_dir, self.branch, result, index=index, objects=self.hub.objects)

    def _restore(self, commit: str) -> Restored:
        index = self.shield.git_dir / "index"
        if not index.exists():
            shutil.copyfile(self.known_index(), index)
        return restore(self.inside, self.path, index, commit)

    def _files_changed(self) -> tuple[str, ...]:
        try:
            return changed_paths(self.shield, self.start_commit, self.tip() or self.start_commit)
        except GitError as err:
            raise WorkspaceError(f"cannot list what changed in {self.path}: {err}") from err
