"""What real agents have said, as it was recorded: their questions, updates and figures are understood."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.agents.acp_outcome import judge_stop, usage_of
from orchestrator.agents.acp_requests import option_of, permission_requests
from orchestrator.agents.acp_updates import Updates
from orchestrator.agents.registry import get_agent
from orchestrator.model.request import Tool
from orchestrator.model.result import Status, Usage
from orchestrator.model.transcript import Role

RECORDED = Path(__file__).resolve().parents[1] / "transcripts" / "acp"
SHELL = "touch shell-ran.txt && echo SHELL_OK"
SAID = "All done: hello.txt written and the command ran."


class Heard:
    """As much of a session as updates need."""

    def __init__(self) -> None:
        self.told: list[tuple[Role, str]] = []

    def emit(self, *_: Any, **__: Any) -> None:
        """Events are of no account here."""

    def transcribe(self, role: Role, text: str, **_: Any) -> None:
        self.told.append((role, text))


def _received(name: str) -> list[dict[str, Any]]:
    lines = (RECORDED / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line[2:]) for line in lines if line.startswith("< ")]


@pytest.mark.parametrize(
    ("name", "path", "allow", "reject"),
    [
        ("gemini-0.61.0", "/home/u/h123456789012/repo/hello.txt", "proceed_once", "cancel"),
        ("opencode-1.18.33", "/home/u/h123456789012/repo/hello.txt", "once", "reject"),
        ("claude-acp-0.23.1", "hello.txt", "allow", "reject"),
    ],
)
def test_permission_requests(name: str, path: str, allow: str, reject: str) -> None:
    asked = []
    for message in _received(name):
        if message.get("method") == "session/request_permission":
            params = message["params"]
            asked += permission_requests("1", params["toolCall"], command_in_title=name.startswith("gemini"))
            assert option_of(params["options"], "allow_once") == allow
            assert option_of(params["options"], "reject_once") == reject
    paths = list(dict.fromkeys(ask.path for ask in asked if ask.tool is Tool.WRITE))
    assert paths == [path]
    assert [ask.command for ask in asked if ask.tool is not Tool.WRITE] == [SHELL]


@pytest.mark.parametrize(
    ("name", "usage", "cost"),
    [
        ("gemini-0.61.0", Usage(input_tokens=300, output_tokens=60), None),
        ("opencode-1.18.33", Usage(input_tokens=100, output_tokens=20), 0.0),
        ("claude-acp-0.23.1", Usage(input_tokens=300, output_tokens=60), 0.0018),
    ],
)
def test_updates_and_the_end(name: str, usage: Usage, cost: float | None) -> None:
    session = Heard()
    updates = Updates(session)  # type: ignore[arg-type]
    updates.listening = True
    answer: dict[str, Any] = {}
    for message in _received(name):
        if message.get("method") == "session/update":
            updates.hear(message["method"], message["params"])
        answer = message.get("result") or answer
    updates.flush()
    assert session.told[-1] == (Role.AGENT, SAID)
    assert updates.last_message == SAID
    assert updates.cost_usd == pytest.approx(cost)
    assert usage_of(answer, None) == usage
    assert judge_stop(answer["stopReason"], [], output=SAID, did_something=True).status is Status.SUCCEEDED


@pytest.mark.parametrize("name", ["gemini", "opencode", "qwen", "claude-acp", "codex-acp"])
def test_a_preset_of_that_name(name: str, tmp_path: Path) -> None:
    agent = get_agent(name)
    found = agent.look({"PATH": str(tmp_path), "HOME": str(tmp_path)})  # type: ignore[attr-defined]
    assert agent.name == name
    assert (found.program, found.version, found.login) == (None, None, None)
    assert "install" in found.lacks[0] and "log in" in found.lacks[1]
    assert found.tested
