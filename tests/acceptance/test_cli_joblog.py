"""The job log: a line for each attempt as it ends, whole whatever happens, for programs to read."""

from __future__ import annotations

import csv
import json
import os
import signal
import time
from pathlib import Path

import pytest

from orchestrator.journal.joblog import COLUMNS, append_whole
from tests.acceptance.cli_fixtures import Person, person

__all__ = ["person"]

TASKS = """
version: 1
agent: command
sandbox: "off"
isolation: worktree
max_workers: 1
retries: 1
verify: ["test ! -e bad.txt"]
tasks:
  - {id: one, prompt: "x", command: ["sh", "-c", "echo 1 > one.txt"]}
  - {id: two, prompt: "x", command: ["sh", "-c", "exit 3"]}
  - {id: three, prompt: "x", command: ["sh", "-c", "echo > bad.txt"], retries: 0}
  - {id: four, prompt: "x", command: ["sh", "-c", "kill -9 $$"], retries: 0}
  - {id: five, prompt: "x", command: ["true"], needs: [two]}
"""


def rows(path: Path) -> list[dict[str, str]]:
    text = path.read_text()
    assert text.endswith("\n")
    return list(csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))


def test_each_attempt_has_a_line(person: Person) -> None:
    person.write("tasks.yaml", TASKS)
    done = person.orchestrator("run", "tasks.yaml", "--json", "--joblog", "jobs.tsv")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    log = person.folder / "jobs.tsv"
    assert log.read_text() == (person.home / "runs" / report["run_id"] / "joblog.tsv").read_text()
    assert log.read_text().splitlines()[0] == "\t".join(COLUMNS)
    lines = rows(log)
    of = {(line["worker_id"], line["attempt"]): line for line in lines}
    assert sorted(of) == [("four", "1"), ("one", "1"), ("three", "1"), ("two", "1"), ("two", "2")]
    one, two, three, four = of["one", "1"], of["two", "2"], of["three", "1"], of["four", "1"]
    assert (one["seq"], one["status"], one["exit_code"], one["verify"]) == ("1", "succeeded", "0", "passed")
    assert one["commit"] == report["results"][0]["commit"]
    assert (two["status"], two["error_kind"], two["exit_code"]) == ("failed", "exit_status", "3")
    assert (three["error_kind"], three["verify"], three["seq"]) == ("verify_failed", "failed", "3")
    assert (four["exit_code"], four["signal"]) == ("-", "SIGKILL")
    assert float(three["queue_wait"]) > 0
    assert float(two["queue_wait"]) == pytest.approx(
        float(two["start"]) - float(of["two", "1"]["start"]) - float(of["two", "1"]["duration"]), abs=0.01
    )
    ends = [float(line["start"]) + float(line["duration"]) for line in lines]
    assert ends == sorted(ends)
    assert len({line["digest"] for line in lines}) == 4
    assert all(line["started_at"].endswith("Z") for line in lines)


def test_a_file_that_cannot_be_written_is_said_before_anything_starts(person: Person) -> None:
    person.write("tasks.yaml", TASKS)
    done = person.orchestrator("run", "tasks.yaml", "--joblog", "nowhere/jobs.tsv")
    assert done.returncode == 2
    assert "--joblog" in done.stderr


def test_lines_are_whole_after_a_kill(person: Person) -> None:
    tasks = "".join(
        f'  - {{id: t{n}, prompt: "x", command: ["sh", "-c", "sleep 0.0{n % 10}"]}}\n' for n in range(40)
    )
    person.write(
        "tasks.yaml", TASKS.partition("tasks:")[0].replace("1\nretries", "4\nretries") + "tasks:\n" + tasks
    )
    running = person.start("run", "tasks.yaml", "--joblog", "jobs.tsv", "--no-progress")
    log, deadline = person.folder / "jobs.tsv", time.monotonic() + 60
    while (not log.exists() or log.read_bytes().count(b"\n") < 6) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(running.pid, signal.SIGKILL)
    running.communicate(timeout=30)
    (folder,) = (person.home / "runs").iterdir()
    for path in (log, folder / "joblog.tsv"):
        lines = rows(path)
        assert len(lines) >= 5
        assert all(None not in line and None not in line.values() for line in lines)


def test_a_line_that_does_not_fit_on_the_disk_leaves_no_half(tmp_path: Path) -> None:
    place = Path("/dev/full")
    if not place.exists():
        pytest.skip("there is no /dev/full here")
    with pytest.raises(OSError, match=r"No space|Invalid"):
        append_whole(place, b"line\n")
    path = tmp_path / "log"
    append_whole(path, b"1\n", anew=True)
    append_whole(path, b"2\n")
    assert path.read_bytes() == b"1\n2\n"
