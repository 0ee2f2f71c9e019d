"""What a program may do that speaks Claude Code's protocol, well or badly: each ends in a clear result."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from orchestrator.agents import claude_turn
from orchestrator.agents.claude_setup import _leave_sessions_only
from orchestrator.model.event import Event, EventKind
from orchestrator.model.outcome import TurnEnd
from orchestrator.model.result import Status, TaskResult
from orchestrator.taskfile import task_from_mapping
from tests.integration import fake_claude
from tests.integration.approvals_fixtures import carry_out, make_asking_run, reply
from tests.integration.run_fixtures import make_repository, make_run, run

Steps = list[dict[str, Any]]

TRANSCRIPTS = Path(__file__).resolve().parents[1] / "transcripts" / "claude"
TASK = task_from_mapping("w1", {"name": "w1", "prompt": "Do it.", "agent": "claude", "timeout": 60})
OPENED: Steps = [
    {"hear": "user"},
    {"say": {"type": "control_response", "response": {"subtype": "success", "request_id": "$opening"}}},
]
RESULT = {"type": "result", "subtype": "success", "is_error": False, "num_turns": 1, "result": "Done."}


def asks(request_id: str, command: str) -> dict[str, Any]:
    request = {
        "subtype": "can_use_tool",
        "tool_name": "Bash",
        "input": {"command": command},
        "tool_use_id": f"call-{request_id}",
    }
    return {"type": "control_request", "request_id": request_id, "request": request}


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    programs = tmp_path / "programs"
    programs.mkdir()
    words = [sys.executable, "-I", "-S", fake_claude.__file__, tmp_path / "steps.json", tmp_path / "heard"]
    (programs / "claude").write_text(f"#!/bin/sh\nexec {' '.join(map(str, words))}\n")
    (programs / "claude").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return make_repository(tmp_path / "repo")


def play(repo: Path, steps: Steps) -> TaskResult:
    (repo.parent / "steps.json").write_text(json.dumps(steps))
    [result] = run(repo, [TASK], sandbox="off")
    return result


def heard(repo: Path, kind: str) -> list[Mapping[str, Any]]:
    messages = map(json.loads, (repo.parent / "heard").read_text().splitlines())
    return [message for message in messages if message["type"] == kind]


def answers(repo: Path) -> dict[str, str]:
    told = [message["response"] for message in heard(repo, "control_response")]
    return {answer["request_id"]: answer["response"]["behavior"] for answer in told}


def recorded(name: str) -> Steps:
    """A recorded conversation: what the program said is said, what it was told is waited for."""
    steps: Steps = []
    for line in (TRANSCRIPTS / f"{name}.jsonl").read_text().splitlines():
        message = json.loads(line[2:])
        steps.append({"say": message} if line.startswith("< ") else {"hear": message["type"]})
    return steps


@pytest.mark.parametrize(
    ("name", "status", "kind"),
    [
        ("allow", Status.SUCCEEDED, None),
        ("deny", Status.REJECTED, TurnEnd.DENIED),
        ("interrupt", Status.FAILED, TurnEnd.INTERRUPTED),
    ],
)
def test_recorded_conversations(repo: Path, name: str, status: Status, kind: TurnEnd | None) -> None:
    result = play(repo, recorded(name))

    assert (result.status, result.error_kind) == (status, kind)
    assert result.usage.cost_usd


def test_what_is_said_first(repo: Path) -> None:
    result = play(repo, [*OPENED, {"say": RESULT}])

    assert (result.status, result.output) == (Status.SUCCEEDED, "Done.")
    [opening], [prompt] = heard(repo, "control_request"), heard(repo, "user")
    assert opening["request"]["subtype"] == "initialize"
    assert opening["request"]["hooks"]["PreToolUse"][0]["matcher"] is None
    assert prompt["message"] == {"role": "user", "content": "Do it."}


@pytest.mark.parametrize(
    ("steps", "kind", "said"),
    [
        ([*OPENED, {"write": "Update available!\n"}, {"stay": 0}], TurnEnd.PROTOCOL, "Update available!"),
        ([*OPENED, {"write": '["no object"]\n'}, {"stay": 0}], TurnEnd.PROTOCOL, "no JSON object"),
        ([*OPENED, {"write": "[" * 100_000 + "\n"}, {"stay": 0}], TurnEnd.PROTOCOL, "no JSON"),
        ([*OPENED, {"say": {"type": "control_request"}}, {"stay": 0}], TurnEnd.PROTOCOL, "`request`"),
        (
            [*OPENED, {"say": {"type": "control_request", "request": {}}}, {"stay": 0}],
            TurnEnd.PROTOCOL,
            "no id",
        ),
        ([*OPENED, {"grow": 65 << 20}, {"stay": 0}], TurnEnd.PROTOCOL, "longer than 64 MiB"),
        ([*OPENED, {"write": '{"type": "res'}, {"exit": 0}], TurnEnd.CRASHED, "status 0 before the end"),
        ([*OPENED, {"write": '{"type": "res'}, {"die": 0}], TurnEnd.CRASHED, "SIGKILL"),
        ([*OPENED, {"exit": 0}], TurnEnd.CRASHED, "errors.log"),
        ([{"exit": "unknown option"}], TurnEnd.CRASHED, "status 1"),
        ([*OPENED, {"say": {"type": "result"}}], TurnEnd.MODEL, "model_error"),
        (
            [*OPENED, {"say": {**RESULT, "terminal_reason": "something_new"}}],
            TurnEnd.INTERRUPTED,
            "something_new",
        ),
    ],
)
def test_bad_manners_end_in_a_clear_result(repo: Path, steps: Steps, kind: TurnEnd, said: str) -> None:
    result = play(repo, steps)

    assert (result.status, result.error_kind) == (Status.FAILED, kind)
    assert result.error_message is not None
    assert said in result.error_message
    assert "Traceback" not in result.error_message


def test_a_refused_opening_is_said(repo: Path) -> None:
    response = {"subtype": "error", "request_id": "$opening", "error": "not with this version"}

    result = play(repo, [{"hear": "user"}, {"say": {"type": "control_response", "response": response}}])

    assert result.error_kind == TurnEnd.PROTOCOL
    assert result.error_message == "Claude Code refused to begin: not with this version"


def test_silence_from_the_start_is_not_waited_out(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claude_turn, "_START_S", 0.5)

    result = play(repo, [{"hear": "user"}, {"stay": 0}])

    assert (result.status, result.error_kind) == (Status.FAILED, TurnEnd.NO_RESPONSE)


def test_a_message_of_50_mb_is_taken(repo: Path) -> None:
    result = play(repo, [*OPENED, {"grow": 50_000_000}, {"say": RESULT}])

    assert (result.status, result.output) == (Status.SUCCEEDED, "Done.")


def test_what_nobody_knows_is_passed_over_and_what_nobody_can_do_is_refused(repo: Path) -> None:
    strange: Steps = [
        {"say": {"type": "something_new", "data": [1]}},
        {"say": {"type": "assistant", "message": "no object"}},
        {"say": {"type": "user", "message": {"content": [1, {"type": "tool_result", "content": None}]}}},
        {"say": {"type": "rate_limit_event"}},
        {"say": {"type": "control_cancel_request", "request_id": "never-asked"}},
        {"say": {"type": "control_request", "request_id": "q", "request": {"subtype": "elicitation"}}},
        {"hear": "control_response"},
    ]

    result = play(repo, [*OPENED, *strange, {"say": RESULT}])

    assert result.status is Status.SUCCEEDED
    [answer] = heard(repo, "control_response")
    assert answer["response"]["subtype"] == "error"


def test_two_requests_at_once_are_both_answered(repo: Path) -> None:
    asked: Steps = [{"say": asks("a", "ls")}, {"say": asks("b", "git push")}]

    result = play(repo, [*OPENED, *asked, *([{"hear": "control_response"}] * 2), {"say": RESULT}])

    assert answers(repo) == {"a": "allow", "b": "deny"}
    assert (result.permissions.allowed, result.permissions.denied) == (1, 1)
    assert result.status is Status.REJECTED


def test_what_claude_refused_by_itself_counts_too(repo: Path) -> None:
    denial = {"tool_name": "Bash", "tool_use_id": "c1", "tool_input": {}}

    result = play(repo, [*OPENED, {"say": {**RESULT, "permission_denials": [denial, "no object"]}}])

    assert (result.status, result.error_kind) == (Status.REJECTED, TurnEnd.DENIED)
    assert result.error_message == "refused: Bash: refused by Claude Code itself"


def test_a_request_after_the_end_is_not_answered(repo: Path) -> None:
    result = play(repo, [*OPENED, {"say": RESULT}, {"say": asks("late", "ls")}])

    assert result.status is Status.SUCCEEDED
    assert heard(repo, "control_response") == []


def test_an_end_does_not_wait_for_a_program_that_stays(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claude_turn, "_EXIT_S", 0.5)

    result = play(repo, [*OPENED, {"say": RESULT}, {"stay": 0}])

    assert (result.status, result.exit_code) == (Status.SUCCEEDED, None)


def in_question(repo: Path, steps: Steps, *, answer: bool) -> TaskResult:
    """Play with a person in the loop, who is asked about shell commands."""
    (repo.parent / "steps.json").write_text(json.dumps(steps))
    made, questions = make_asking_run(repo, [TASK])

    async def person() -> None:
        event: Event = await questions.next()
        (repo.parent / "asked").touch()
        if answer:
            reply(made, event)

    [result] = asyncio.run(carry_out(made, person))
    return result


def test_the_program_speaks_on_while_a_person_thinks(repo: Path) -> None:
    talk: Steps = [{"grow": 10}, {"say": {"type": "system", "subtype": "status"}}]

    steps = [*OPENED, {"say": asks("a", "make")}, *talk, {"hear": "control_response"}, {"say": RESULT}]
    result = in_question(repo, steps, answer=True)

    assert answers(repo) == {"a": "allow"}
    assert result.status is Status.SUCCEEDED


def test_a_question_that_is_withdrawn_is_not_answered(repo: Path) -> None:
    withdrawn: Steps = [
        {"say": asks("a", "make")},
        {"wait_for": str(repo.parent / "asked")},
        {"say": {"type": "control_cancel_request", "request_id": "a"}},
        {"say": RESULT},
    ]

    result = in_question(repo, [*OPENED, *withdrawn], answer=False)

    assert heard(repo, "control_response") == []
    assert result.status is Status.SUCCEEDED


def test_an_answer_that_comes_after_the_program_died_changes_nothing(repo: Path) -> None:
    result = in_question(
        repo,
        [*OPENED, {"say": asks("a", "make")}, {"wait_for": str(repo.parent / "asked")}, {"die": 0}],
        answer=True,
    )

    assert (result.status, result.error_kind) == (Status.FAILED, TurnEnd.CRASHED)


def test_another_turn_that_is_owed_is_waited_for(repo: Path) -> None:
    def state(name: str) -> dict[str, Any]:
        return {"say": {"type": "system", "subtype": "session_state_changed", "state": name}}

    more: Steps = [state("running"), {"say": RESULT}, {"grow": 5}, {"say": {**RESULT, "result": "All."}}]

    result = play(repo, [*OPENED, *more, state("idle")])

    assert (result.status, result.output, result.usage.turns) == (Status.SUCCEEDED, "All.", 2)


def test_what_an_attempt_left_in_its_settings_folder_is_not_obeyed(repo: Path, tmp_path: Path) -> None:
    folder, mine = tmp_path / "claude", tmp_path / "mine"
    mine.mkdir()
    (mine / "keep").write_text("x")
    (folder / "projects" / "p").mkdir(parents=True)
    (folder / "settings.json").write_text("{}")
    (folder / "hooks").mkdir()
    (folder / "CLAUDE.md").symlink_to(mine / "keep")
    (folder / "skills").symlink_to(mine)

    _leave_sessions_only(folder)

    assert [entry.name for entry in folder.iterdir()] == ["projects"]
    assert (mine / "keep").read_text() == "x"


def test_events_say_the_session_at_once(repo: Path) -> None:
    (repo.parent / "steps.json").write_text(json.dumps([*OPENED, {"die": 0}]))
    events: list[Event] = []
    [result] = asyncio.run(make_run(repo, [TASK], events.append, sandbox="off").execute())

    told = [event.data["session_id"] for event in events if event.kind is EventKind.AGENT_SESSION]
    assert told == [result.session_id]
