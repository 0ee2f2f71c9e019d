"""Linked worktrees and their branches in the user's repository: adding them, and taking them away again."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from orchestrator.errors import GitError
from orchestrator.git.history import resolve_commits
from orchestrator.git.lock import repository_lock
from orchestrator.git.locks import clear_locks_of_killed
from orchestrator.git.process import describe_failure, run_git


def add_worktree(common_dir: Path, path: Path, branch: str, commit: str) -> Path:
    """Register an empty worktree at `path` on a new branch; return its folder in the repository.

    Git itself fails when two of these run at once, hence the lock.
    """
    argv = [
        "worktree",
        "add",
        "--quiet",
        "--no-checkout",
        "--no-track",
        "-b",
        branch,
        "--",
        str(path),
        commit,
    ]
    with repository_lock(common_dir) as lock:
        output = run_git(argv, git_dir=common_dir, check=False, pass_fds=(lock,))
        if output.exit_code == 0:
            return _linked_folder(path)
        clear_locks_of_killed(output, common_dir, branch)
        if b"already exists" not in output.stderr:
            _forget(common_dir, path)
            _delete_branch(common_dir, branch, commit)
    raise GitError(describe_failure(argv, output))


def _linked_folder(path: Path) -> Path:
    """Read the `.git` file that git has just written; later it cannot be trusted."""
    text = os.fsdecode((path / ".git").read_bytes()).removesuffix("\n")
    return (path / text.removeprefix("gitdir: ")).absolute()


def remove_worktree(common_dir: Path, path: Path) -> None:
    """Remove the checkout at `path` and its entry in the repository; either may be gone already."""
    remove_tree(path)
    with repository_lock(common_dir):
        _forget(common_dir, path)


def delete_branch_at(common_dir: Path, branch: str, commit: str) -> bool:
    """Delete `branch` if it points at `commit`; say whether it is gone."""
    (tip,) = resolve_commits([f"refs/heads/{branch}"], git_dir=common_dir)
    if tip is None:
        return True
    if tip != commit:
        return False
    with repository_lock(common_dir):
        return _delete_branch(common_dir, branch, commit)


def entries_under(common_dir: Path, directory: Path) -> tuple[tuple[Path, Path], ...]:
    """The registered worktrees whose checkout lies directly in `directory`: (entry, checkout)."""
    return tuple((entry, place) for entry, place in _entries(common_dir) if place.parent == directory)


def remove_tree(path: Path) -> None:
    """Remove a folder with everything in it, also what was made read-only. It may be gone already."""
    with suppress(FileNotFoundError):
        try:
            shutil.rmtree(path)
        except PermissionError:
            _make_writable(path)
            shutil.rmtree(path)


def _make_writable(path: Path) -> None:
    path.chmod(stat.S_IRWXU)
    for folder, names, _ in os.walk(path):
        for name in names:
            inner = Path(folder, name)
            if not inner.is_symlink():
                inner.chmod(stat.S_IRWXU)


def _forget(common_dir: Path, path: Path) -> None:
    for entry, place in _entries(common_dir):
        if place == path:
            remove_tree(entry)
    with suppress(OSError):  # as git does: the folder goes with its last entry
        (common_dir / "worktrees").rmdir()


def _entries(common_dir: Path) -> Iterator[tuple[Path, Path]]:
    folder = common_dir / "worktrees"
    for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
        with suppress(OSError):
            if not entry.is_symlink():
                text = os.fsdecode((entry / "gitdir").read_bytes()).removesuffix("\n")
                yield entry, (entry / text).parent


def _delete_branch(common_dir: Path, branch: str, commit: str) -> bool:
    argv = ["update-ref", "--no-deref", "-d", f"refs/heads/{branch}", commit]
    output = run_git(argv, git_dir=common_dir, check=False)
    if clear_locks_of_killed(output, common_dir, branch):
        if resolve_commits([f"refs/heads/{branch}"], git_dir=common_dir) == [None]:
            return True
        output = run_git(argv, git_dir=common_dir, check=False)
    return output.exit_code == 0
