"""`attempts:` in a task file, from the command line: chosen, killed, resumed, tried again, taken over."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

from tests.acceptance.cli_fixtures import Person, person

__all__ = ["person"]
WAIT_S = 30.0


def write_tasks(person: Person, line: str, more: str = "") -> Path:
    return person.write(
        "../tasks.yaml",
        f"""
version: 1
sandbox: "off"
isolation: worktree
tasks:
  - id: page
    attempts: 3
    command: {json.dumps(["sh", "-c", line])}
    {more}
  - id: after
    needs: [page]
    command: [sh, -c, "cat work.txt > seen.txt"]
""",
    )


def log(folder: Path) -> list[str]:
    return sorted((folder / "log").read_text().split())


def report_of(done: Any) -> dict[str, Any]:
    assert done.stdout, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def test_variants_from_a_task_file(person: Person) -> None:
    write_tasks(person, "case $ORCHESTRATOR_WORKER_ID in *.v2) seq 2;; *) seq 9;; esac > work.txt")
    done = person.orchestrator("run", "../tasks.yaml")
    assert done.returncode == 0, done.stderr
    assert "2 tasks" in done.stderr
    assert "* page.v2 (command): succeeded, 2 lines" in done.stdout
    assert "2 of 2 ended, 2 succeeded" in done.stdout
    listed = person.orchestrator("undo").stdout
    assert "page.v1@1" in listed and "page.v3@1" in listed
    run_id = done.stderr.split()[1].rstrip(":")
    restored = person.orchestrator("undo", run_id, "page.v1")
    assert restored.returncode == 0, restored.stderr
    assert person.git("show", f"orchestrator/{run_id}/page.v1-restored:work.txt").split()[-1] == "9"
    assert person.orchestrator("report", run_id, "--html", "page.html").returncode == 0
    review = person.orchestrator("report", run_id, "--review").stdout
    for text in (review, (person.folder / "page.html").read_text()):
        assert "page.v2" in text and "smallest diff" in text
    landed = person.orchestrator("land", run_id)
    assert landed.returncode == 0, landed.stderr
    assert "page, after" in landed.stdout


def test_a_killed_run_keeps_the_variants_that_ended_and_chooses(person: Person) -> None:
    place = person.folder.parent
    wait = f"while ! test -e {place}/go; do sleep 0.05; done"
    write_tasks(
        person,
        f"echo $ORCHESTRATOR_WORKER_ID >> {place}/log; seq 9 > work.txt;"
        f" case $ORCHESTRATOR_WORKER_ID in *.v3) {wait}; seq 3 > work.txt;; esac",
    )
    going = person.start("run", "../tasks.yaml", "--no-progress")
    deadline = time.monotonic() + WAIT_S
    while ended_variants(person) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    going.send_signal(signal.SIGKILL)
    going.communicate()
    (place / "go").touch()
    report = report_of(person.orchestrator("resume", "--json"))
    page, after = report["results"]
    assert log(place) == ["page.v1", "page.v2", "page.v3", "page.v3"]
    assert [one["chosen"] for one in page["variants"]] == [False, False, True]
    assert after["status"] == "succeeded"


def ended_variants(person: Person) -> int:
    """How many variants of the newest run have ended, as its status says."""
    shown = person.orchestrator("status", "--json").stdout
    pending = json.loads(shown)["pending"] if shown.strip() else []
    variants = [one for entry in pending for one in entry["variants"]]
    return sum(one["phase"] == "finished" for one in variants)


def test_retry_and_resume_failed_know_variants(person: Person) -> None:
    place = person.folder.parent
    note = f"echo $ORCHESTRATOR_WORKER_ID >> {place}/log; echo x > work.txt"
    write_tasks(person, f"{note}; test -e {place}/ok")
    first = person.orchestrator("run", "../tasks.yaml", "--json")
    assert first.returncode == 1
    (place / "log").unlink()
    (place / "ok").touch()
    again = person.orchestrator("retry", report_of(first)["run_id"], "--json")
    assert [one["status"] for one in report_of(again)["results"]] == ["succeeded"] * 2, again.stderr
    assert log(place) == ["page.v1", "page.v2", "page.v3"]
    (place / "log").unlink()
    over = report_of(person.orchestrator("run", "../tasks.yaml", "--resume-failed", "--json"))
    assert not (place / "log").exists()
    assert all(one["kept_from"] for one in over["results"])
    assert len(over["results"]) == 2
