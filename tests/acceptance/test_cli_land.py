"""`orchestrator land`, and `run --land`, as a person uses them."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from tests.acceptance.cli_fixtures import Person, person

__all__ = ["person"]

TASKS = """\
version: 1
sandbox: off
verify: ["test ! -e broken.txt || test ! -e c.txt"]
tasks:
  - {id: a, name: Add a, command: [sh, -c, "echo a > a.txt"]}
  - {id: b, name: Add b, command: [sh, -c, "echo b > README.md"]}
  - {id: b2, name: Add another b, command: [sh, -c, "echo other > README.md"]}
  - {id: c, name: Add c, command: [sh, -c, "echo c > c.txt"]}
"""


def test_land_tells_what_landed_what_is_held_and_where_to_look(person: Person) -> None:
    tasks = person.write("tasks.yaml", TASKS)
    assert person.orchestrator("run", str(tasks), "--no-progress").returncode == 0
    head = person.git("rev-parse", "HEAD")
    done = person.orchestrator("land")
    assert done.returncode == 3, done.stderr
    assert "landed    a, b, c" in done.stdout
    assert "held      b2: it conflicts with what has landed: README.md (contents) (by b)" in done.stdout
    assert "git merge --ff-only orchestrator/" in done.stdout
    assert "landing    a, b, c" in done.stderr
    assert person.git("rev-parse", "HEAD") == head
    assert person.git("status", "--short") == "?? tasks.yaml\n"
    again = person.orchestrator("land", "--json", "--no-progress")
    assert again.returncode == 3
    document = json.loads(again.stdout)
    assert document["landing"]["landed"] == ["a", "b", "c"]
    assert [held["worker_id"] for held in document["landing"]["held"]] == ["b2"]
    assert again.stderr == ""
    report = json.loads(person.orchestrator("report", "--json").stdout)
    assert report["landing"]["landed"] == ["a", "b", "c"]
    assert "Landing" in person.orchestrator("report").stdout
    assert "landed" in person.orchestrator("status").stdout
    assert person.orchestrator("land", "--only", "a").returncode == 0
    assert person.orchestrator("land", "--only", "nobody").returncode == 2
    assert person.orchestrator("land", "--into", "nowhere").returncode == 2


def test_a_run_lands_at_its_end_and_its_exit_code_says_so(person: Person) -> None:
    tasks = person.write("tasks.yaml", TASKS)
    done = person.orchestrator("run", str(tasks), "--land", "--no-progress", "--json")
    assert done.returncode == 3, done.stderr
    landing = json.loads(done.stdout)["landing"]
    assert landing["landed"] == ["a", "b", "c"]
    assert landing["branch"].endswith("/integration")
    assert person.git("rev-parse", landing["branch"]).strip() == landing["commit"]
    good = "\n".join(line for line in TASKS.splitlines() if "{id: b" not in line) + "\nland: true\n"
    person.write("tasks.yaml", good)
    assert person.orchestrator("run", str(tasks), "--no-progress").returncode == 0
    failing = good + "  - {id: f, command: ['false']}\n" if good.endswith("]}\n") else good
    failing = failing.replace("land: true\n", "") + "  - {id: f, command: ['false']}\n"
    person.write("tasks.yaml", failing)
    done = person.orchestrator("run", str(tasks), "--no-progress", "--land", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["landing"]["landed"] == ["a", "c"]


@pytest.fixture
def forge(person: Person, tmp_path: Path) -> Path:
    """A remote, and a `gh` that writes down what it is asked."""
    person.git("init", "-q", "--bare", str(tmp_path / "remote.git"))
    person.git("remote", "add", "origin", str(tmp_path / "remote.git"))
    program = tmp_path / "bin" / "gh"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\nprintf "%s|" "$@" >> {tmp_path}/asked; cat >> {tmp_path}/body\n'
        "echo https://forge.example/pr/1\n"
    )
    program.chmod(0o755)
    return program.parent


def test_pull_requests_are_opened_through_gh(person: Person, forge: Path, tmp_path: Path) -> None:
    person.orchestrator("run", str(person.write("tasks.yaml", TASKS)), "--no-progress")
    (person.folder / ".git" / "hooks" / "pre-push").write_text(f"#!/bin/sh\ntouch {tmp_path}/hooked\n")
    (person.folder / ".git" / "hooks" / "pre-push").chmod(0o755)
    path = f"{forge}:{person.env['PATH']}"
    done = person.orchestrator("land", "--pr", PATH=path)
    assert "opened    https://forge.example/pr/1" in done.stdout, done.stderr
    asked = (tmp_path / "asked").read_text()
    assert asked.startswith("pr|create|--base|main|--head|orchestrator/")
    assert "/integration|--title|Land a, b, c|--body-file|-|" in asked
    assert "- `a` (command): Add a" in (tmp_path / "body").read_text()
    assert "`b2`" in (tmp_path / "body").read_text()
    pushed = person.git("ls-remote", "origin")
    assert pushed.count("/integration") == 1
    person.orchestrator("land", "--pr", "each", PATH=path)
    assert person.git("ls-remote", "origin").count("refs/heads/orchestrator/") == 4
    assert not (tmp_path / "hooked").exists()


def test_without_gh_nothing_is_done_and_the_way_out_is_said(person: Person, tmp_path: Path) -> None:
    person.orchestrator("run", str(person.write("tasks.yaml", TASKS)), "--no-progress")
    only = tmp_path / "only"
    only.mkdir()
    for name in ("git", "sh", "cat"):
        found = Path("/usr/bin", name)
        (only / name).symlink_to(found if found.exists() else Path("/bin", name))
    done = person.orchestrator("land", "--pr", PATH=str(only))
    assert done.returncode == 2
    assert "needs the program `gh`" in done.stderr
    assert "integration" not in person.git("branch", "--list", "orchestrator/*")


def test_an_interrupted_landing_says_so_and_the_next_one_goes_on(person: Person, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    slow = f"test ! -e a.txt || {{ touch {begun}; sleep 30; }}"
    tasks = person.write("tasks.yaml", TASKS.replace("test ! -e broken.txt || test ! -e c.txt", "true"))
    person.orchestrator("run", str(tasks), "--no-progress")
    plan = next((person.home / "runs").glob("*/plan.json"))
    quick = plan.read_text()
    plan.write_text(quick.replace('"true"', json.dumps(slow)))
    landing = person.start("land")
    while not begun.exists():
        assert landing.poll() is None
        time.sleep(0.01)
    landing.send_signal(signal.SIGINT)
    out, _ = landing.communicate(timeout=30)
    assert landing.returncode == 130
    assert "stopped" in out
    plan.write_text(quick)
    assert "landed    a, b, c" in person.orchestrator("land").stdout


RESOLVING = """\
version: 1
sandbox: off
resolve_rounds: 1
tasks:
  - {id: b, name: Add b, command: [sh, -c, "echo b > README.md"]}
  - id: b2
    name: Add another b
    command: [sh, -c, "grep -q '<<<<' README.md && sed -i '/^[<=>]/d' README.md || echo other > README.md"]
"""


def test_a_run_gives_a_conflict_back_to_its_agent(person: Person) -> None:
    tasks = person.write("tasks.yaml", RESOLVING)
    done = person.orchestrator("run", str(tasks), "--land")
    assert done.returncode == 0, done.stderr
    assert "resolving  b2 round 1 of 1, by command: README.md" in done.stderr
    assert "resolved   b2" in done.stderr
    report = person.orchestrator("report").stdout
    assert "resolved  b2: by its agent command in 1 round (README.md)" in report
    landing = json.loads(person.orchestrator("report", "--json").stdout)["landing"]
    assert landing["held"] == []
    assert person.git("show", f"{landing['branch']}:README.md") == "b\nother\n"
    assert person.orchestrator("land", "--resolve", "0").returncode == 0
