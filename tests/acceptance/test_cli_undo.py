"""`orchestrator undo`: what was in a workspace comes back, and nothing is overwritten."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.cli_fixtures import Person, person

__all__ = ["person"]

TASKS = """
version: 1
agent: command
sandbox: "off"
isolation: {isolation}
verify: ["{verify}"]
tasks:
  - {{id: login, prompt: "x", command: ["sh", "-c", "echo login > login.txt"]}}
  - {{id: search, prompt: "x", command: ["sh", "-c", "echo search > search.txt"]}}
"""
#: What a check may leave in the workspace after the work was committed.
VERIFY = "echo staged > README.md && git add README.md && echo later > README.md && echo new > report.txt"


@pytest.fixture(params=["worktree", "clone"])
def run_id(person: Person, request: pytest.FixtureRequest) -> str:
    person.write("tasks.yaml", TASKS.format(isolation=request.param, verify=VERIFY))
    done = person.orchestrator("run", "tasks.yaml", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["run_id"]


def listed(person: Person) -> list[dict[str, Any]]:
    return json.loads(person.orchestrator("undo", "--json").stdout)


def test_it_lists_what_was_salvaged(person: Person, run_id: str) -> None:
    entries = listed(person)
    assert {entry["worker_id"] for entry in entries} == {"login", "search"}
    keys = ("run_id", "files", "staged", "untracked", "bytes")
    assert {tuple(entry[key] for key in keys) for entry in entries} == {(run_id, 2, 1, 1, 10)}
    shown = person.orchestrator("undo").stdout
    assert f"{run_id}  login@1" in shown
    assert "undo RUN WORKER" in shown


def test_a_branch_by_default(person: Person, run_id: str) -> None:
    done = person.orchestrator("undo", run_id, "login")
    branch = f"orchestrator/{run_id}/login-restored"
    assert (done.returncode, branch in done.stdout) == (0, True), done.stderr
    assert person.git("diff", "--name-only", f"orchestrator/{run_id}/login", branch).split() == [
        "README.md",
        "report.txt",
    ]
    assert person.git("show", f"{branch}:README.md") == "later\n"
    assert person.git("show", f"{branch}:login.txt") == "login\n"
    assert sorted(path.name for path in person.folder.iterdir()) == [".git", "README.md", "tasks.yaml"]
    assert person.git("status", "--porcelain").split() == ["??", "tasks.yaml"]
    again = person.orchestrator("undo", run_id, "login")
    assert again.returncode == 2
    assert "there is a branch" in again.stderr
    assert "--branch" in again.stderr
    named = person.orchestrator("undo", run_id[:8], "login", "--branch", "mine", "--json")
    assert json.loads(named.stdout)["restored"]["branch"] == "mine"
    assert len(listed(person)) == 2


def test_a_folder_with_what_was_staged_and_untracked(person: Person, run_id: str, tmp_path: Path) -> None:
    place = tmp_path / "again"
    done = person.orchestrator("undo", run_id, "login", "--to", str(place))
    assert done.returncode == 0, done.stderr
    there = Person(place, person.env)
    assert there.git("status", "--porcelain").splitlines() == ["MM README.md", "?? report.txt"]
    assert there.git("show", ":README.md") == "staged\n"
    assert (place / "README.md").read_text() == "later\n"
    assert (place / "report.txt").read_text() == "new\n"
    assert there.git("branch", "--show-current").strip() == f"orchestrator/{run_id}/login-restored"
    refused = person.orchestrator("undo", run_id, "search", "--to", str(place))
    assert refused.returncode == 2
    assert "is there already" in refused.stderr
    person.git("worktree", "remove", "--force", str(place))


def test_it_says_what_there_is_when_names_do_not_fit(person: Person, run_id: str) -> None:
    for words, said in (
        (["1999"], "nothing was salvaged of a run"),
        ([run_id], "there are 2"),
        ([run_id, "nobody"], "login@1, search@1"),
        ([run_id, "login", "--branch", "a..b"], "cannot be the name"),
        (["--to", "somewhere"], "need RUN"),
    ):
        done = person.orchestrator("undo", *words)
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr


def test_nothing_to_undo(person: Person) -> None:
    assert listed(person) == []
    assert "nothing was salvaged" in person.orchestrator("undo").stdout
