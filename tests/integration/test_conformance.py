"""The conformance kit: real agents pass it, broken adapters do not, and what cannot be checked is said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from orchestrator.cli.main import main
from orchestrator.conformance.cases import CASES
from orchestrator.conformance.check import check_agent
from orchestrator.conformance.evidence import Grade, processes_of
from orchestrator.model.installation import Installation
from orchestrator.model.outcome import Outcome
from orchestrator.model.result import Status
from orchestrator.model.task import Task
from orchestrator.ports import Agent, Session
from tests.integration.agent_fixtures import real_agents
from tests.integration.small_agent import SmallAgent

ALL = ["message", "exit", *(case.name for case in CASES), "interrupt"]
FAILED = Grade.FAILED
CHEERFUL = ["denied-write", "denied-shell", "model-error", "bad-key", "context", "refusal"]


def test_codex_passes_every_case(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with real_agents(tmp_path, "codex"):
        code = main(["agents", "check", "codex", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert [case["case"] for case in found["cases"]] == ALL
    # Codex asks again when its model refuses, and then says only that the answer was not complete.
    unlike = {case["case"]: case["grade"] for case in found["cases"] if case["grade"] != "passed"}
    assert unlike in ({}, {"refusal": "not supported"})
    assert (code, found["ok"], found["agent"]) == (0, True, "codex")
    assert found["version"]


def test_claude_passes_every_case(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with real_agents(tmp_path, "claude"):
        code = main(["agents", "check", "claude"])
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split()[:3] == ["CASE", "RESULT", "TIME"]
    assert [row.split()[:2] for row in rows] == [[case, "passed"] for case in ALL]
    assert code == 0


@pytest.mark.slow
def test_gemini_fails_no_case(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with real_agents(tmp_path, "gemini"):
        code = main(["agents", "check", "gemini", "--json"])
    grades = {case["case"]: case["grade"] for case in json.loads(capsys.readouterr().out)["cases"]}
    assert code == 0, grades
    assert {grades[case] for case in ("message", "write", "shell", "interrupt")} == {"passed"}


def grades(agent: Agent, folder: Path) -> dict[str, Grade]:
    return {result.case: result.grade for result in check_agent("demo", agent, folder)}


def test_a_good_adapter_passes_every_case(tmp_path: Path) -> None:
    assert grades(SmallAgent(), tmp_path) == dict.fromkeys(ALL, Grade.PASSED)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (
            "careless",
            dict.fromkeys(["write", "shell", "two-at-once", "denied-write", "denied-shell"], FAILED),
        ),
        ("cheerful", dict.fromkeys(CHEERFUL, FAILED)),
        ("inventive", {"usage": FAILED}),
        ("forgets", {"resume": FAILED}),
        ("silent", dict.fromkeys(["denied-write", "denied-shell"], Grade.UNSUPPORTED)),
    ],
)
def test_an_adapter_fails_where_it_is_broken(tmp_path: Path, fault: str, expected: dict[str, Grade]) -> None:
    assert grades(SmallAgent(fault), tmp_path) == {**dict.fromkeys(ALL, Grade.PASSED), **expected}


class AbsentAgent:
    """Has a program that asks no model."""

    name = "absent"
    variables = ()

    def fault(self, task: Task) -> str | None:
        del task
        return None

    def look(self, env: Mapping[str, str]) -> Installation:
        del env
        return Installation(channel="none")

    async def run(self, session: Session) -> Outcome:
        process = await session.spawn(["true"])
        return Outcome(status=Status.SUCCEEDED, exit=await process.wait())


def test_a_program_that_asks_another_model_is_told_after_the_first_case(tmp_path: Path) -> None:
    with real_agents(tmp_path):
        [result] = check_agent("demo", AbsentAgent(), tmp_path / "check")
    assert (result.case, result.grade) == ("message", Grade.FAILED)
    assert "never asked the scripted model" in result.why


def test_nothing_of_the_users_own_reaches_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, str] = {}

    class Looking(AbsentAgent):
        variables = ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "SECRET_TOKEN")

        async def run(self, session: Session) -> Outcome:
            seen.update(session.env)
            return await super().run(session)

    monkeypatch.setenv("ANTHROPIC_API_KEY", "the-users-own")
    monkeypatch.setenv("SECRET_TOKEN", "the-users-own")
    before = dict(os.environ)
    check_agent("demo", Looking(), tmp_path / "check")
    assert dict(os.environ) == before
    assert "the-users-own" not in seen.values()
    assert seen["ANTHROPIC_BASE_URL"].startswith("http://127.0.0.1:")
    assert Path(seen["HOME"]).is_relative_to(tmp_path / "check")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("demo", "agent `demo` cannot be checked: it talks to no model"),
        ("claude", "agent `claude` cannot be checked: its program is not installed"),
        ("cloude", "there is no agent `cloude`"),
    ],
)
def test_what_cannot_be_checked_is_wrong_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, says: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["agents", "check", name]) == 2
    assert says in capsys.readouterr().err


def test_processes_of_a_run_are_found_wherever_they_hang() -> None:
    waiting = "import sys; print(flush=True); sys.stdin.read()"
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", waiting],
        env={**os.environ, "ORCHESTRATOR_RUN_ID": "a-run-of-this-test"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    with process:
        assert process.stdout and process.stdout.readline()
        assert [str(process.pid) in found for found in processes_of("a-run-of-this-test")] == [True]
        process.communicate()
    assert processes_of("a-run-of-this-test") == []
