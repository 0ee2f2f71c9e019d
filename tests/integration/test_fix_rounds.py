"""A failing gate that is given back to its agent."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.config import OrchestratorConfig
from orchestrator.conformance.model_server import ModelServer
from orchestrator.conformance.script import Step
from orchestrator.core.plan import prepare
from orchestrator.errors import InputError
from orchestrator.model.event import Event, EventKind
from orchestrator.model.result import Status
from orchestrator.taskfile import task_from_mapping
from tests.integration.agent_fixtures import agent_task, real_agents
from tests.integration.run_fixtures import git, make_repository, make_run, run, shell, task

VERIFY = ["grep -q good work.txt || { echo 'work.txt is not good: do as I say'; exit 7; }"]


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "repo")


def test_a_program_is_run_again_with_the_failure_as_its_prompt(repo: Path, tmp_path: Path) -> None:
    """It does it right once it hears why the check failed."""
    seen = tmp_path / "seen"
    line = (
        f"cat > {seen}; grep -q 'not good' {seen} && echo good >> work.txt || echo bad > work.txt;"
        f" echo ${{ORCHESTRATOR_FIX_ROUND:-none}} >> {tmp_path}/rounds"
    )
    events: list[Event] = []
    going = make_run(repo, [task("a", shell(line))], events.append, verify=VERIFY, fix_rounds=3)
    [result] = asyncio.run(going.execute())

    assert (result.status, result.attempts, result.fix_rounds_used) == (Status.SUCCEEDED, 1, 1)
    assert (tmp_path / "rounds").read_text().split() == ["none", "1"]
    assert "exited with status 7" in seen.read_text()
    assert "\n| work.txt is not good: do as I say\n" in seen.read_text()
    assert seen.read_text().endswith("do it")
    assert git(repo, "show", f"{result.branch}:work.txt") == "bad\ngood"
    [told] = [event.data for event in events if event.kind is EventKind.GATE_GIVEN_BACK]
    assert (told["round"], told["of"], told["exit_code"]) == (1, 3, 7)


def test_it_ends_after_the_last_round(repo: Path) -> None:
    [result] = run(repo, [task("a", shell("date +%N > work.txt"), fix_rounds=2)], verify=VERIFY)

    assert (result.status, result.error_kind, result.fix_rounds_used) == (Status.FAILED, "verify_failed", 2)


def test_no_round_is_begun_for_a_pass_or_without_leave(repo: Path) -> None:
    good = task("good", shell("echo good > work.txt"), fix_rounds=2)
    bad = task("bad", shell("echo bad > work.txt"))
    results = run(repo, [good, bad], verify=VERIFY)

    assert [result.fix_rounds_used for result in results] == [0, 0]


def test_an_agent_that_cannot_be_told_is_refused_before_the_start(repo: Path) -> None:
    demo = task_from_mapping("a", {"prompt": "p", "agent": "demo", "fix_rounds": 1})

    with pytest.raises(InputError, match="fix_rounds"):
        prepare(OrchestratorConfig(repo=repo, sandbox="off"), [demo])


@pytest.fixture
def model(tmp_path: Path) -> Iterator[ModelServer]:
    with real_agents(tmp_path, "claude") as server:
        yield server


def test_claude_mends_its_work_in_the_same_session(model: ModelServer, repo: Path) -> None:
    # The prompt comes again with the failure, and with it the script from its beginning.
    model.scripts["mend"] = [
        Step(shell="test -e work.txt && echo good > work.txt || echo bad > work.txt"),
        Step(say="Done."),
    ]
    events: list[Event] = []
    going = make_run(repo, [agent_task("mend", "claude", "mend")], events.append, verify=VERIFY, fix_rounds=2)
    [result] = asyncio.run(going.execute())

    assert (result.status, result.error_message, result.fix_rounds_used) == (Status.SUCCEEDED, None, 1)
    sessions = {event.data["session_id"] for event in events if event.kind is EventKind.AGENT_SESSION}
    assert sessions == {result.session_id}
    last = " ".join(item.text for item in model.requests[-1].request.items)
    assert "| work.txt is not good: do as I say" in last
    assert "You were cut off" not in last
    assert result.usage.turns == 4
