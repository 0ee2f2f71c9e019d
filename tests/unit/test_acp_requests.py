"""A tool call of any ACP agent becomes what the policy can judge, or something that it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.agents.acp_requests import option_of, permission_requests
from orchestrator.agents.acp_rpc import RpcError
from orchestrator.agents.acp_terminals import command_line
from orchestrator.model.request import Tool

HERE = "[current working directory /w] (list)"


def _asked(call: dict[str, Any], **settings: Any) -> list[tuple[Tool, str | None]]:
    return [(ask.tool, ask.path or ask.command) for ask in permission_requests("1", call, **settings)]


def _text(text: str) -> list[dict[str, Any]]:
    return [{"type": "content", "content": {"type": "text", "text": text}}]


@pytest.mark.parametrize(
    ("call", "asked"),
    [
        ({"kind": "execute", "rawInput": {"command": "ls -l"}}, [(Tool.SHELL, "ls -l")]),
        ({"kind": "execute", "rawInput": {"command": ["sh", "-c", "a b"]}}, [(Tool.SHELL, "sh -c 'a b'")]),
        ({"kind": "read", "rawInput": {"command": ["rm", "x"]}}, [(Tool.SHELL, "rm x")]),
        ({"kind": "execute", "title": "ls"}, [(Tool.OTHER, None)]),
        ({"kind": "execute", "rawInput": {"command": 7}}, [(Tool.OTHER, None)]),
        ({"kind": "edit", "locations": [{"path": "/w/a"}]}, [(Tool.WRITE, "/w/a")]),
        ({"kind": "edit", "content": [{"type": "diff", "path": "b"}]}, [(Tool.WRITE, "b")]),
        ({"kind": "edit", "rawInput": {"file_path": "c"}}, [(Tool.WRITE, "c")]),
        (
            {"kind": "edit", "locations": [{"path": "a"}, {"path": "b"}], "rawInput": {"path": "a"}},
            [(Tool.WRITE, "a"), (Tool.WRITE, "b")],
        ),
        ({"kind": "edit"}, [(Tool.OTHER, None)]),
        ({"kind": "delete", "locations": [{"path": "a"}]}, [(Tool.DELETE, "a")]),
        ({"kind": "read", "locations": [{"path": "a"}]}, [(Tool.READ, "a")]),
        ({"kind": "move", "locations": [{"path": "a"}]}, [(Tool.OTHER, None)]),
        ({"kind": "fetch", "rawInput": {"url": "https://x.org"}}, [(Tool.NETWORK, None)]),
        ({"kind": "fetch"}, [(Tool.OTHER, None)]),
        ({"kind": "switch_mode"}, [(Tool.OTHER, None)]),
        ({"kind": ["odd"], "rawInput": "odd", "locations": "odd", "content": "odd"}, [(Tool.OTHER, None)]),
        ({"kind": "edit", "locations": [7], "content": [7]}, [(Tool.OTHER, None)]),
        ({}, [(Tool.OTHER, None)]),
    ],
)
def test_what_a_call_asks_for(call: dict[str, Any], asked: list[tuple[Tool, str | None]]) -> None:
    assert _asked(call) == asked


def test_every_question_has_an_id_of_its_own() -> None:
    asked = permission_requests("acp-1", {"kind": "edit", "locations": [{"path": "a"}, {"path": "b"}]})
    assert [ask.id for ask in asked] == ["acp-1", "acp-1.2"]


def test_a_command_in_the_title_counts_where_that_is_known() -> None:
    call = {"kind": "execute", "title": "ls", "content": _text(HERE)}
    assert _asked(call, command_in_title=True) == [(Tool.SHELL, "ls")]


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        (HERE, None),
        ("[in sub] (list)", "sub"),
        ("[in a]b/../..] (list)", ["[in a]b/../..] (list)"]),
        ("[in sub", ["[in sub"]),
    ],
)
def test_the_folder_of_a_command_in_the_title(text: str, folder: object) -> None:
    call = {"kind": "execute", "title": "ls", "content": _text(text)}
    [asked] = permission_requests("1", call, command_in_title=True)
    assert asked.arguments.get("cwd") == folder


def test_two_folders_are_not_understood() -> None:
    raw = {"command": "ls", "cwd": "a", "workdir": "b"}
    [asked] = permission_requests("1", {"kind": "execute", "rawInput": raw})
    assert asked.arguments["cwd"] == ["a", "b"]


def test_a_long_text_is_told_by_its_hash() -> None:
    diff = {"type": "diff", "path": "a", "newText": "x" * 100_000}
    [asked] = permission_requests("1", {"kind": "edit", "content": [diff]})
    assert asked.arguments["changes"][0]["text"].startswith("(100000 characters, sha256 ")


def test_only_options_for_once_are_ever_chosen() -> None:
    options = [
        {"optionId": "a", "kind": "allow_always"},
        {"optionId": "r", "kind": "reject_always"},
        "odd",
        {"optionId": "o", "kind": "allow_once"},
    ]
    assert option_of(options, "allow_once") == "o"
    assert option_of(options, "reject_once") is None
    assert option_of([{"optionId": 7, "kind": "allow_once"}], "allow_once") is None
    assert option_of({"optionId": "o"}, "allow_once") is None


@pytest.mark.parametrize(
    ("params", "line"),
    [
        ({"command": "npm test && ls"}, "npm test && ls"),
        ({"command": "npm", "args": ["run", "a b"]}, "npm run 'a b'"),
        ({"command": "ls", "args": ["x"], "env": [{"name": "CI", "value": "1 2"}]}, "CI='1 2' ls x"),
        ({"command": "a && b", "env": [{"name": "CI", "value": "1"}]}, "CI=1 sh -c 'a && b'"),
    ],
)
def test_what_is_judged_is_what_runs(params: dict[str, Any], line: str) -> None:
    assert command_line(params) == line


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"command": " "},
        {"command": ["ls"]},
        {"command": "a\0b"},
        {"command": "ls", "args": "x"},
        {"command": "ls", "env": [{"name": "A=B;x", "value": "1"}]},
        {"command": "ls", "env": ["A=B"]},
        {"command": "ls", "env": {"A": "B"}},
    ],
)
def test_a_command_that_is_none(params: dict[str, Any]) -> None:
    with pytest.raises(RpcError):
        command_line(params)
