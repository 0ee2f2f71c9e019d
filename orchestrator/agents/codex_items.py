"""What Codex says and does, as entries of the transcript."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from orchestrator.model.event import EventKind
from orchestrator.model.transcript import Role
from orchestrator.ports import Session

Item = Mapping[str, Any]

#: Items that run something on this machine, and so need our permission first.
GATED = ("commandExecution", "fileChange")
#: How an item stands that was carried out, well or not.
RAN = ("completed", "failed")
_KNOWN = ("userMessage", "agentMessage", "reasoning", "plan")


def record_start(session: Session, item: Item) -> None:
    """Record a tool that is called."""
    kind = str(item.get("type"))
    if kind not in _KNOWN:
        session.transcribe(Role.TOOL, call_text(item), name=kind)


def record_end(session: Session, item: Item) -> None:
    """Record what came of an item: text, or a tool's result."""
    kind = item.get("type")
    if kind == "agentMessage":
        text = str(item.get("text", ""))
        session.transcribe(Role.AGENT, text)
        session.emit(EventKind.AGENT_MESSAGE, text=text)
    elif kind in {"reasoning", "plan"}:
        if text := _thought(item):
            session.transcribe(Role.THOUGHT, text)
    elif kind != "userMessage":
        session.transcribe(Role.RESULT, _result(item), name=str(kind), status=item.get("status"))


def call_text(item: Item) -> str:
    """Describe a tool's call as a person would."""
    if item.get("type") == "commandExecution":
        return str(item.get("command"))
    if item.get("type") == "fileChange":
        return "\n".join(f"{kind} {path}" for kind, path in _changes(item))
    shown = {key: value for key, value in item.items() if key not in {"id", "type", "status"}}
    return json.dumps(shown, default=str)


def _changes(item: Item) -> list[tuple[str, str]]:
    changes = item.get("changes")
    found = []
    for change in changes if isinstance(changes, list) else ():
        if isinstance(change, dict):
            kind = change.get("kind")
            word = kind.get("type") if isinstance(kind, dict) else kind
            found.append((str(word), str(change.get("path"))))
    return found


def _thought(item: Item) -> str:
    if isinstance(item.get("text"), str):
        return str(item["text"])
    parts = item.get("summary") or item.get("content")
    return "\n".join(map(str, parts)) if isinstance(parts, list) else ""


def _result(item: Item) -> str:
    if item.get("type") != "commandExecution":
        error = item.get("error")
        return json.dumps(error, default=str) if error else str(item.get("status"))
    output, code = item.get("aggregatedOutput"), item.get("exitCode")
    if code is None:
        return str(output or item.get("status"))
    return f"{output or ''}[exit status {code}]"
