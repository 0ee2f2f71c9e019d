"""The ACP adapter against a real program that speaks the protocol, well and badly."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.agents import acp, acp_opening
from orchestrator.agents.acp import AcpAgent
from orchestrator.errors import SpawnError, WorkspaceError
from orchestrator.model.event import EventKind
from orchestrator.model.request import PermissionRequest, Tool, Verdict
from orchestrator.model.result import Status, Usage
from orchestrator.model.task import Task
from orchestrator.model.transcript import Role
from tests.integration.acp_fixtures import deny, drive, settings


def _told(output: str) -> Any:
    return json.loads(output)


def test_a_whole_turn(tmp_path: Path) -> None:
    outcome, session = drive(tmp_path, "work")
    assert (outcome.status, outcome.error_message) == (Status.SUCCEEDED, None)
    assert outcome.output == "chosen: ['yes', 'yes']"
    assert outcome.session_id == "fake-session"
    assert outcome.usage == Usage(input_tokens=300, output_tokens=60, cost_usd=0.25)
    assert outcome.exit is not None and outcome.exit.exit_code == 0
    assert [(ask.tool, ask.command) for ask in session.asked] == [
        (Tool.WRITE, None),
        (Tool.SHELL, "touch ran.txt"),
    ]
    assert session.asked[0].path == str(session.workspace / "hello.txt")
    assert session.asked[0].arguments["changes"][0]["text"] == "hello\n"
    assert len({ask.id for ask in session.asked}) == 2
    assert (EventKind.AGENT_SESSION, {"session_id": "fake-session"}) in session.emitted
    figures = {"input_tokens": 300, "output_tokens": 60, "cost_usd": 0.25, "turns": None}
    assert (EventKind.AGENT_USAGE, figures) in session.emitted


def test_the_transcript_reads_in_order(tmp_path: Path) -> None:
    _, session = drive(tmp_path, "work")
    assert session.told == [
        (Role.PROMPT, "do it"),
        (Role.THOUGHT, "hmm"),
        (Role.THOUGHT, "plan:\n[pending] write"),
        (Role.AGENT, "I write."),
        (Role.TOOL, "Write hello.txt"),
        (Role.RESULT, "written"),
        (Role.TOOL, "a call: touch ran.txt"),
        (Role.AGENT, "chosen: ['yes', 'yes']"),
    ]


def test_what_is_refused_is_rejected_once_and_said(tmp_path: Path) -> None:
    outcome, session = drive(tmp_path, "work", judge=deny)
    assert (outcome.status, outcome.error_kind) == (Status.REJECTED, "permission_denied")
    assert outcome.output == "chosen: ['no', 'no']"
    assert "shell `touch ran.txt`: the test says so" in str(outcome.error_message)
    assert not (session.workspace / "hello.txt").exists()


def test_the_mode_that_asks_is_chosen(tmp_path: Path) -> None:
    outcome, _ = drive(tmp_path, "tells_past")
    assert outcome.output == "methods: ['initialize', 'session/new', 'session/set_mode', 'session/prompt']"


def test_a_model_is_chosen(tmp_path: Path) -> None:
    outcome, _ = drive(tmp_path, "tells_past", model="big")
    assert "'session/set_model'" in outcome.output


def test_a_model_that_is_not_offered_is_said_before_the_prompt(tmp_path: Path) -> None:
    outcome, _ = drive(tmp_path, "tells_past", model="huge")
    assert outcome.status is Status.FAILED
    assert "does not offer the model `huge`; it offers: small, big" in str(outcome.error_message)


def test_a_session_is_continued_and_its_past_is_not_told_again(tmp_path: Path) -> None:
    outcome, session = drive(tmp_path, "tells_past", resume_id="old")
    assert outcome.session_id == "old"
    assert "'session/load'" in outcome.output and "'session/new'" not in outcome.output
    assert session.texts(Role.AGENT) == [outcome.output]


def test_a_session_that_is_gone_gives_way_to_a_new_one(tmp_path: Path) -> None:
    outcome, session = drive(tmp_path, "cannot_load", resume_id="old")
    assert (outcome.status, outcome.session_id) == (Status.SUCCEEDED, "fake-session")
    assert session.texts(Role.NOTICE) == [
        "session old could not be continued, a new one begins: No previous sessions found"
    ]


def test_a_login_by_a_key_that_is_there(tmp_path: Path) -> None:
    outcome, _ = drive(tmp_path, "login", env={"PATH": "/usr/bin:/bin", "FAKE_KEY": "k"})
    assert outcome.status is Status.SUCCEEDED
    assert "'authenticate'" in outcome.output


def test_a_login_that_needs_a_person(tmp_path: Path) -> None:
    outcome, _ = drive(tmp_path, "login")
    assert (outcome.status, outcome.error_kind) == (Status.FAILED, "auth_failed")


def test_files_and_commands_through_the_client(tmp_path: Path) -> None:
    outcome, session = drive(tmp_path, "through_client")
    written, read, created, ended, output, released, gone = _told(outcome.output)
    assert (session.workspace / "new/deep.txt").read_text() == "one\ntwo\nthree\n"
    assert (written, read, released) == ({}, {"content": "two\n"}, {})
    assert created["terminalId"] and ended == {"exitCode": 0, "signal": None}
    assert output == {"output": "one\ntwo\nthree\n", "truncated": False, "exitStatus": ended}
    assert gone["code"] == -32002
    assert [(ask.tool, ask.path, ask.command) for ask in session.asked] == [
        (Tool.WRITE, "new/deep.txt", None),
        (Tool.READ, "new/deep.txt", None),
        (Tool.SHELL, None, "cat deep.txt"),
    ]


def test_the_client_does_nothing_that_is_refused(tmp_path: Path) -> None:
    outcome, session = drive(tmp_path, "through_client", judge=deny)
    assert outcome.status is Status.REJECTED
    assert "refused: the test says so" in _told(outcome.output)[0]["message"]
    assert not (session.workspace / "new").exists()


def test_the_client_never_leaves_the_workspace(tmp_path: Path) -> None:
    async def judge(request: PermissionRequest) -> Verdict:
        return Verdict.DENY if request.tool is Tool.SHELL else Verdict.ALLOW

    outcome, session = drive(tmp_path, "outside", judge=judge)
    assert outcome.output == " ".join(["error"] * 8)
    assert [ask.arguments["cwd"] for ask in session.asked] == ["/etc"]
    assert not Path("/etc/new.txt").exists()
    assert (outcome.status, outcome.error_kind) == (Status.REJECTED, "permission_denied")


def test_what_was_just_allowed_is_not_asked_again(tmp_path: Path) -> None:
    outcome, session = drive(tmp_path, "asks_once")
    assert outcome.status is Status.SUCCEEDED
    assert [ask.tool for ask in session.asked] == [Tool.WRITE, Tool.SHELL, Tool.WRITE]
    assert session.asked[2].arguments == {"characters": 15}


def test_a_command_is_stopped(tmp_path: Path) -> None:
    running, ended = _told(drive(tmp_path, "kills")[0].output)
    assert running == {"output": "", "truncated": False}
    assert ended["exitStatus"]["exitCode"] != 0


def test_two_questions_at_once_are_answered_as_they_are_decided(tmp_path: Path) -> None:
    second = asyncio.Event()

    async def judge(request: PermissionRequest) -> Verdict:
        if request.command == "echo 1":
            await second.wait()
        else:
            second.set()
        return Verdict.ALLOW

    assert drive(tmp_path, "two_at_once", judge=judge)[0].output == "answered [2, 1]"


def test_ids_of_every_kind_and_unknown_methods(tmp_path: Path) -> None:
    ids = [None, 0, -1, 1.5, "x", "", True, [1], {"a": 1}]
    assert _told(drive(tmp_path, "strange_ids")[0].output) == [[each, -32601] for each in ids]


def test_parameters_that_are_wrong(tmp_path: Path) -> None:
    codes = _told(drive(tmp_path, "bad_parameters")[0].output)
    assert codes == [-32602, -32602, -32002, *[-32602] * 5, -32002, -32602, -32602, -32600]


def test_a_request_after_the_end_is_refused(tmp_path: Path) -> None:
    outcome, session = drive(tmp_path, "after_the_end")
    assert (outcome.status, outcome.output, session.asked) == (Status.SUCCEEDED, "done", [])
    assert not (session.workspace / "late.txt").exists()


def test_an_answer_that_comes_too_late_holds_nothing_up(tmp_path: Path) -> None:
    async def judge(_: PermissionRequest) -> Verdict:
        await asyncio.Event().wait()
        return Verdict.ALLOW

    outcome, _ = drive(tmp_path, "never_answered", judge=judge)
    assert (outcome.status, outcome.output) == (Status.SUCCEEDED, "did not wait")


def test_without_an_answer_for_once_the_turn_is_cancelled(tmp_path: Path) -> None:
    outcome, _ = drive(tmp_path, "no_way_out")
    assert (outcome.status, outcome.output) == (Status.REJECTED, "cancelled session/cancel")
    assert "no way to allow this once" in str(outcome.error_message)


def test_a_message_of_50_mb_and_a_noisy_standard_error(tmp_path: Path) -> None:
    outcome, _ = drive(tmp_path, "noisy")
    assert (outcome.status, len(outcome.output)) == (Status.SUCCEEDED, 50_000_000)


@pytest.mark.parametrize(
    ("scenario", "kind", "said"),
    [
        ("dies", "crashed", "exited with status 3"),
        ("garbage", "protocol_error", "this is no JSON"),
        ("unknown_answer", "protocol_error", "a request that was not made (999)"),
        ("no_result", "protocol_error", "no result and no error"),
        ("version_2", "protocol_error", "speaks version 2"),
        ("max_tokens", "context_exhausted", "limit of tokens"),
        ("max_turn_requests", "turns_exhausted", "limit of requests"),
        ("refusal", "model_refused", "refused"),
        ("cancelled", "agent_interrupted", "cut off"),
        ("odd_reason", "protocol_error", "'bored'"),
        ("nothing_said", "no_response", "said and done nothing"),
        ("limited", "rate_limited", "Rate limit exceeded"),
        ("unauthorised", "auth_failed", "API key not valid"),
        ("server_error", "model_error", "on fire"),
        ("internal", "model_error", "Internal error"),
        ("bad_request", "protocol_error", "Invalid params"),
    ],
)
def test_every_other_end(tmp_path: Path, scenario: str, kind: str, said: str) -> None:
    outcome, _ = drive(tmp_path, scenario)
    assert (outcome.status, outcome.error_kind) == (Status.FAILED, kind)
    assert said in str(outcome.error_message)


def test_a_limit_says_until_when(tmp_path: Path) -> None:
    retry_at = drive(tmp_path, "limited")[0].retry_at
    assert retry_at is not None
    assert timedelta(seconds=10) < retry_at - datetime.now(UTC) <= timedelta(seconds=30)


def test_an_agent_that_never_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acp_opening, "ANSWER_S", 0.5)
    outcome, _ = drive(tmp_path, "mute")
    assert (outcome.status, outcome.error_kind) == (Status.FAILED, "no_response")
    assert outcome.error_message == "the agent did not answer initialize within 0.5 s"


def test_an_agent_that_falls_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acp, "SILENCE_S", 0.5)
    outcome, _ = drive(tmp_path, "silent")
    assert (outcome.status, outcome.error_kind) == (Status.FAILED, "no_response")
    assert "has said nothing for 0.5 s" in str(outcome.error_message)


def test_an_agent_that_waits_for_us_is_not_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acp, "SILENCE_S", 0.2)

    async def judge(_: PermissionRequest) -> Verdict:
        await asyncio.sleep(0.7)
        return Verdict.ALLOW

    assert drive(tmp_path, "two_at_once", judge=judge)[0].status is Status.SUCCEEDED


def test_an_agent_that_is_not_there(tmp_path: Path) -> None:
    missing = settings("work", command=("no-such-agent",), install="get it somewhere")
    fault = AcpAgent(missing).fault(Task(id="t", name="t", prompt="p"))
    assert fault == "agent `fake` needs the program `no-such-agent`, which is not installed; get it somewhere"
    with pytest.raises(SpawnError, match="no-such-agent"):
        drive(tmp_path, "work", agent=missing)


def test_files_are_laid_in_the_workers_own_folder(tmp_path: Path) -> None:
    agent = settings("tells_past", files=lambda env, _: {"a/settings.json": env["NAME"]})
    drive(tmp_path, "tells_past", agent=agent, env={"PATH": "/usr/bin:/bin", "NAME": "value"})
    laid = tmp_path / "config/a/settings.json"
    assert (laid.read_text(), laid.stat().st_mode & 0o777) == ("value", 0o600)


def test_links_that_an_agent_left_in_its_folder_are_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "config").mkdir()
    (tmp_path / "config/a").symlink_to(elsewhere)
    agent = settings("tells_past", files=lambda *_: {"a/settings.json": "x"})
    with pytest.raises(WorkspaceError, match="cannot be laid"):
        drive(tmp_path, "tells_past", agent=agent)
    assert list(elsewhere.iterdir()) == []


def test_figures_of_the_last_request_alone_are_not_told(tmp_path: Path) -> None:
    agent = replace(settings("work"), usage_is_whole=False)
    assert drive(tmp_path, "work", agent=agent)[0].usage == Usage(cost_usd=0.25)
