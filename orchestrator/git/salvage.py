"""Keeping all that a work tree holds as one commit, without touching its files or its own index.

The commit has the form that `git stash` gives it: its tree is the work tree with the untracked files, its
first parent is the commit that the work tree was at, its second parent holds the index. So what is in the
tree but not in the index was untracked, and `git stash apply` takes it as well.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import GitError
from orchestrator.git.history import commit_tree, is_ancestor, resolve_commits
from orchestrator.git.leftovers import add_files, commit_leftovers, nested_files, usable_index
from orchestrator.git.process import run_git
from orchestrator.git.shield import Shield
from orchestrator.git.status import read_status

#: States of one attempt that may be kept beside each other.
_MOST_STATES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A work tree as it is to be kept."""

    shield: Shield  #: over the store that the objects go to
    work_tree: Path
    index: Path  #: a private copy of the index
    start: str  #: the commit that the work began from
    head: str  #: the commit that the work tree is at
    staged: str | None  #: the tree in the index; None: nothing is staged, or it cannot be read
    held: tuple[str, ...]  #: commits that need no salvage: tips of branches of this work

    @property
    def is_held(self) -> bool:
        """Whether what was committed is on a branch."""
        if self.head in {self.start, *self.held}:
            return True
        return any(is_ancestor(self.shield, self.head, tip) for tip in self.held)


def is_clean(shield: Shield, work_tree: Path, index: Path, head: str) -> bool:
    """Whether work tree and index are as committed. Changes nothing; a damaged index is not clean."""
    shield.set_head(head)
    try:
        return not read_status(shield, work_tree, index)
    except GitError:
        return False


def capture(scene: Scene, *, ignored: Sequence[bytes], author: str, message: str) -> str | None:
    """Commit the state of the work tree; None when there is nothing beyond what a branch holds.

    Files that are `ignored` by the rules are kept when they are named.
    """
    shield, index = scene.shield, scene.index
    if ignored:
        index, _ = usable_index(shield, scene.work_tree, index, scene.head)
        add_files(shield, scene.work_tree, index, ignored)
    work = commit_leftovers(
        shield, scene.work_tree, index, start=scene.start, head=scene.head, author=author, message=message
    )
    tree, committed, *held = _trees(shield, work, scene.head, *scene.held)
    staged = scene.staged or committed
    if tree in {committed, *held} and staged in {committed, tree} and scene.is_held:
        return None
    kept = commit_tree(shield, staged, (scene.head,), author=author, message=f"Index of: {message}")
    return commit_tree(shield, tree, (scene.head, kept), author=author, message=message)


def copy_index(index: Path, private: Path) -> Path:
    """Copy an index to where we may write it; one that is no plain file counts as none."""
    for place in (private, private.with_name(f"{private.name}.lock")):
        place.unlink(missing_ok=True)
    try:
        descriptor = os.open(index, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return private
    with os.fdopen(descriptor, "rb") as source:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            with private.open("wb") as target:
                shutil.copyfileobj(source, target)
    return private


def index_tree(shield: Shield, index: Path) -> str | None:
    """The tree in a private index; of what a merge left open, our own side. None when it is damaged."""
    if not index.is_file():
        return None
    output = shield.run(["ls-files", "--unmerged", "-z"], index=index, check=False)
    if output.exit_code != 0:
        return None
    if output.stdout:
        shield.run(["update-index", "-z", "--index-info"], index=index, input=_settled(output.stdout))
    written = shield.run(["write-tree"], index=index, check=False)
    return written.stdout.decode("ascii").strip() if written.exit_code == 0 else None


def ignored_files(shield: Shield, work_tree: Path, *, but: Iterable[bytes]) -> list[bytes]:
    """Files that the ignore rules leave out, those of repositories among them too; none below `but`."""
    argv = ["ls-files", "-z", "--others", "--ignored", "--exclude-standard"]
    output = shield.run(argv, work_tree=work_tree, index=shield.git_dir / "no-index").stdout
    left_out = tuple(but)
    found: list[bytes] = []
    for name in filter(None, output.split(b"\0")):
        if not _is_below(name.rstrip(b"/"), left_out):
            is_repository = name.endswith(b"/")
            found += nested_files(shield, work_tree, name.rstrip(b"/")) if is_repository else [name]
    return found


def publish(common_dir: Path, ref: str, commit: str) -> tuple[str, str]:
    """Let `ref` be at `commit`, which is in the repository; return where it is and at which commit.

    A state that is kept already is not kept again; another one under that name gets a number.
    """
    for number in range(1, _MOST_STATES):
        name = ref if number == 1 else f"{ref}.{number}"
        (there,) = resolve_commits([name], git_dir=common_dir)
        if there is None:
            argv = ["update-ref", "--no-deref", name, commit, "0" * len(commit)]
            output = run_git(argv, git_dir=common_dir, check=False)
            if output.exit_code == 0:
                return name, commit
            (there,) = resolve_commits([name], git_dir=common_dir)
            if there is None:
                said = output.stderr.decode("utf-8", "replace").strip()
                raise GitError(f"git cannot make {name}: {said}", hint="see what holds a lock there")
        if _state(common_dir, there) == _state(common_dir, commit):
            return name, there
    raise GitError(f"{ref} is taken {_MOST_STATES} times", hint="`orchestrator gc` can remove old ones")


def _state(common_dir: Path, commit: str) -> bytes:
    """What counts of a salvage commit: not when it was made."""
    argv = ["rev-parse", f"{commit}^{{tree}}", f"{commit}^1", f"{commit}^2^{{tree}}"]
    return run_git(argv, git_dir=common_dir, check=False).stdout


def _trees(shield: Shield, *commits: str) -> list[str]:
    output = shield.run(["rev-parse", *(f"{commit}^{{tree}}" for commit in commits)])
    return output.stdout.decode("ascii").split()


def _settled(unmerged: bytes) -> bytes:
    """Orders for `update-index --index-info` that keep one stage of each open path: ours, else theirs."""
    chosen: dict[bytes, tuple[bytes, bytes, bytes]] = {}
    for line in filter(None, unmerged.split(b"\0")):
        facts, _, path = line.partition(b"\t")
        mode, object_id, stage = facts.split(b" ")
        if path not in chosen or stage == b"2":
            chosen[path] = (mode, object_id, stage)
    zero = b"0 %s\t%s\0"
    orders = [zero % (b"0" * len(entry[1]), path) for path, entry in chosen.items()]
    orders += [b"%s %s\t%s\0" % (mode, object_id, path) for path, (mode, object_id, _) in chosen.items()]
    return b"".join(orders)


def _is_below(name: bytes, folders: tuple[bytes, ...]) -> bool:
    return any(name == folder or name.startswith(folder + b"/") for folder in folders)
