"""The gate in the worker's own workspace: on what was committed, again when flaky, and certified."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.model.result import Status
from tests.integration.run_fixtures import git, make_repository, run, shell, task


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "repo")


@pytest.mark.parametrize("isolation", ["worktree", "clone"])
@pytest.mark.parametrize("bit", ["--assume-unchanged", "--skip-worktree"])
def test_what_git_was_told_to_overlook_does_not_count(repo: Path, isolation: str, bit: str) -> None:
    line = f"git update-index {bit} README.md && echo done > README.md"
    [result] = run(repo, [task("a", shell(line))], verify=["grep -q done README.md"], isolation=isolation)
    tree_has_it = result.commit is not None and git(repo, "show", f"{result.commit}:README.md") == "done"
    assert result.success == tree_has_it
    if not tree_has_it:
        assert (result.status, result.error_kind) == (Status.FAILED, "verify_failed")


@pytest.mark.parametrize("isolation", ["worktree", "clone"])
def test_ignored_files_stay_and_the_committed_ones_are_there(repo: Path, isolation: str) -> None:
    line = "mkdir -p ignored && touch ignored/cache && echo new > new.txt"
    checks = ["test -f ignored/cache && test -f new.txt && git diff --quiet HEAD"]
    [result] = run(repo, [task("a", shell(line))], verify=checks, isolation=isolation)
    assert result.success, result.error_message


def test_a_gate_that_passes_at_the_second_try_is_reported_as_flaky(repo: Path, tmp_path: Path) -> None:
    once = tmp_path / "once"
    line = f"test -e {once} || {{ touch {once}; exit 7; }}"
    [result] = run(repo, [task("a", shell("true"), verify=[line])], verify_retries=1)
    assert result.success
    assert result.verify is not None
    assert result.verify.flaky
    once.unlink()
    [result] = run(repo, [task("a", shell("true"), verify=[line])])
    assert result.error_kind == "verify_failed"
    assert "status 7" in (result.error_message or "")


def test_a_pass_on_nothing_but_the_tree_is_certified(repo: Path, home: Path) -> None:
    run(repo, [task("a", shell("echo a > a.txt"))], verify=["test -f a.txt"])
    assert len(list((home / "certificates").iterdir())) == 1
    run(repo, [task("a", shell("echo a > a.txt"))], verify=["test -f a.txt"])
    assert len(list((home / "certificates").iterdir())) == 1
    leaves = "echo b > b.txt; mkdir ignored; touch ignored/help"
    run(repo, [task("b", shell(leaves))], verify=["test -f ignored/help"])
    run(repo, [task("c", shell("true"))], verify=["false"])
    assert len(list((home / "certificates").iterdir())) == 1
