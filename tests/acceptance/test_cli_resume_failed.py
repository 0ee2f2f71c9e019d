"""`run --resume-failed`: what an earlier run finished is taken over, and only the rest runs."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Mapping
from typing import Any

import pytest

from tests.acceptance.cli_fixtures import Person, person

__all__ = ["person"]

HEAD = """
version: 1
agent: command
sandbox: "off"
isolation: worktree
max_workers: 2
{settings}
tasks:
"""


def line(name: str, then: str = "true") -> str:
    """Note each start in a file outside, write a file of the task's own, then go on."""
    return f"echo {name} >> $STARTS; echo {name} > {name}.txt; {then}"


def run(
    person: Person, tasks: Mapping[str, Any], *options: str, settings: str = "", code: int | None = None
) -> dict[str, Any]:
    """Run tasks by id: a command, or a mapping with more."""
    text = HEAD.format(settings=settings)
    for name, task in tasks.items():
        about = task if isinstance(task, dict) else {"command": ["sh", "-c", task]}
        entry = {"id": name, "prompt": "x", "env": {"STARTS": str(person.folder.parent / "starts")}, **about}
        text += f"  - {json.dumps(entry)}\n"
    person.write("../tasks.yaml", text)
    done = person.orchestrator("run", "../tasks.yaml", "--json", *options)
    assert code is None or done.returncode == code, done.stderr
    return {**json.loads(done.stdout), "said": done.stderr}


def starts(person: Person) -> list[str]:
    """Which tasks started since this was asked last, sorted."""
    path = person.folder.parent / "starts"
    found = sorted(path.read_text().split()) if path.exists() else []
    path.write_text("")
    return found


def kept(report: dict[str, Any]) -> dict[str, str | None]:
    return {result["worker_id"]: result["kept_from"] for result in report["results"]}


def sh(text: str, **about: Any) -> dict[str, Any]:
    return {"command": ["sh", "-c", text], **about}


def test_only_what_did_not_succeed_runs_again(person: Person) -> None:
    gate = person.folder.parent / "gate"
    tasks = {"a": line("a"), "b": line("b", f"test -e {gate}"), "c": line("c")}
    first = run(person, tasks, code=1)
    assert starts(person) == ["a", "b", "c"]
    gate.touch()
    again = run(person, tasks, "--resume-failed", code=0)
    assert starts(person) == ["b"]
    run_id = first["run_id"]
    assert list(kept(again).items()) == [("a", run_id), ("b", None), ("c", run_id)]
    assert again["results"][0]["commit"] == first["results"][0]["commit"]
    assert (again["status"], again["counts"]["succeeded"]) == ("succeeded", 3)
    assert "kept        2 results of " + run_id in again["said"]
    assert again["sum_seconds"] < first["sum_seconds"] + 5
    third = run(person, tasks, "--resume-failed", code=0)
    assert starts(person) == []
    assert kept(third) == {"a": run_id, "b": again["run_id"], "c": run_id}
    log = (person.home / "runs" / again["run_id"] / "joblog.tsv").read_text()
    assert [row.split("\t")[1] for row in log.splitlines()[1:]] == ["b"]


def test_tasks_are_known_by_their_content_not_by_place_or_id(person: Person) -> None:
    first = run(person, {"a": line("a"), "b": line("b"), "c": line("c")}, code=0)
    starts(person)
    changed = {"new": line("new"), "c": line("c"), "renamed": line("a"), "b": line("b", "echo more")}
    again = run(person, changed, "--resume-failed", code=0)
    assert starts(person) == ["b", "new"]
    run_id = first["run_id"]
    assert kept(again) == {"new": None, "c": run_id, "renamed": run_id, "b": None}
    assert again["results"][2]["branch"] == f"orchestrator/{run_id}/a"


def test_what_depends_on_kept_work_builds_on_it(person: Person) -> None:
    gate = person.folder.parent / "gate"
    tasks = {
        "base": line("base"),
        "top": sh(line("top", f"test -e base.txt && test -e {gate}"), needs=["base"]),
    }
    run(person, tasks, code=1)
    gate.touch()
    starts(person)
    again = run(person, tasks, "--resume-failed", code=0)
    assert starts(person) == ["top"]
    top = again["results"][1]
    assert person.git("show", f"{top['commit']}:base.txt") == "base\n"
    assert top["files_changed"] == ["top.txt"]


def test_what_builds_on_changed_work_runs_again(person: Person) -> None:
    tasks = {"base": line("base"), "top": sh(line("top"), needs=["base"]), "other": line("other")}
    run(person, tasks, code=0)
    starts(person)
    tasks["base"] = line("base", "echo changed")
    again = run(person, tasks, "--resume-failed", code=0)
    assert starts(person) == ["base", "top"]
    assert kept(again)["other"]


def test_other_checks_are_other_work(person: Person) -> None:
    run(person, {"a": line("a")}, code=0)
    starts(person)
    again = run(person, {"a": line("a")}, "--resume-failed", settings="verify: ['test -e a.txt']", code=0)
    assert starts(person) == ["a"]
    assert kept(again) == {"a": None}
    run(person, {"a": line("a")}, "--resume-failed", settings="verify: ['test -e a.txt']\nretries: 2", code=0)
    assert starts(person) == []


def test_work_that_is_gone_from_the_repository_is_done_again(person: Person) -> None:
    first = run(person, {"a": line("a"), "b": line("b")}, code=0)
    person.git("update-ref", "-d", f"refs/heads/{first['results'][0]['branch']}")
    person.git("reflog", "expire", "--expire=now", "--all")
    person.git("gc", "-q", "--prune=now")
    starts(person)
    again = run(person, {"a": line("a"), "b": line("b")}, "--resume-failed", code=0)
    assert starts(person) == ["a"]
    assert kept(again) == {"a": None, "b": first["run_id"]}


def test_without_an_earlier_run_all_start(person: Person) -> None:
    report = run(person, {"a": line("a")}, "--resume-failed", code=0)
    assert starts(person) == ["a"]
    assert "no earlier run" in report["said"]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_after_a_kill_durable_results_are_kept(person: Person, how: signal.Signals) -> None:
    gate = person.folder.parent / "gate"
    slow = f"while ! test -e {gate}; do sleep 0.05; done"
    tasks = {"quick": line("quick"), "slow": line("slow", slow)}
    text = HEAD.format(settings="")
    for name, command in tasks.items():
        env = {"STARTS": str(person.folder.parent / "starts")}
        entry = {"id": name, "prompt": "x", "env": env, "command": ["sh", "-c", command]}
        text += f"  - {json.dumps(entry)}\n"
    person.write("../tasks.yaml", text)
    running = person.start("run", "../tasks.yaml", "--events", "../events", "--no-progress")
    events, deadline = person.folder.parent / "events", time.monotonic() + 60
    while time.monotonic() < deadline and not (events.exists() and "worker.finished" in events.read_text()):
        time.sleep(0.02)
    os.kill(running.pid, how)
    running.communicate(timeout=60)
    starts(person)
    gate.touch()
    again = run(person, tasks, "--resume-failed", code=0)
    assert starts(person) == ["slow"]
    assert kept(again)["quick"]
