"""Makes the repository that MicroBlog is built in: one commit, the scaffold."""

from __future__ import annotations

import shutil
from pathlib import Path

from orchestrator.errors import InputError
from orchestrator.git.process import run_git

SCAFFOLD = Path(__file__).parent / "scaffold"

_WHEN = "2026-01-01T00:00:00Z"
#: The commit is the same on every machine.
_IDENTITY = {
    "GIT_AUTHOR_NAME": "MicroBlog",
    "GIT_AUTHOR_EMAIL": "microblog@localhost",
    "GIT_AUTHOR_DATE": _WHEN,
    "GIT_COMMITTER_NAME": "MicroBlog",
    "GIT_COMMITTER_EMAIL": "microblog@localhost",
    "GIT_COMMITTER_DATE": _WHEN,
}


def build_repository(directory: Path) -> None:
    """Make a git repository with one commit in `directory`, which must be empty or not there yet."""
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise InputError(f"{directory} is not an empty folder", hint="name a folder that is not there yet")
    shutil.copytree(SCAFFOLD, directory, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    for argv in (
        ["init", "--quiet", "--initial-branch=main", "--template="],
        ["add", "--all"],
        ["commit", "--quiet", "--message=The scaffold of MicroBlog"],
    ):
        run_git(argv, cwd=directory, env=_IDENTITY)
