"""Canaries: secrets that a worker leaks wherever it can, looked for in everything that is kept or shown."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli.crash import report_crash
from orchestrator.cli.event_lines import event_document
from orchestrator.config import OrchestratorConfig
from orchestrator.core.plan import prepare
from orchestrator.core.run import Run
from orchestrator.journal.state import load_state
from orchestrator.logs import StructuredLogger
from orchestrator.model.event import Event, EventKind
from orchestrator.model.outcome import Outcome
from orchestrator.model.request import PermissionRequest, Tool
from orchestrator.model.result import Status
from orchestrator.model.task import Task
from orchestrator.model.transcript import Role
from orchestrator.ports import Session
from orchestrator.report.build import build_report
from orchestrator.report.page import render_page
from tests.acceptance.cli_fixtures import Person, person
from tests.integration.run_fixtures import make_repository, shell, task

__all__ = ["person"]

# Put together here so that no tool takes this file for a leak.
_BODY = {kind: sha256(kind.encode()).hexdigest() for kind in ["ghp", "sk", "ant", "xoxb", "npm", "pypi"]}
_LINES = ["MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7", "VJTUt9Us8cKjMzEfYyjiWA4R4/M2bS1GB4t7"]
#: What is leaked, and the parts of it that must be found nowhere.
CANARIES: dict[str, tuple[str, Sequence[str]]] = {
    "variable": ("plain-Words_of-the-Variable", ["plain-Words_of-the-Variable"]),
    "passed": ("https://hook.example/T0/B1?x=Hidden", ["T0/B1?x=Hidden"]),
    "of lines": (
        'first line of "mine"\nsecond line of mine',
        ["line of mine", 'line of "mine', "second line"],
    ),
    "github": ("ghp_" + _BODY["ghp"][:36], [_BODY["ghp"][:36]]),
    "openai": ("sk-" + _BODY["sk"], [_BODY["sk"][:20]]),
    "anthropic": ("sk-ant-api03-" + _BODY["ant"] + "-" + _BODY["ant"], [_BODY["ant"][:20]]),
    "aws": ("AKIA" + "IOSFODNN7EXAMPLE", ["IOSFODNN7"]),
    "slack": ("xoxb-" + "1234567890-" + _BODY["xoxb"][:24], [_BODY["xoxb"][:20]]),
    "npm": ("npm_" + _BODY["npm"][:36], [_BODY["npm"][:30]]),
    "pypi": ("pypi-" + "AgEIcHlwaS5vcmc" + _BODY["pypi"], ["AgEIcHlwaS5vcmc", _BODY["pypi"][:30]]),
    "header": ("Authorization: Bearer opaque.but-Hidden_17", ["opaque.but-Hidden"]),
    "url": ("postgres://app:Hidden-word@db:5432/app", ["Hidden-word"]),
    "jwt": ("eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0In0" + ".SflKxwRJSM", ["eyJzdWIi", "SflKxwRJSM"]),
    "key": (
        "\n".join([f"-----BEGIN RSA PRIVATE {'KEY'}-----", *_LINES, f"-----END RSA PRIVATE {'KEY'}-----"]),
        [*_LINES, _LINES[0][:20]],
    ),
}
VARIABLES = {"ACME_API_KEY": "variable", "HOOK": "passed", "NOTES": "of lines"}
ENVIRONMENT = {name: CANARIES[kind][0] for name, kind in VARIABLES.items()}
ALL = "".join(f"{kind}: {text}\n" for kind, (text, _) in CANARIES.items())
IN_ONE_LINE = [text for text, _ in CANARIES.values() if "\n" not in text]


def assert_hidden(text: str | bytes, where: object) -> None:
    data = text.encode() if isinstance(text, str) else text
    for kind, (_, needles) in CANARIES.items():
        for needle in needles:
            for form in {needle, json.dumps(needle)[1:-1]}:
                assert form.encode() not in data, f"{kind} in {where}"


def assert_hidden_below(home: Path) -> int:
    """Look into every file of the state folder but prompts and the repository's own; return how many."""
    files = [path for path in home.rglob("*") if path.is_file() and path.name != "prompt.md"]
    files = [path for path in files if path.relative_to(home).parts[0] not in {"workspaces", "hubs"}]
    for path in files:
        assert_hidden(path.read_bytes(), path.relative_to(home))
    return len(files)


