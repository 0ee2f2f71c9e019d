"""Which of Claude Code's calls are asked about, and as what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.agents.claude_tools import describe_call, has_to_be_asked, permission_request
from orchestrator.model.request import Tool

REPO = Path("/home/u/repo")


@pytest.mark.parametrize(
    ("name", "given", "tool", "path", "command"),
    [
        ("Bash", {"command": "ls"}, Tool.SHELL, None, "ls"),
        ("Monitor", {"command": "tail -f x", "description": "d"}, Tool.SHELL, None, "tail -f x"),
        ("Write", {"file_path": "/a/b", "content": "x"}, Tool.WRITE, "/a/b", None),
        ("Edit", {"file_path": "b", "old_string": "x", "new_string": "y"}, Tool.WRITE, "b", None),
        ("MultiEdit", {"file_path": "b", "edits": []}, Tool.WRITE, "b", None),
        ("NotebookEdit", {"notebook_path": "n.ipynb"}, Tool.WRITE, "n.ipynb", None),
        ("Read", {"file_path": "/a"}, Tool.READ, "/a", None),
        ("Glob", {"pattern": "/etc/*"}, Tool.READ, "/etc/*", None),
        ("Glob", {"pattern": "*.py", "path": "src"}, Tool.READ, "src/*.py", None),
        ("Grep", {"pattern": "x"}, Tool.READ, ".", None),
        ("LS", {"path": "/etc"}, Tool.READ, "/etc", None),
        ("mcp__files__read", {"path": "/etc"}, Tool.MCP, None, None),
        ("SomethingNew", {"command": "ls"}, Tool.OTHER, None, None),
    ],
)
def test_calls_are_requests(
    name: str, given: dict[str, Any], tool: Tool, path: str | None, command: str | None
) -> None:
    request = permission_request("r1", name, given, "/home/u/repo/src")

    assert (request.id, request.tool, request.path, request.command) == ("r1", tool, path, command)
    assert request.arguments["name"] == name
    assert request.arguments["cwd"] == "/home/u/repo/src"


@pytest.mark.parametrize("given", [{}, {"command": ""}, {"command": ["ls"]}, {"command": None}])
def test_a_command_that_is_no_text_is_left_out_so_that_the_policy_refuses(given: dict[str, Any]) -> None:
    assert permission_request("r1", "Bash", given, None).command is None


def test_an_agent_cannot_say_where_its_shell_stands() -> None:
    request = permission_request("r1", "Bash", {"command": "rm x", "cwd": "/etc"}, None)

    assert "cwd" not in request.arguments


def test_addresses_are_told_and_only_those() -> None:
    fetch = permission_request("r1", "WebFetch", {"url": "https://example.org/x", "host": "other"}, None)

    assert fetch.tool is Tool.NETWORK
    assert fetch.arguments["url"] == "https://example.org/x"
    assert "host" not in fetch.arguments


def test_long_texts_are_shortened_in_what_is_kept() -> None:
    given = {"file_path": "a", "content": "x" * 5000, "edits": [{"new_string": "y" * 5000}]}

    kept = permission_request("r1", "MultiEdit", given, None).arguments["input"]

    assert len(kept["content"]) < 2100
    assert kept["content"].endswith("(5000 characters)")
    assert len(kept["edits"][0]["new_string"]) < 2100
    assert len(given["content"]) == 5000


@pytest.mark.parametrize("name", ["Bash", "Monitor", "Write", "WebFetch", "mcp__x__y", "SomethingNew"])
def test_what_could_do_harm_is_always_asked_about(name: str) -> None:
    assert has_to_be_asked(name, {"file_path": "/elsewhere"}, str(REPO), REPO)


@pytest.mark.parametrize("name", ["Task", "Agent", "ToolSearch", "TodoWrite", "TaskStop"])
def test_what_changes_nothing_by_itself_is_not(name: str) -> None:
    assert not has_to_be_asked(name, {}, str(REPO), REPO)


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("a.txt", True),
        ("/home/u/repo/secrets/key", True),
        ("/home/u/repo", True),
        ("../../secrets/key", True),
        ("/home/u/repository/x", False),
        ("/home/u/repo/../other", False),
        ("/etc/passwd", False),
    ],
)
def test_reading_in_the_workspace_is_asked_about_and_elsewhere_left_to_claude(path: str, asked: bool) -> None:
    given = {"file_path": path}

    assert has_to_be_asked("Read", given, "/home/u/repo/src/deep", REPO) is asked


def test_calls_are_described_by_what_they_are_about() -> None:
    assert describe_call("Bash", {"description": "look", "command": "ls"}) == "Bash: ls"
    assert describe_call("Agent", {"description": "look around"}) == "Agent: look around"
    assert describe_call("TodoWrite", {"todos": []}) == "TodoWrite"
