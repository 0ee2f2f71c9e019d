"""Commits: finding them, making them, and joining lines of work in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from orchestrator.errors import GitError
from orchestrator.git.merging import attributes_folder
from orchestrator.git.process import describe_failure, run_git
from orchestrator.git.shield import Shield

#: Merges two commits that git alone cannot merge: returns the tree, None if it cannot either.
Settle = Callable[[Shield, str, str], str | None]


class MergeConflictError(GitError):
    """Two lines of work cannot be joined without a person."""

    def __init__(self, first: str, second: str, files: Sequence[str]) -> None:
        self.files = tuple(files)
        listed = ", ".join(repr(name) for name in self.files[:10]) or "the histories have nothing in common"
        super().__init__(f"commits {first[:12]} and {second[:12]} conflict: {listed}")


def resolve_commits(
    names: Sequence[str], *, git_dir: Path, common_dir: Path | None = None
) -> list[str | None]:
    """Return the commit that each of `names` stands for, None where there is none."""
    asked = "".join(f"{name}^{{commit}}\n" for name in names).encode()
    argv = ["cat-file", "--batch-check=%(objectname)"]
    lines = run_git(argv, git_dir=git_dir, common_dir=common_dir, input=asked).stdout.splitlines()
    return [None if b" " in line else line.decode("ascii") for line in lines]


def list_branches(git_dir: Path, prefix: str) -> list[str]:
    """Return the names of the branches below `prefix`, which ends with a slash."""
    argv = ["for-each-ref", "--format=%(refname)", f"refs/heads/{prefix}"]
    lines = run_git(argv, git_dir=git_dir).stdout.decode("utf-8", "surrogateescape").splitlines()
    return [line.removeprefix("refs/heads/") for line in lines]


def commit_tree(shield: Shield, tree: str, parents: Sequence[str], *, author: str, message: str) -> str:
    """Commit `tree`; neither hooks nor signing are part of it."""
    argv = ["commit-tree", tree, *(word for parent in parents for word in ("-p", parent))]
    text = message.encode("utf-8", "replace").replace(b"\0", b"") or b"(no message)"
    output = shield.run(argv, input=text + b"\n", env=_identity(author))
    return output.stdout.decode("ascii").strip()


def join(
    shield: Shield, first: str, second: str, *, author: str, message: str, settle: Settle | None = None
) -> str:
    """Return a commit that holds both: one of them if it contains the other, else their merge in memory.

    `settle` is asked about what git cannot merge. Raises MergeConflictError.
    """
    if first == second:
        return first
    base = shield.run(["merge-base", first, second], check=False).stdout.decode("ascii").strip()
    if base == first:
        return second
    if base == second:
        return first
    if not base:
        raise MergeConflictError(first, second, ())
    try:
        tree = _merge(shield, first, second)
    except MergeConflictError:
        settled = settle(shield, first, second) if settle else None
        if settled is None:
            raise
        tree = settled
    return commit_tree(shield, tree, (first, second), author=author, message=message)


def is_ancestor(shield: Shield, old: str, new: str) -> bool:
    """Whether `new` is `old` or was built on it."""
    if old == new:
        return True
    argv = ["merge-base", "--is-ancestor", old, new]
    output = shield.run(argv, check=False)
    if output.exit_code > 1:
        raise GitError(describe_failure(argv, output))
    return output.exit_code == 0


def _merge(shield: Shield, first: str, second: str) -> str:
    argv = ["merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", first, second]
    output = shield.run(argv, work_tree=attributes_folder(shield), check=False)
    if output.exit_code > 1:
        raise GitError(describe_failure(argv, output))
    tree, *files = output.stdout.rstrip(b"\0").split(b"\0")
    if output.exit_code == 1:
        raise MergeConflictError(first, second, [os.fsdecode(name) for name in files])
    return tree.decode("ascii")


def _identity(author: str) -> Mapping[str, str]:
    name, _, address = author.rpartition(" <")
    address = address.removesuffix(">")
    return {
        "GIT_AUTHOR_NAME": name,
        "GIT_AUTHOR_EMAIL": address,
        "GIT_COMMITTER_NAME": name,
        "GIT_COMMITTER_EMAIL": address,
    }
