"""`orchestrator conflicts` as a person uses it: after a run, and while one is going."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

from tests.acceptance.cli_fixtures import Person, person

__all__ = ["person"]

TASKS = """\
version: 1
agent: command
sandbox: "off"
isolation: {isolation}
tasks:
  - id: first
    prompt: x
    command: ["sh", "-c", "printf 'one\\\\n' > README.md; {wait}"]
  - id: apart
    prompt: x
    command: ["sh", "-c", "echo x > apart; {wait}"]
  - id: second
    prompt: x
    command: ["sh", "-c", "printf 'two\\\\n' > README.md; {wait}"]
"""


def tasks(person: Person, *, wait: str = "true", isolation: str = "worktree") -> None:
    person.write("tasks.yaml", TASKS.replace("{wait}", wait).replace("{isolation}", isolation))


def test_after_a_run_the_matrix_the_files_and_the_order_are_shown(person: Person) -> None:
    tasks(person)
    assert person.orchestrator("run", "tasks.yaml", "--no-progress").returncode == 0
    done = person.orchestrator("conflicts")
    assert done.returncode == 0, done.stderr
    shown = done.stdout.splitlines()
    assert "3 of 3 workers have changes" in shown[0]
    assert shown[2] == "Conflicts: 1 pair of branches, in 1 file"
    assert [line.split() for line in shown[4:7]] == [
        ["1", "2"],
        ["1", "first", "-", "1"],
        ["2", "second", "1", "-"],
    ]
    assert shown[8:10] == [
        "  README.md: contents (2 workers: first, second)",
        "    line 1 of first, line 1 of second",
    ]
    assert shown[-1] == "  merged in this order, 1 of them conflict: first apart second"
    assert max(map(len, shown)) < 80


def test_the_json_document_holds_everything_and_knows_the_moved_base(person: Person) -> None:
    tasks(person)
    assert person.orchestrator("run", "tasks.yaml", "--no-progress").returncode == 0
    person.write("apart", "mine\n")
    person.git("add", "apart")
    person.git("commit", "-qm", "The base moves")
    document = json.loads(person.orchestrator("conflicts", "--json").stdout)
    assert [(pair["a"], pair["b"], pair["files"]) for pair in document["pairs"]] == [
        ("first", "second", ["README.md"])
    ]
    assert document["pairs"][0]["conflicts"][0]["hunks"] == [{"file": "README.md", "a": [1, 1], "b": [1, 1]}]
    assert document["target"]["commit"] == person.git("rev-parse", "HEAD").strip()
    assert [(pair["a"], pair["files"]) for pair in document["against_target"]] == [("apart", ["apart"])]
    assert document["order"] == ["first", "apart", "second"]
    assert "Against HEAD" in person.orchestrator("conflicts").stdout


def wait_for_live(person: Person, running: subprocess.Popen[str], count: int) -> dict[str, object]:
    """Ask until that many workers are compared by snapshots; the run is still going then."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and running.poll() is None:
        done = person.orchestrator("conflicts", "--json")
        if done.returncode == 0:
            document: dict[str, object] = json.loads(done.stdout)
            if document["pairs"] and sum(one["live"] for one in document["workers"]) >= count:  # type: ignore[attr-defined]
                return document
    raise AssertionError("the workers were not seen")


def test_running_workers_are_compared_from_another_process(person: Person, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    tasks(person, wait=f"while [ ! -e {gate} ]; do sleep 0.05; done", isolation="clone")
    running = person.start("run", "tasks.yaml", "--no-progress")
    try:
        document = wait_for_live(person, running, 3)
        assert [pair["files"] for pair in document["pairs"]] == [["README.md"]]  # type: ignore[attr-defined]
        shown = person.orchestrator("conflicts").stdout
        assert "3 of them by a snapshot of this moment" in shown
        watching = person.start("conflicts", "--watch")
    finally:
        gate.touch()
        running.communicate(timeout=60)
    out, err = watching.communicate(timeout=60)
    assert watching.returncode == 0, err
    assert "README.md: contents (2 workers: first, second)" in out
    assert running.returncode == 0


def test_a_branch_that_was_deleted_is_told(person: Person) -> None:
    tasks(person)
    assert person.orchestrator("run", "tasks.yaml", "--no-progress").returncode == 0
    branches = person.git("for-each-ref", "--format=%(refname)", "refs/heads/orchestrator").split()
    for branch in branches:
        if branch.endswith("/second"):
            person.git("update-ref", "-d", branch)
    person.git("reflog", "expire", "--expire=all", "--all")
    person.git("gc", "-q", "--prune=now")
    done = person.orchestrator("conflicts")
    assert done.returncode == 0, done.stderr
    assert "second: its commit is not in the repository any more, so it is left out" in done.stdout
    assert "Conflicts: none" in done.stdout


def test_without_parsers_it_says_what_to_install(person: Person, tmp_path: Path) -> None:
    tasks(person)
    assert person.orchestrator("run", "tasks.yaml", "--no-progress").returncode == 0
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(
        "import importlib.util as util\nfind = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if name.startswith('tree_sitter') else find(name, *rest)\n"
    )
    done = person.orchestrator("conflicts", PYTHONPATH=f"{hidden}:{person.env['PYTHONPATH']}")
    assert done.returncode == 0
    assert "pip install 'parallel-ai-orchestrator[hints]'" in done.stderr
    assert "README.md: contents" in done.stdout
