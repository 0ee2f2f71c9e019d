"""Questions answered from another terminal: `orchestrator answer` against runs that are going."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cli_fixtures import Person, person

__all__ = ["person"]
ASK_FOR_SHELL = "version: 1\nextends: unattended\nask:\n  - {id: shell-asks, tools: [shell]}\n"


def task_file(person: Person, /, **commands: list[str]) -> str:
    """Write a task file outside the repository: demo agents that ask for these commands."""
    rules = person.folder.parent / "policy.yaml"
    rules.write_text(ASK_FOR_SHELL)
    tasks = [
        {"id": one, "prompt": f"Ask.\n```demo\n{json.dumps([{'ask': line} for line in lines])}\n```\n"}
        for one, lines in commands.items()
    ]
    path = person.folder.parent / "tasks.yaml"
    path.write_text(
        f"version: 1\nrepo: {person.folder}\nagent: demo\npolicy: {rules}\ntasks: {json.dumps(tasks)}\n"
    )
    return str(path)


@pytest.fixture
def start(person: Person) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a run and leave it going; whatever is left at the end is ended."""
    started: list[subprocess.Popen[str]] = []

    def begin(*args: str) -> subprocess.Popen[str]:
        started.append(person.start("run", *args))
        return started[-1]

    yield begin
    for run in started:
        if run.poll() is None:
            run.terminate()
        run.communicate(timeout=30)


def asked(person: Person, count: int) -> list[dict[str, Any]]:
    """Wait until so many questions are open."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        done = person.orchestrator("answer", "--json")
        assert done.returncode == 0, done.stderr
        if len(questions := json.loads(done.stdout)["questions"]) == count:
            return questions
    raise AssertionError(f"never {count} questions: {questions}")


def test_list_show_allow_and_deny(person: Person, start: Callable[..., Any]) -> None:
    run = start(task_file(person, one=["echo 'x\ty' >\x1b[31mred"], two=["touch seen"]), "--json")
    first, second = asked(person, 2)
    if first["worker_id"] != "one":
        first, second = second, first
    assert (first["tool"], first["command"], first["rule"]) == (
        "shell",
        "echo 'x\ty' >\x1b[31mred",
        "shell-asks",
    )
    assert 590 < first["seconds_left"] <= 600

    listed = person.orchestrator("answer").stdout
    assert f"run {first['run_id']}" in listed
    assert "one" in listed
    assert "shell touch seen" in listed
    assert "\x1b" not in listed  # shown as its escape, so that the person sees what is there

    number = str(first["id"])
    shown = person.orchestrator("answer", number).stdout
    assert r"command   echo 'x\ty' >\x1b[31mred" in shown
    assert first["digest"] in shown
    assert json.loads(person.orchestrator("answer", number, "--json").stdout)["id"] == first["id"]

    allowed = person.orchestrator("answer", first["run_id"], number, "--allow", "--json")
    assert allowed.returncode == 0, allowed.stderr
    said = json.loads(allowed.stdout)
    assert (said["verdict"], said["rule"], said["worker_id"]) == ("allow", "person", "one")
    assert "(pid " in said["by"]
    denied = person.orchestrator("answer", str(second["id"]), "--deny", "-m", "no files, please")
    assert denied.returncode == 0, denied.stderr
    assert "no files, please" in denied.stdout

    stdout, stderr = run.communicate(timeout=60)
    assert run.returncode == 1
    assert f"two asks: shell touch seen (orchestrator answer {first['run_id']} {second['id']})" in stderr
    results = {result["worker_id"]: result for result in json.loads(stdout)["results"]}
    assert results["one"]["permissions"] == {"allowed": 1, "denied": 0, "asked": 1}
    assert results["two"]["status"] == "rejected"
    assert "no files, please" in results["two"]["error_message"]


def test_allow_for_the_run_and_status(person: Person, start: Callable[..., Any]) -> None:
    run = start(task_file(person, one=["echo same"] * 3), "--no-progress")
    [question] = asked(person, 1)
    status = person.orchestrator("status").stdout
    assert "waiting for an answer: shell echo same" in status
    done = person.orchestrator("answer", str(question["id"]), "--allow-run")
    assert done.returncode == 0, done.stderr
    _, stderr = run.communicate(timeout=60)
    assert run.returncode == 0, stderr
    assert stderr.count("orchestrator answer") == 1


def test_a_question_that_is_gone_or_never_was(person: Person, start: Callable[..., Any]) -> None:
    start(task_file(person, one=["echo 1"], two=["echo 2"]))
    first, _ = asked(person, 2)
    number = str(first["id"])
    assert person.orchestrator("answer", number, "--deny").returncode == 0
    again = person.orchestrator("answer", number, "--allow")
    assert again.returncode == 2
    assert f"question {number} of run {first['run_id']} is not open any more" in again.stderr
    assert "hint: " in again.stderr
    unknown = person.orchestrator("answer", "99")
    assert unknown.returncode == 2
    assert "there is no question 99" in unknown.stderr


def test_only_a_person_answers(person: Person, start: Callable[..., Any]) -> None:
    start(task_file(person, one=["echo 1"]))
    [question] = asked(person, 1)
    done = person.orchestrator("answer", str(question["id"]), "--allow", ORCHESTRATOR_WORKER_ID="one")
    assert done.returncode == 2
    assert "worker one cannot answer questions" in done.stderr
    assert len(asked(person, 1)) == 1


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--allow"], "--allow needs the ID of a question"),
        (["latest", "x"], "is not the number of a question"),
        (["1", "-m", "hello"], "--message goes with --deny"),
        (["a", "1", "2"], "expected RUN and ID"),
        (["1"], "no run is going"),
    ],
)
def test_wrong_use(person: Person, args: list[str], words: str) -> None:
    done = person.orchestrator("answer", *args)
    assert done.returncode == 2
    assert words in done.stderr


def test_without_runs_nothing_waits(person: Person) -> None:
    assert person.orchestrator("answer").stdout == "nothing waits for an answer\n"
    assert json.loads(person.orchestrator("answer", "--json").stdout) == {"questions": []}


def test_the_questions_of_a_killed_run_are_not_open(person: Person, start: Callable[..., Any]) -> None:
    run = start(task_file(person, one=["echo 1"]))
    [question] = asked(person, 1)
    run.kill()
    run.communicate(timeout=30)
    done = person.orchestrator("answer", question["run_id"], str(question["id"]), "--allow")
    assert done.returncode == 2
    assert f"run {question['run_id']} is not going" in done.stderr
    assert person.orchestrator("answer", question["run_id"]).stdout == "nothing waits for an answer\n"
