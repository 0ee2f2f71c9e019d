"""`orchestrator resume` and `retry`, on real runs that were killed or interrupted."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.acceptance.cli_fixtures import Person, person

__all__ = ["person"]
WAIT_S = 30.0


def until(what: object, folder: Path, name: str) -> None:
    """Wait until a worker has made the file."""
    deadline = time.monotonic() + WAIT_S
    while not (folder / name).exists():
        assert time.monotonic() < deadline, f"{what}: {name} never came"
        time.sleep(0.02)


def task_file(person: Person, marks: Path, *, workers: int = 2) -> str:
    """Five tasks that note each start; `slow` and `last` wait for a file unless it is there."""
    marks.mkdir(exist_ok=True)

    def line(name: str, more: str = ":") -> str:
        note = f"echo {name} >> {marks}/log; touch {marks}/{name}; echo {name} > {name}.txt"
        return json.dumps(["sh", "-c", f"{note}; {more}"])

    wait = f"while ! test -e {marks}/go; do sleep 0.05; done"
    return str(
        person.write(
            "tasks.yaml",
            f"""
version: 1
sandbox: "off"
max_workers: {workers}
tasks:
  - {{id: first, name: first, prompt: p, command: {line("first")}}}
  - {{id: slow, name: slow, prompt: p, command: {line("slow", wait)}}}
  - {{id: second, name: second, prompt: p, needs: [first], command: {line("second", "cat first.txt")}}}
  - {{id: last, name: last, prompt: p, needs: [slow], command: {line("last", "cat slow.txt")}}}
  - {{id: fails, name: fails, prompt: p, command: {line("fails", "exit 3")}}}
  - {{id: skipped, name: skipped, prompt: p, needs: [fails], command: {line("skipped")}}}
""",
        )
    )


def starts(marks: Path) -> list[str]:
    return (marks / "log").read_text().split()


def finished(person: Person) -> set[str]:
    """The workers whose result is in the journal now."""
    report = json.loads(person.orchestrator("report", "--json").stdout)
    return {
        entry["worker_id"]
        for entry in report["results"]
        if entry["status"] in {"succeeded", "failed"} or entry["error_kind"] == "need_failed"
    }


def run_and_end(person: Person, tasks: str, marks: Path, after: str, how: signal.Signals) -> None:
    going = person.start("run", tasks, "--no-progress")
    until(going, marks, after)
    going.send_signal(how)
    going.communicate(timeout=WAIT_S)


@pytest.mark.parametrize("after", ["first", "slow", "second", "fails"])
def test_a_killed_run_is_finished_and_nothing_finished_is_done_again(
    person: Person, tmp_path: Path, after: str
) -> None:
    marks = tmp_path / "marks"
    run_and_end(person, task_file(person, marks), marks, after, signal.SIGKILL)
    assert (status := json.loads(person.orchestrator("status", "--json").stdout))["status"] == "died"
    done, before = finished(person), starts(marks)
    (marks / "go").touch()
    resumed = person.orchestrator("resume", "--json")
    report = json.loads(resumed.stdout)
    assert (resumed.returncode, report["run_id"]) == (1, status["run_id"])
    states = {entry["worker_id"]: entry["status"] for entry in report["results"]}
    assert states == dict.fromkeys(("first", "slow", "second", "last"), "succeeded") | {
        "fails": "failed",
        "skipped": "cancelled",
    }
    assert not done & set(starts(marks)[len(before) :])
    everything = starts(marks)
    assert everything.index("first") < everything.index("second")
    assert "skipped" not in everything
    for entry in report["results"]:
        if entry["status"] == "succeeded":
            assert (
                person.git("show", f"{entry['branch']}:{entry['worker_id']}.txt") == f"{entry['worker_id']}\n"
            )
    assert person.git("fsck", "--no-dangling") == ""
    assert not processes_of(report["run_id"])


def processes_of(run_id: str) -> list[int]:
    mark = f"ORCHESTRATOR_RUN_ID={run_id}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_is_finished(person: Person, tmp_path: Path, how: signal.Signals) -> None:
    marks = tmp_path / "marks"
    run_and_end(person, task_file(person, marks), marks, "second", how)
    assert json.loads(person.orchestrator("status", "--json").stdout)["status"] == "interrupted"
    (marks / "go").touch()
    report = json.loads(person.orchestrator("resume", "--json").stdout)
    assert report["counts"]["succeeded"] == 4
    assert starts(marks).count("first") == 1
    by_id = {entry["worker_id"]: entry for entry in report["results"]}
    assert (by_id["slow"]["attempts"], by_id["first"]["attempts"]) == (2, 1)
    assert report["wall_seconds"] >= by_id["slow"]["duration"]


def test_it_can_be_killed_and_resumed_over_and_over(person: Person, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    run_and_end(person, task_file(person, marks), marks, "slow", signal.SIGKILL)
    for _ in range(2):
        (marks / "slow").unlink()
        going = person.start("resume", "--no-progress")
        until(going, marks, "slow")
        going.kill()
        going.communicate(timeout=WAIT_S)
    (marks / "go").touch()
    report = json.loads(person.orchestrator("resume", "--json").stdout)
    assert report["counts"]["succeeded"] == 4
    by_id = {entry["worker_id"]: entry for entry in report["results"]}
    assert by_id["slow"]["attempts"] == 4
    joblog = (person.home / "runs" / report["run_id"] / "joblog.tsv").read_text()
    assert "last\t1\t" in joblog


def test_only_one_of_two_goes_on_with_a_run(person: Person, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    run_and_end(person, task_file(person, marks), marks, "slow", signal.SIGKILL)
    (marks / "slow").unlink()
    both = [person.start("resume", "--no-progress") for _ in range(2)]
    until(both, marks, "slow")
    deadline = time.monotonic() + WAIT_S
    while all(process.poll() is None for process in both):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    (marks / "go").touch()
    outputs = [process.communicate(timeout=WAIT_S) for process in both]
    assert sorted(process.returncode for process in both)[0] == 1
    refused = [
        err for (_, err), process in zip(outputs, both, strict=True) if "is going" in err or "alive" in err
    ]
    assert len(refused) == 1
    assert starts(marks).count("last") == 1


def test_there_is_nothing_to_resume_in_a_run_that_ended(person: Person) -> None:
    person.write("t.yaml", 'version: 1\nsandbox: "off"\ntasks: [{id: a, prompt: p, command: ["true"]}]\n')
    person.orchestrator("run", "t.yaml")
    again = person.orchestrator("resume")
    assert (again.returncode, "all 1 tasks succeeded" in again.stderr) == (0, True)


def test_a_secret_is_asked_for_again(person: Person, tmp_path: Path) -> None:
    wait = f"touch {tmp_path}/begun; while ! test -e {tmp_path}/go; do sleep 0.05; done"
    tasks = f"""
