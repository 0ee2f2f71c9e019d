"""What the adapter for Codex does with a program that keeps to its protocol badly, or not at all."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from orchestrator.agents.codex_turn import Patience
from orchestrator.model.outcome import TurnEnd
from orchestrator.model.request import PermissionRequest, Tool, Verdict
from orchestrator.model.result import Status
from orchestrator.model.transcript import Role
from tests.integration.codex_fixtures import drive

RECORDED = Path(__file__).parents[1] / "transcripts" / "codex"
SHORT = Patience(answer_s=0.5, retrying_s=0.5, silence_s=0.5)


@pytest.mark.parametrize(
    ("scenario", "kind", "said"),
    [
        ("garbage", TurnEnd.PROTOCOL, "a line is no JSON"),
        ("cut", TurnEnd.CRASHED, "exited with status 3"),
        ("crash", TurnEnd.CRASHED, "was ended by SIGABRT"),
        ("unasked", TurnEnd.PROTOCOL, "without asking: rm -r all"),
        ("reckless", TurnEnd.PROTOCOL, "would not ask"),
        ("strange_end", TurnEnd.PROTOCOL, "'exploded'"),
        ("interrupted", TurnEnd.INTERRUPTED, "cut off"),
    ],
)
def test_each_fault_has_its_end(tmp_path: Path, scenario: str, kind: TurnEnd, said: str) -> None:
    outcome, _ = drive(tmp_path, scenario)
    assert (outcome.status, outcome.error_kind) == (Status.FAILED, kind)
    assert said in (outcome.error_message or "")


@pytest.mark.parametrize(
    ("scenario", "kind"),
    [("mute", TurnEnd.NO_RESPONSE), ("silent", TurnEnd.NO_RESPONSE), ("retrying", TurnEnd.MODEL)],
)
def test_no_silence_lasts_for_ever(tmp_path: Path, scenario: str, kind: TurnEnd) -> None:
    outcome, _ = drive(tmp_path, scenario, SHORT)
    assert (outcome.status, outcome.error_kind) == (Status.FAILED, kind)


def test_a_person_may_take_longer_than_any_silence(tmp_path: Path) -> None:
    async def slowly(_: PermissionRequest) -> Verdict:
        await asyncio.sleep(1.5)
        return Verdict.ALLOW

    outcome, session = drive(tmp_path, "two", SHORT, judge=slowly)
    assert (outcome.status, len(session.asked)) == (Status.SUCCEEDED, 2)


def test_a_message_of_50_mb_is_taken(tmp_path: Path) -> None:
    outcome, _ = drive(tmp_path, "huge")
    assert (outcome.status, len(outcome.output)) == (Status.SUCCEEDED, 50_000_000)


def test_two_requests_at_once_are_answered_in_any_order(tmp_path: Path) -> None:
    second_asked = asyncio.Event()

    async def judge(request: PermissionRequest) -> Verdict:
        if request.command == "touch b":
            second_asked.set()
            return Verdict.DENY
        await second_asked.wait()
        return Verdict.ALLOW

    outcome, session = drive(tmp_path, "two", judge=judge)
    assert [request.id for request in session.asked] == ["0", "1"]
    assert (outcome.status, outcome.error_kind) == (Status.REJECTED, TurnEnd.DENIED)
    assert outcome.error_message == "refused: shell `touch b`: the test says so"


def test_a_request_after_the_end_is_not_heard(tmp_path: Path) -> None:
    outcome, session = drive(tmp_path, "after_the_end")
    assert (outcome.status, outcome.output, session.asked) == (Status.SUCCEEDED, "done", [])


def test_an_answer_that_comes_too_late_is_not_given(tmp_path: Path) -> None:
    async def judge(request: PermissionRequest) -> Verdict:
        if request.command == "touch slow":
            await asyncio.Event().wait()
        return Verdict.ALLOW

    outcome, session = drive(tmp_path, "withdrawn", judge=judge)
    assert (outcome.status, json.loads(outcome.output)) == (Status.SUCCEEDED, [1])
    assert len(session.asked) == 2


def test_whatever_else_it_asks_is_refused_and_never_left_open(tmp_path: Path) -> None:
    outcome, session = drive(tmp_path, "others")
    permissions, user_input, elicitation, tool, patch, command, *unknown = json.loads(outcome.output)
    assert permissions == {"permissions": {}, "scope": "turn"}
    assert (user_input, elicitation) == ({"answers": {}}, {"action": "decline"})
    assert tool["success"] is False
    assert "denied" in patch["decision"] and "denied" in command["decision"]
    assert unknown == ["error"] * 3
    assert (outcome.status, session.asked) == (Status.REJECTED, [])


def test_where_its_sandbox_fails_it_works_without(tmp_path: Path) -> None:
    outcome, session = drive(tmp_path, "no_sandbox")
    assert (outcome.status, outcome.output) == (Status.SUCCEEDED, "danger-full-access")
    assert any("sandbox does not work" in text for text in session.texts(Role.NOTICE))


def test_what_a_script_of_the_model_does_is_asked_for_as_well(tmp_path: Path) -> None:
    """Codex's own default model writes scripts that call tools: recorded, with the command refused.

    The reason ends the model's waiting for its script, and this model was content with that.
    """

    async def judge(request: PermissionRequest) -> Verdict:
        return Verdict.DENY if request.tool is Tool.SHELL else Verdict.ALLOW

    record = RECORDED / "code-mode-denied.jsonl"
    outcome, session = drive(tmp_path, str(record), judge=judge)
    asked = [(request.tool, request.command or request.path) for request in session.asked]
    assert asked == [(Tool.SHELL, "/bin/bash -lc 'touch viajs && echo hi'"), (Tool.WRITE, "pjs.txt")]
    assert (outcome.status, outcome.error_kind) == (Status.REJECTED, TurnEnd.DENIED)
    assert (outcome.usage.input_tokens, outcome.usage.output_tokens) == (20, 4)


def test_within_our_sandbox_it_needs_none_of_its_own(tmp_path: Path) -> None:
    outcome, session = drive(tmp_path, "in_ours", login_dir=tmp_path / "lent")
    assert (outcome.status, outcome.output) == (Status.SUCCEEDED, "danger-full-access")
    assert session.texts(Role.NOTICE) == []
