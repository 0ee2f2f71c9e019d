"""Landing branches that all change one manifest, one lock file, one changelog."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.git_fixtures import commit_files, fingerprint
from tests.integration.landing_fixtures import branch_of, finished_run, land
from tests.integration.run_fixtures import git, make_repository, shell

PACKAGE = '{\n  "dependencies": {\n    "zod": "3"\n  }\n}\n'
#: Stands for a package manager: the lock file is what the manifest asks for, sorted.
MAKE_LOCK = "tr -d ' ,' < package.json | grep : | sort > package-lock.json"
#: A gate that only a fresh lock file passes.
CHECK_LOCK = "cd web && tr -d ' ,' < package.json | grep : | sort | cmp - package-lock.json"


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    repo = make_repository(tmp_path / "repo")
    commit_files(repo, {"web/package.json": PACKAGE, "CHANGELOG.md": "# News\n\n- zod\n"})
    git(repo, "switch", "-q", "main")
    (repo / "web/package-lock.json").write_text("zod\n")
    commit_files(repo, {"web/package-lock.json": '"dependencies":{\n"zod":"3"\n'})
    return repo


def _adds(name: str) -> list[str]:
    """An agent that adds a dependency, and makes the lock file anew as a good agent does."""
    edit = f"""sed -i 's/"zod"/"{name}": "1",\\n    "zod"/' package.json"""
    return shell(
        f"cd web && {edit} && {MAKE_LOCK} && cd .. && sed -i 's/- zod/- {name}\\n- zod/' CHANGELOG.md"
    )


RULES = {"lock_files": {"package-lock.json": MAKE_LOCK}, "union": ["CHANGELOG.md"]}


@pytest.mark.parametrize("history", ["merge", "squash"])
def test_all_land_and_the_lock_file_fits(repo: Path, history: str) -> None:
    commands = {name: _adds(name) for name in ("pg", "jose", "got")}
    folder = finished_run(repo, commands, verify=[CHECK_LOCK], **RULES)
    before = fingerprint(repo)
    result = land(folder, history=history)
    assert result.complete, result.held
    tip = branch_of(folder)
    package = json.loads(git(repo, "show", f"{tip}:web/package.json"))
    assert sorted(package["dependencies"]) == ["got", "jose", "pg", "zod"]
    assert git(repo, "show", f"{tip}:web/package-lock.json").count("\n") == 4
    assert git(repo, "show", f"{tip}:CHANGELOG.md").count("- ") == 4
    assert git(repo, "log", "-1", "--format=%s", tip) == "Make web/package-lock.json anew"
    assert fingerprint(repo) == before
    again = land(folder, history=history)
    assert (again.complete, again.commit) == (True, result.commit)


def test_without_a_command_the_lock_file_stays_a_conflict_and_says_so(repo: Path) -> None:
    folder = finished_run(repo, {name: _adds(name) for name in ("pg", "jose")}, union=["CHANGELOG.md"])
    result = land(folder)
    (held,) = result.held.values()
    assert held.files == ("web/package-lock.json",)
    assert "`lock_files` has no command that makes package-lock.json anew" in held.reason


def test_a_command_that_fails_sets_aside_only_what_needs_it(repo: Path) -> None:
    rules = {"lock_files": {"package-lock.json": f"! grep -q bad package.json && {MAKE_LOCK}"}}
    commands = {name: _adds(name) for name in ("pg", "bad", "got")}
    folder = finished_run(repo, commands, union=["CHANGELOG.md"], **rules)
    result = land(folder)
    assert result.landed == ["pg", "got"]
    assert list(result.held) == ["bad"]
    assert "lock file command" in result.held["bad"].reason


def test_a_command_that_leaves_a_link_gets_nothing_in(repo: Path) -> None:
    rules = {"lock_files": {"package-lock.json": "ln -sf /etc/passwd package-lock.json"}}
    folder = finished_run(
        repo, {name: _adds(name) for name in ("pg", "got")}, union=["CHANGELOG.md"], **rules
    )
    result = land(folder)
    assert result.landed == ["pg"]
    assert "left no web/package-lock.json" in result.held["got"].reason


@pytest.mark.parametrize("isolation", ["worktree", "clone"])
def test_a_task_starts_from_what_it_needs_joined_by_the_same_rules(repo: Path, isolation: str) -> None:
    commands = {
        "pg": _adds("pg"),
        "got": _adds("got"),
        "last": shell("grep -c '\"1\"' web/package.json > n.txt"),
    }
    needs = {"last": ["pg", "got"]}
    folder = finished_run(repo, commands, needs=needs, isolation=isolation, verify=[], **RULES)
    result = land(folder)
    assert result.complete, result.held
    assert git(repo, "show", f"{branch_of(folder)}:n.txt") == "2"
