"""`orchestrator gc --branches` and `--salvage`: what is landed goes, what is not stays and is named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.acceptance.cli_fixtures import Person, person

__all__ = ["person"]

TASKS = """
version: 1
agent: command
sandbox: "off"
isolation: worktree
verify: ["echo seen > report.txt"]
keep: {keep}
tasks:
"""
TASK = '  - {{id: {name}, prompt: "x", command: ["sh", "-c", "{line}"]}}\n'


def run(person: Person, keep: str = "never", **lines: str) -> str:
    tasks = "".join(TASK.format(name=name, line=line) for name, line in lines.items())
    person.write("../tasks.yaml", TASKS.format(keep=keep) + tasks)
    done = person.orchestrator("run", "../tasks.yaml", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["run_id"]


def gc(person: Person, *options: str) -> dict[str, Any]:
    done = person.orchestrator("gc", "--json", *options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def branches(person: Person) -> list[str]:
    return person.git("for-each-ref", "--format=%(refname:lstrip=4)", "refs/heads/orchestrator").split()


@pytest.fixture
def run_id(person: Person) -> str:
    """Work that was merged, squashed and not landed at all, and a worker that did nothing."""
    lines = {name: f"echo {name} > {name}.txt" for name in ("merged", "squashed", "open")}
    run_id = run(person, **lines, idle="true")
    person.git("merge", "-q", "--no-edit", f"orchestrator/{run_id}/merged")
    person.git("merge", "-q", "--squash", f"orchestrator/{run_id}/squashed")
    person.git("commit", "-q", "-m", "Squashed")
    return run_id


def test_only_what_is_landed_goes(person: Person, run_id: str) -> None:
    person.git("branch", f"orchestrator/{run_id}/of-the-user", "HEAD~1")
    before = branches(person)
    planned = gc(person, "--branches", "--dry-run")["runs"]
    assert branches(person) == before
    done = gc(person, "--branches")["runs"]
    assert planned == done
    (entry,) = done
    gone = {gone["branch"].split("/")[2]: gone["how"] for gone in entry["branches_removed"]}
    assert gone == {"merged": "ancestor", "squashed": "tree"}
    assert entry["kept_because"] == {f"orchestrator/{run_id}/open": "not landed in main"}
    assert branches(person) == ["of-the-user", "open"]
    assert person.git("show", f"orchestrator/{run_id}/open:open.txt") == "open\n"


def test_without_being_asked_branches_stay(person: Person, run_id: str) -> None:
    assert gc(person)["runs"] == []
    assert branches(person) == ["merged", "open", "squashed"]
    assert run_id in person.git("for-each-ref")


def test_what_was_reverted_or_is_checked_out_stays(person: Person, run_id: str) -> None:
    person.git("revert", "--no-edit", "HEAD")
    person.git("worktree", "add", "-q", "../look", f"orchestrator/{run_id}/merged")
    (entry,) = gc(person, "--branches")["runs"]
    assert entry["branches_removed"] == []
    because = {branch.split("/")[2]: reason for branch, reason in entry["kept_because"].items()}
    assert because.keys() == {"merged", "open", "squashed"}
    assert "reverted" in because["squashed"]
    assert "checked out in" in because["merged"]
    shown = person.orchestrator("gc", "--branches").stdout
    assert "kept branch" in shown
    assert "not landed in main" in shown


def test_a_commit_that_only_head_holds_is_not_landed(person: Person) -> None:
    run_id = run(person, one="echo 1 > one.txt")
    person.git("checkout", "-q", "--detach", f"orchestrator/{run_id}/one")
    (entry,) = gc(person, "--branches")["runs"]
    assert entry["branches_removed"] == []
    person.git("checkout", "-q", "-B", "orchestrator/look")
    (entry,) = gc(person, "--branches")["runs"]
    assert entry["branches_removed"] == []
    assert branches(person)[0] == "one"


def test_a_kept_workspace_goes_before_its_branch_is_judged(person: Person) -> None:
    run_id = run(person, keep="always", one="echo 1 > one.txt")
    person.git("merge", "-q", f"orchestrator/{run_id}/one")
    planned = gc(person, "--branches", "--dry-run")
    assert planned["freed_bytes"] > 0
    (entry,) = planned["runs"]
    # What the check left in the workspace is committed on top of it first, and that is not landed.
    assert len(entry["workspaces"]) == 1
    assert entry["kept_because"] == {f"orchestrator/{run_id}/one": "its workspace goes first"}
    (entry,) = gc(person, "--branches")["runs"]
    assert entry["kept_because"] == {f"orchestrator/{run_id}/one": "not landed in main"}


def test_salvage_goes_when_it_is_old_enough_and_asked_for(person: Person, run_id: str) -> None:
    def salvaged() -> int:
        return len(json.loads(person.orchestrator("undo", "--json").stdout))

    assert salvaged() == 4
    refused = person.orchestrator("gc", "--salvage")
    assert refused.returncode == 2
    assert "--older-than" in refused.stderr
    assert gc(person, "--salvage", "--older-than", "30d")["runs"] == []
    gc(person, "--older-than", "1ms")
    assert salvaged() == 4
    planned = gc(person, "--repo", ".", "--salvage", "--older-than", "1ms", "--dry-run")["runs"]
    assert [len(entry["salvage_removed"]) for entry in planned] == [4]
    assert salvaged() == 4
    done = gc(person, "--repo", ".", "--salvage", "--older-than", "1ms")["runs"]
    assert [entry["run_id"] for entry in done] == [run_id]
    assert salvaged() == 0