def test_the_canaries_are_enough_and_would_be_found() -> None:
    assert len(CANARIES) >= 12
    for kind, (_, needles) in CANARIES.items():
        for needle in needles:
            with pytest.raises(AssertionError, match=kind):
                assert_hidden(f"x{needle}x", "here")


class Leaky:
    """An agent that leaks by every way that the seam gives it, and then fails."""

    name = "leaky"

    def fault(self, task: Task) -> str | None:
        del task
        return None

    async def run(self, session: Session) -> Outcome:
        session.emit(EventKind.AGENT_MESSAGE, text=ALL)
        for role in Role:
            session.transcribe(role, ALL, tool=ALL)
        request = PermissionRequest(
            id="1", tool=Tool.SHELL, command=f"echo {ALL}", arguments={"command": ALL, "nested": [{"a": ALL}]}
        )
        await session.decide(request)
        await session.decide(PermissionRequest(id="2", tool=Tool.WRITE, path=f"/etc/{IN_ONE_LINE[0]}"))
        process = await session.spawn(shell("cat leak; cat leak >&2"), errors_apart=True)
        await process.close_input()
        await process.wait()
        if session.task.id == "crash":
            raise RuntimeError(ALL)
        return Outcome(status=Status.FAILED, output=ALL, error_kind="leaky", error_message=ALL)


