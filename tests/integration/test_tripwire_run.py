"""Whole runs under the tripwire: who touches the user's repository fails, and the evidence stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.model.result import Status
from tests.integration.run_fixtures import make_repository, run, shell, task

HARM = {
    "hook": "echo x > {repo}/.git/hooks/post-commit",
    "config": "git -C {repo} config core.fsmonitor /evil",
    "branch": "git -C {repo} branch another",
    "head": "git -C {repo} symbolic-ref HEAD refs/heads/elsewhere",
    "info": "mkdir -p {repo}/.git/info && echo '* filter=x' > {repo}/.git/info/attributes",
    "checkout": "echo x >> {repo}/README.md",
}


@pytest.mark.parametrize("kind", HARM)
def test_a_worker_that_changes_what_is_the_users_fails_with_evidence(tmp_path: Path, kind: str) -> None:
    repo = make_repository(tmp_path / "repo")
    line = HARM[kind].format(repo=repo)
    (result,) = run(repo, [task("a", shell(f"{line}; echo done"))], sandbox="off", isolation="worktree")
    assert (result.status, result.error_kind) == (Status.FAILED, "tripwire")
    assert result.log_path is not None
    assert Path(result.log_path).with_name("tripwire.diff").stat().st_size > 0
    assert kind in str(result.error_message).lower() or "README" in str(result.error_message)


def test_a_worker_that_changes_nothing_of_the_users_succeeds(tmp_path: Path) -> None:
    repo = make_repository(tmp_path / "repo")
    line = "echo x > new && git add new && git commit -qm new"
    (result,) = run(repo, [task("a", shell(line))], sandbox="off", isolation="worktree")
    assert result.success, result.error_message
