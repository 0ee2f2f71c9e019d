"""The branches that a landing moves in the user's repository: by compare-and-swap, never by force."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from orchestrator.errors import GitError, InputError
from orchestrator.git.history import resolve_commits
from orchestrator.git.process import run_git


def branch_tip(common_dir: Path, branch: str) -> str | None:
    """Return the commit of a branch, None when there is no such branch."""
    (tip,) = resolve_commits([f"refs/heads/{branch}"], git_dir=common_dir)
    return tip


def move_branch(common_dir: Path, branch: str, new: str, *, old: str | None) -> bool:
    """Let `branch` be at `new` if it still is at `old` (None: there is none yet); say whether it is now."""
    if new == old:
        return branch_tip(common_dir, branch) == new
    argv = ["update-ref", "--no-deref", "-m", "orchestrator land", f"refs/heads/{branch}", new]
    output = run_git([*argv, old or "0" * len(new)], git_dir=common_dir, check=False)
    if output.exit_code == 0:
        return True
    if branch_tip(common_dir, branch) != old:
        return False
    said = output.stderr.decode("utf-8", "replace").strip()
    raise GitError(f"the branch {branch} cannot be moved: {said}")


def require_branch(common_dir: Path, branch: str) -> None:
    """Raise InputError unless `branch` is a local branch by that very name."""
    output = run_git(["check-ref-format", f"refs/heads/{branch}"], check=False)
    if output.exit_code != 0 or "\n" in branch or branch_tip(common_dir, branch) is None:
        raise InputError(
            f"--into: there is no branch {branch!r} in the repository",
            hint="give the name of a local branch: see `git branch`",
        )


def checkouts_of(common_dir: Path, branch: str) -> Sequence[Path]:
    """Return where the user has `branch` checked out."""
    output = run_git(["worktree", "list", "--porcelain", "-z"], git_dir=common_dir).stdout
    found, place = [], b""
    for line in output.split(b"\0"):
        if line.startswith(b"worktree "):
            place = line.removeprefix(b"worktree ")
        elif line == b"branch refs/heads/" + os.fsencode(branch):
            found.append(Path(os.fsdecode(place)))
    return found
