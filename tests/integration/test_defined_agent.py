"""A user's own agent on channel `command`: its prompt, its model and its environment arrive."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.model.result import Status
from orchestrator.taskfile import task_from_mapping
from tests.integration.run_fixtures import make_repository, run

TELL = """
import os, sys
print(sys.argv[1:], os.environ.get("MINE"), os.environ.get("KEY_OF_MINE"), os.environ.get("SECRET_OF_MINE"))
print(sys.stdin.read() if not sys.stdin.isatty() else "typed " + input())
"""


def _run(tmp_path: Path, **keys: Any) -> str:
    repo = make_repository(tmp_path / "repo")
    agents = {"mine": {"command": [sys.executable, "-I", "-S", "-c", TELL], "env": {"MINE": "set"}, **keys}}
    task = task_from_mapping("one", {"name": "one", "prompt": "do it", "agent": "mine", "model": "small"})
    [result] = run(repo, [task], agents=agents)
    assert result.status is Status.SUCCEEDED, result.error_message
    assert result.agent == "mine"
    return result.output


@pytest.mark.parametrize(
    ("keys", "shown"),
    [
        ({}, "[] set None None\ndo it"),
        ({"prompt": "argument"}, "['do it'] set None None"),
        ({"prompt": "argument", "model": ["--model={model}"]}, "['--model=small', 'do it'] set None None"),
        ({"prompt": "typed"}, "typed do it"),
    ],
)
def test_the_prompt_is_handed_over_as_told(tmp_path: Path, keys: dict[str, Any], shown: str) -> None:
    assert shown in _run(tmp_path, **keys)


def test_the_prompt_as_a_file(tmp_path: Path) -> None:
    assert "prompt.md'] set" in _run(tmp_path, prompt="file")


def test_only_named_variables_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY_OF_MINE", "passes")
    monkeypatch.setenv("SECRET_OF_MINE", "stays")
    output = _run(tmp_path, pass_env=["KEY_OF_MINE"])
    assert "set" in output
    assert "None\n" in output
    assert "stays" not in output


SPEAKS_ACP = """
import json, sys
def send(**message):
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    method, number = asked.get("method"), asked.get("id")
    if method == "initialize":
        send(id=number, result={"protocolVersion": 1, "agentCapabilities": {}, "authMethods": []})
    elif method == "session/new":
        send(id=number, result={"sessionId": "s-1"})
    elif method == "session/prompt":
        text = asked["params"]["prompt"][0]["text"]
        said = {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": f"heard {text}"}}
        send(method="session/update", params={"sessionId": "s-1", "update": said})
        send(id=number, result={"stopReason": "end_turn"})
    elif number is not None:
        send(id=number, error={"code": -32601, "message": "no such method"})
"""


def test_an_agent_of_the_user_that_speaks_acp(tmp_path: Path) -> None:
    repo = make_repository(tmp_path / "repo")
    agents = {"mine": {"command": [sys.executable, "-I", "-S", "-c", SPEAKS_ACP], "channel": "acp"}}
    task = task_from_mapping("one", {"name": "one", "prompt": "do it", "agent": "mine"})
    [result] = run(repo, [task], agents=agents)
    assert (result.status, result.output, result.session_id) == (Status.SUCCEEDED, "heard do it", "s-1")


def test_an_agent_of_the_user_on_a_terminal(tmp_path: Path) -> None:
    repo = make_repository(tmp_path / "repo")
    program = "import os, sys; print('heard', sys.argv[1], 'at a terminal:', os.isatty(0))"
    agents = {"mine": {"command": [sys.executable, "-I", "-S", "-c", program], "channel": "terminal"}}
    task = task_from_mapping("one", {"name": "one", "prompt": "do it", "agent": "mine", "timeout": 30})
    [result] = run(repo, [task], agents=agents)
    assert (result.status, result.output) == (Status.SUCCEEDED, "heard do it at a terminal: True")