def test_nothing_that_an_agent_tells_is_kept_or_reported(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    repo = make_repository(tmp_path / "repo")
    (repo / "leak").write_text(ALL)
    rules = tmp_path / "policy.yaml"
    rules.write_text("version: 1\nextends: unattended\nask:\n  - {id: shell-asks, tools: [shell]}\n")
    config = OrchestratorConfig(
        repo=repo,
        pass_env=list(VARIABLES),
        policy=str(rules),
        ask_timeout=0.2,
        copy=["leak"],
        sandbox="off",
    )
    tasks = [task("error", ["true"], name=f"of {IN_ONE_LINE[3]}"), task("crash", ["true"])]
    plan = prepare(config, tasks)
    events: list[Event] = []
    run = Run(replace(plan, agents=dict.fromkeys(plan.agents, Leaky())), on_event=events.append)
    results = asyncio.run(run.execute())
    assert [result.error_kind for result in results] == ["leaky", "internal_error"]
    kinds = {event.kind for event in events}
    assert {EventKind.PERMISSION_DECIDED, EventKind.AGENT_MESSAGE, EventKind.WORKER_FINISHED} <= kinds
    for event in events:
        assert_hidden(json.dumps(event_document(event)), event.kind)
    report = build_report(load_state(run.directory))
    assert_hidden(json.dumps(report), "report --json")
    assert_hidden(render_page(load_state(run.directory)), "report --html")
    attempt = run.directory / "attempts" / "crash@1"
    left = {path.name for path in attempt.iterdir()}
    assert {"output.log", "errors.log", "transcript.jsonl", "fault.txt"} <= left
    assert (attempt / "output.log").read_text().count("***") >= len(CANARIES)
    assert assert_hidden_below(home) >= 10
    assert_hidden("".join(capfd.readouterr()), "stdout and stderr")


_LEAK = """\
import os, sys, time
text = open("leak").read()
for stream in (1, 2):
    for at in range(0, len(text), 7):
        os.write(stream, text[at : at + 7].encode())
os.write(1, b"x" * 180 + b" " + os.environ["ACME_API_KEY"].encode() + b" and on\\n")
sys.exit(int(sys.argv[1]))
"""


def leaking_tasks() -> list[dict[str, Any]]:
    return [
        {
            "id": "output",
            "prompt": "x",
            "command": [
                "sh",
                "-c",
                f'{sys.executable} -I leak.py 0; git commit -q --allow-empty -m "$(cat leak)"',
            ],
            "verify": ["cat leak; false"],
        },
        {"id": "cut", "prompt": "x", "command": [sys.executable, "-I", "leak.py", "3"]},
        {"id": "arguments", "prompt": "x", "command": ["sh", "-c", "false", *IN_ONE_LINE]},
        {"id": "check", "prompt": "x", "command": ["true"], "verify": [f"echo '{IN_ONE_LINE[4]}'; false"]},
    ]


def write_run(person: Person, name: str, tasks: Sequence[Any], **settings: Any) -> str:
    document = {"version": 1, "tasks": tasks, "pass_env": list(VARIABLES), "keep": "never", **settings}
    person.write(f"../{name}", json.dumps(document))  # JSON is YAML
    return f"../{name}"


def shown(person: Person, *commands: Sequence[str]) -> Iterable[tuple[str, str]]:
    for command in commands:
        done = person.orchestrator(*command, **ENVIRONMENT)
        yield " ".join(command), done.stdout + done.stderr


def test_nothing_that_a_program_leaks_is_kept_or_shown(person: Person) -> None:
    person.write("leak", ALL)
    person.write("leak.py", _LEAK)
    person.write("README.md", "with the leak\n")
    person.git("add", "README.md", "leak.py", "leak")
    person.git("commit", "-qm", "Leak")
    runs = write_run(person, "a.yaml", leaking_tasks())
    fails = write_run(person, "b.yaml", leaking_tasks()[:1], setup=["cat leak; cat leak >&2; exit 4"])
    for command, text in shown(
        person,
        ["run", fails, "--events", "../events-b.jsonl"],
        ["run", runs, "--events", "../events-a.jsonl"],
        ["run", runs, "--json"],
        ["status"],
        ["list"],
        ["report"],
        ["report", "--json"],
        ["report", "--html", "../report.html"],
        ["logs"],
        ["logs", "--json"],
        *(["logs", worker] for worker in ("output", "cut")),
        ["logs", "check", "--verify"],
        ["logs", "output", "--json"],
        ["logs", "output", "--raw"],
        ["logs", "output", "--verify"],
    ):
        assert "unexpected fault" not in text
        assert len(text) > 20 or "--html" in command, command
        assert_hidden(text, command)
    for name in ("events-a.jsonl", "events-b.jsonl", "report.html"):
        path = person.folder.parent / name
        assert path.stat().st_size > 1000
        assert_hidden(path.read_bytes(), name)
    log = max(log.read_text() for log in person.home.glob("runs/*/attempts/output@1/output.log"))
    assert log.count("***") >= 2 * len(CANARIES)
    assert assert_hidden_below(person.home) >= 15


def test_a_log_record_hides_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name if name == "ACME_API_KEY" else f"{name}_TOKEN", value)
    stream = io.StringIO()
    log = StructuredLogger("run", stream=stream, prompt=ALL)
    log.bind(nested={"a": [ALL]}).error(ALL, error=ValueError(ALL), path=Path(IN_ONE_LINE[0]))
    record = json.loads(stream.getvalue())
    assert record["level"] == "ERROR"
    assert_hidden(stream.getvalue(), "log record")


def test_a_crash_report_hides_them(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name if name == "ACME_API_KEY" else f"{name}_TOKEN", value)
    hint = report_crash(RuntimeError(ALL), ["run", *IN_ONE_LINE])
    [report] = (home / "crashes").iterdir()
    assert str(report) in hint
    assert "RuntimeError" in report.read_text()
    assert_hidden(report.read_bytes(), "crash report")
