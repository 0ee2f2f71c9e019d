"""What the session files of some programs tell beside the screen: exact arguments, final message, session.

A screen wraps lines and drops tabs. The program's own file has the call word for word; the screen and the
file must agree on all that can be seen, so that neither alone is believed.
"""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator.agents.terminal_reader import Asked
from orchestrator.model.request import Tool

#: Only the end of a session file is read.
_TAIL = 8 * 1024 * 1024
_PLACES = {"claude": "projects/*/*.jsonl", "codex": "sessions/*/*/*/*.jsonl"}
_UUID = 36
_DISAGREE = "the program's own record of it is missing or says something else"


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a tool that has no result yet."""

    arguments: Mapping[str, Any]

    @property
    def command(self) -> str | None:
        """The shell command, as the program will run it."""
        for name in ("command", "cmd"):
            if isinstance(value := self.arguments.get(name), str):
                return value
        return None

    @property
    def description(self) -> str:
        """What the model says that the command is for."""
        value = self.arguments.get("description")
        return value if isinstance(value, str) else ""


@dataclass(frozen=True, slots=True)
class Records:
    """The end of a session as its file tells it."""

    session_id: str | None = None
    message: str | None = None
    open_calls: tuple[Call, ...] = ()


def read_records(kind: str | None, config_dir: Path) -> Records:
    """Read the newest session of that kind of program; empty when there is none."""
    if kind is None:
        return Records()
    # Agents can put anything there: what is no plain file, such as a pipe, is not opened.
    found = [path for path in config_dir.glob(_PLACES[kind]) if path.is_file() and not path.is_symlink()]
    if not found:
        return Records()
    newest = max(found, key=lambda path: path.stat().st_mtime)
    items = list(_claude(newest) if kind == "claude" else _codex(newest))
    calls = {key: Call(value) for what, key, value in items if what == "call"}
    done = {key for what, key, _ in items if what == "result"}
    said = [value for what, _, value in items if what == "text"]
    return Records(
        session_id=newest.stem[-_UUID:],
        message=said[-1] if said else None,
        open_calls=tuple(call for key, call in calls.items() if key not in done),
    )


def confirmed(asked: Asked, records: Records) -> Asked:
    """Return a shell prompt with the exact command, or with a doubt when screen and records differ."""
    if asked.prompt.tool is not Tool.SHELL or asked.command is None:
        return asked
    shown = _squashed(asked.command)
    fitting = {
        call.command
        for call in records.open_calls
        if call.command is not None
        and shown in {_squashed(call.command), _squashed(call.description + call.command)}
    }
    if len(fitting) != 1:
        return replace(asked, doubt=asked.doubt or _DISAGREE)
    return replace(asked, command=fitting.pop(), doubt=None)


def _squashed(text: str) -> str:
    """Leave only what a screen shows for certain: no blanks, no controls, nothing invisible."""
    return "".join(
        character
        for character in text
        if not character.isspace() and unicodedata.category(character) not in {"Cc", "Cf", "Mn", "Me"}
    )


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL))
        for line in file.read().split(b"\n"):
            try:
                entry = json.loads(line)
            except ValueError:  # the first line may be cut, the last one not written to its end
                continue
            if isinstance(entry, dict):
                yield entry


def _claude(path: Path) -> Iterator[tuple[str, str, Any]]:
    for entry in _lines(path):
        message = entry.get("message")
        content = message.get("content") if isinstance(message, dict) else None
        for block in content if isinstance(content, list) else []:
            if not isinstance(block, dict):
                continue
            if block.get("type") == "tool_use" and isinstance(block.get("input"), dict):
                yield "call", str(block.get("id")), block["input"]
            elif block.get("type") == "tool_result":
                yield "result", str(block.get("tool_use_id")), None
            elif block.get("type") == "text" and entry.get("type") == "assistant":
                yield "text", "", str(block.get("text", ""))


def _codex(path: Path) -> Iterator[tuple[str, str, Any]]:
    for entry in _lines(path):
        item = entry.get("payload")
        if entry.get("type") != "response_item" or not isinstance(item, dict):
            continue
        kind, key = item.get("type"), str(item.get("call_id"))
        if kind == "function_call":
            yield "call", key, _arguments(item.get("arguments"))
        elif kind == "function_call_output":
            yield "result", key, None
        elif kind == "message" and item.get("role") == "assistant":
            parts = item.get("content")
            texts = (
                [part.get("text", "") for part in parts if isinstance(part, dict)]
                if isinstance(parts, list)
                else []
            )
            yield "text", "", "".join(map(str, texts))


def _arguments(text: object) -> dict[str, Any]:
    try:
        found = json.loads(text) if isinstance(text, str) else None
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}