version: 1
sandbox: "off"
env: {{API_KEY: sk-ant-api03-abcdefghijklmnopqrstuvwxyz}}
tasks:
  - id: a
    prompt: p
    command: [sh, -c, '{wait}; echo $API_KEY > {tmp_path}/key']
"""
    person.write("t.yaml", tasks)
    run_and_end(person, "t.yaml", tmp_path, "begun", signal.SIGKILL)
    (tmp_path / "go").touch()
    refused = person.orchestrator("resume")
    assert (refused.returncode, "env.API_KEY" in refused.stderr) == (2, True)
    assert not (tmp_path / "key").exists()
    assert person.orchestrator("resume", "latest", "t.yaml").returncode == 0
    assert (tmp_path / "key").read_text() == "sk-ant-api03-abcdefghijklmnopqrstuvwxyz\n"


def test_failed_tasks_are_tried_again_with_what_was_skipped(person: Person, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    person.write(
        "t.yaml",
        f"""
version: 1
sandbox: "off"
tasks:
  - {{id: good, prompt: p, command: [sh, -c, "echo good >> {marks}/log"]}}
  - {{id: bad, prompt: p, command: [sh, -c, "echo bad >> {marks}/log; test -e {marks}/mended"]}}
  - {{id: other, prompt: p, command: ["false"]}}
  - {{id: after, prompt: p, needs: [bad], command: [sh, -c, "echo after >> {marks}/log"]}}
""",
    )
    assert person.orchestrator("run", "t.yaml").returncode == 1
    (marks / "mended").touch()
    unknown = person.orchestrator("retry", "latest", "nobody")
    assert (unknown.returncode, "nobody" in unknown.stderr) == (2, True)
    report = json.loads(person.orchestrator("retry", "latest", "bad", "--json").stdout)
    entries = {entry["worker_id"]: (entry["status"], entry["attempts"]) for entry in report["results"]}
    assert entries == {
        "good": ("succeeded", 1),
        "bad": ("succeeded", 2),
        "other": ("failed", 1),
        "after": ("succeeded", 1),
    }
    assert sorted(starts(marks)) == ["after", "bad", "bad", "good"]


def test_a_halted_run_goes_on_with_a_new_count(person: Person, tmp_path: Path) -> None:
    person.write(
        "t.yaml",
        """
version: 1
sandbox: "off"
max_workers: 1
halt: "now,fail=1"
tasks:
  - {id: bad, prompt: p, command: ["false"]}
  - {id: good, prompt: p, command: ["true"]}
""",
    )
    assert person.orchestrator("run", "t.yaml").returncode == 4
    report = json.loads(person.orchestrator("resume", "--json").stdout)
    assert [entry["status"] for entry in report["results"]] == ["failed", "succeeded"]
