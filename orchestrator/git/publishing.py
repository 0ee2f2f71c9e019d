"""Pushing a branch to the user's own remote, with their own settings; hooks do not run."""

from __future__ import annotations

import os

from orchestrator.errors import GitError
from orchestrator.git.process import describe_failure, run_git
from orchestrator.git.repository import Repository

_ENV = {
    "GIT_CONFIG_COUNT": "2",
    "GIT_CONFIG_KEY_0": "core.hooksPath",
    "GIT_CONFIG_VALUE_0": os.devnull,
    "GIT_CONFIG_KEY_1": "push.followTags",
    "GIT_CONFIG_VALUE_1": "false",
    "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
}
_TIMEOUT_S = 600.0


def push_branch(repo: Repository, remote: str, branch: str) -> None:
    """Push `branch` under its own name, never by force. Raises GitError."""
    argv = ["push", "--quiet", "--no-verify", "--", remote, f"refs/heads/{branch}:refs/heads/{branch}"]
    allowed = {name: value for name in ("GIT_SSH_COMMAND", "GIT_SSH") if (value := os.environ.get(name))}
    output = run_git(
        argv,
        git_dir=repo.common_dir,
        cwd=repo.root,
        env={**_ENV, **allowed},
        check=False,
        user_config=True,
        timeout_s=_TIMEOUT_S,
    )
    if output.exit_code != 0:
        raise GitError(describe_failure(argv, output), hint="can you push there yourself?")


def remote_of(repo: Repository) -> str | None:
    """Return the remote to push to: `origin`, else the only one there is."""
    names = run_git(["remote"], git_dir=repo.common_dir).stdout.decode("utf-8", "replace").split()
    if "origin" in names:
        return "origin"
    return names[0] if len(names) == 1 else None
