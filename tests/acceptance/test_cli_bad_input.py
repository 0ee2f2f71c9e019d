"""Wrong input of every kind: exit code 2, one message, nothing on stdout, nothing started."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_fixtures import Person, person

__all__ = ["person"]

GOOD = '{id: a, prompt: p, command: ["true"]}'


def task_file(tasks: str, **settings: str) -> str:
    lines = [f"{key}: {value}" for key, value in {"version": "1", "agent": "command", **settings}.items()]
    return "\n".join([*lines, "tasks:", *(f"  - {task}" for task in tasks.split("\n"))]) + "\n"


def assert_refused(person: Person, *args: str, says: str) -> None:
    before = person.git("for-each-ref"), person.git("status", "--porcelain")
    shown = person.orchestrator("run", *args)
    assert (shown.returncode, shown.stdout) == (2, "")
    assert shown.stderr.startswith("error: ")
    assert shown.stderr.count("error: ") == 1
    assert says in shown.stderr
    assert "Traceback" not in shown.stderr
    assert not list(person.home.glob("runs/*"))
    assert not list(person.home.glob("workspaces/*"))
    assert (person.git("for-each-ref"), person.git("status", "--porcelain")) == before
    assert "worktree" not in person.git("worktree", "list", "--porcelain").partition("\n")[2]


WRONG_FILES = {
    "no tasks": ("version: 1\ntasks: []\n", "tasks.yaml:2"),
    "no version": (f"tasks:\n  - {GOOD}\n", "version"),
    "not yaml": ("version: 1\ntasks: [\n", "tasks.yaml:"),
    "not a mapping": ("- a\n- b\n", "tasks.yaml:1"),
    "empty": ("", "tasks.yaml"),
    "mistyped key": (task_file(GOOD, max_worker="3"), "max_workers"),
    "mistyped task key": (task_file('{id: a, promt: p, command: ["true"]}'), "prompt"),
    "zero workers": (task_file(GOOD, max_workers="0"), "tasks.yaml:3"),
    "negative workers": (task_file(GOOD, max_workers="-2"), "tasks.yaml:3"),
    "zero timeout": (task_file(GOOD, timeout="0"), "tasks.yaml:3"),
    "negative timeout": (task_file(GOOD, timeout="-5"), "tasks.yaml:3"),
    "no duration": (task_file(GOOD, timeout="soon"), "duration"),
    "negative retries": (task_file(GOOD, retries="-1"), "retries"),
    "zero task timeout": (task_file('{id: a, prompt: p, command: ["true"], timeout: 0}'), "tasks.yaml:4"),
    "zero idle timeout": (
        task_file('{id: a, prompt: p, command: ["true"], idle_timeout: 0}'),
        "idle_timeout",
    ),
    "wrong halt": (task_file(GOOD, halt="later"), "never"),
    "wrong isolation": (task_file(GOOD, isolation="docker"), "worktree"),
    "wrong keep": (task_file(GOOD, keep="maybe"), "always"),
    "duplicate ids": (task_file(f"{GOOD}\n{GOOD}"), "tasks.yaml:5"),
    "ids equal but for case": (task_file(f"{GOOD}\n{GOOD.replace('id: a', 'id: A')}"), "tasks.yaml:5"),
    "an id that escapes": (task_file(GOOD.replace("id: a", "id: ../../etc")), "tasks.yaml:4"),
    "an id git cannot name": (task_file(GOOD.replace("id: a", "id: a.lock")), "tasks.yaml:4"),
    "an id that is an option": (task_file(GOOD.replace("id: a", "id: -rf")), "tasks.yaml:4"),
    "unknown need": (task_file('{id: a, prompt: p, command: ["true"], needs: [b]}'), "b"),
    "need of itself": (task_file('{id: a, prompt: p, command: ["true"], needs: [a]}'), "a"),
    "cycle": (
        task_file(
            '{id: a, prompt: p, command: ["true"], needs: [b]}\n'
            '{id: b, prompt: p, command: ["true"], needs: [a]}'
        ),
        "a",
    ),
    "file outside": (task_file('{id: a, prompt: p, command: ["true"], files: [../../x]}'), "../../x"),
    "absolute file": (
        task_file('{id: a, prompt: p, command: ["true"], files: [/etc/passwd]}'),
        "/etc/passwd",
    ),
    "copy outside": (task_file(GOOD, copy='["../secret"]'), "../secret"),
    "copy of nothing": (task_file(GOOD, copy='[".env"]'), ".env"),
    "prompt file missing": (task_file('{id: a, prompt_file: no.md, command: ["true"]}'), "no.md"),
    "base that does not exist": (task_file(GOOD, base="mian"), "did you mean `main`?"),
    "base that is an option": (task_file(GOOD, base="--all"), "--all"),
    "unknown agent": (task_file("{id: a, prompt: p, agent: demmo}"), "demo"),
    "no command": (task_file("{id: a, prompt: p}"), "command"),
    "missing tool": (
        task_file('{id: a, prompt: p, command: ["no-such-program-here"]}'),
        "no-such-program-here",
    ),
    "policy that is not there": (task_file(GOOD, policy="policy.yaml"), "policy"),
    "network that nothing can limit": (task_file(GOOD, sandbox="off", network="none"), "network"),
    "repository that is not there": (task_file(GOOD, repo="elsewhere"), "elsewhere"),
}


@pytest.mark.parametrize("name", list(WRONG_FILES))
def test_a_wrong_task_file_starts_nothing(person: Person, name: str) -> None:
    text, says = WRONG_FILES[name]
    (person.folder / ".git" / "info" / "exclude").write_text("tasks.yaml\n")
    person.write("tasks.yaml", text)
    assert_refused(person, "tasks.yaml", says=says)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ([], "nothing to run"),
        (["no.yaml"], "no.yaml"),
        (["no.md"], "no.md"),
        (["README.md", "-p", "x"], "not both"),
        (["a.yaml", "b.yaml"], "one task file"),
        (["-p", ""], "prompt"),
        (["-p", "x", "--max-workers", "0", "--agent", "demo"], "--max-workers"),
        (["-p", "x", "--max-workers", "many"], "--max-workers"),
        (["-p", "x", "--timeout", "0"], "duration"),
        (["-p", "x", "--timeout", "-3"], "duration"),
        (["-p", "x", "--isolation", "docker"], "--isolation"),
        (["-p", "x", "--agent", "demmo"], "did you mean `demo`?"),
        (["-p", "x", "--agent", "demo", "--base", "no-such-branch"], "no-such-branch"),
        (["-p", "x", "--agent", "demo", "--repo", "/no/such/folder"], "/no/such/folder"),
        (["-p", "x", "--agent", "demo", "--events", "no/folder/e.jsonl"], "--events"),
        (["-p", "x", "--agent", "demo", "--events", "-", "--json"], "--events"),
        (["-p", "x", "--agent", "demo", "--isolation", "none", "--max-workers", "2"], "max_workers"),
    ],
)
def test_wrong_arguments_start_nothing(person: Person, args: list[str], says: str) -> None:
    assert_refused(person, *args, says=says)


def test_all_faults_of_a_file_are_told_at_once(person: Person) -> None:
    person.write("tasks.yaml", task_file(GOOD, max_workers="0", timeout="never", halt="x"))
    shown = person.orchestrator("run", "tasks.yaml")
    assert [line in shown.stderr for line in ("tasks.yaml:3:", "tasks.yaml:4:", "tasks.yaml:5:")] == [
        True
    ] * 3


@pytest.mark.parametrize("kind", ["bare", "empty", "none"])
def test_a_repository_that_cannot_be_worked_on(person: Person, tmp_path: Path, kind: str) -> None:
    folder = tmp_path / kind
    folder.mkdir()
    if kind != "none":
        person.git("init", "-q", *(["--bare"] if kind == "bare" else []), str(folder))
    assert_refused(person, "-p", "x", "--agent", "demo", "--repo", str(folder), says=str(folder))


@pytest.mark.parametrize("command", ["status", "report", "logs", "stop"])
def test_a_run_that_is_not_there(person: Person, command: str) -> None:
    named = ["--run", "nonesuch"] if command == "logs" else ["nonesuch"]
    shown = person.orchestrator(command, *named, "--json")
    assert (shown.returncode, shown.stdout) == (2, "")
    assert shown.stderr.startswith("error: there is no run")


def test_git_that_is_missing(person: Person, tmp_path: Path) -> None:
    shown = person.orchestrator("run", "-p", "x", "--agent", "demo", PATH=str(tmp_path))
    assert (shown.returncode, shown.stdout) == (2, "")
    assert "install git" in shown.stderr


def test_init_never_overwrites(person: Person) -> None:
    assert person.orchestrator("init").returncode == 0
    text = (person.folder / "tasks.yaml").read_text()
    shown = person.orchestrator("init")
    assert (shown.returncode, shown.stdout) == (2, "")
    assert (person.folder / "tasks.yaml").read_text() == text


def test_agents_and_doctor_and_list_as_json(person: Person) -> None:
    agents = json.loads(person.orchestrator("agents", "--json").stdout)
    assert {"command", "demo"} <= {agent["name"] for agent in agents}
    assert all(agent["channel"] for agent in agents)
    doctor = person.orchestrator("doctor", "--json")
    document = json.loads(doctor.stdout)
    assert document["ok"] is (doctor.returncode == 0)
    assert {"git", "pty", "state folder"} <= {finding["name"] for finding in document["findings"]}
    assert json.loads(person.orchestrator("list", "--json").stdout) == []


def test_doctor_finds_what_is_wrong(person: Person, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    shown = person.orchestrator("doctor", ORCHESTRATOR_HOME=str(blocked / "state"), PATH=str(tmp_path))
    assert shown.returncode == 1
    failed = [line.split()[1] for line in shown.stdout.splitlines() if line.startswith("fail")]
    assert failed == ["git", "state"]
    assert "mend: install git" in shown.stdout
