"""What an ACP agent tells while it works: messages, tool calls, plans and figures, into the transcript."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from orchestrator.agents.acp_requests import call_subject, content_texts
from orchestrator.model.event import EventKind
from orchestrator.model.transcript import Role
from orchestrator.ports import Session

#: A longer message is told in parts; a longer result is cut.
_PART = 256 * 1024
_RESULT = 16 * 1024


class Updates:
    """Follows one session of the agent."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._role = Role.AGENT
        self._parts: list[str] = []
        self._length = 0
        self._calls: dict[str, dict[str, Any]] = {}
        self._told: set[str] = set()
        self.listening = False  #: False while an old session is told again
        self.last_message = ""
        self.did_something = False
        self.cost_usd: float | None = None

    def hear(self, method: str, params: Mapping[str, Any]) -> None:
        """Take a notification; kinds that nobody knows are of no account."""
        update = params.get("update")
        if method != "session/update" or not isinstance(update, Mapping) or not self.listening:
            return
        match update.get("sessionUpdate"):
            case "agent_message_chunk":
                self._add(Role.AGENT, "".join(content_texts(update.get("content"))))
            case "agent_thought_chunk":
                self._add(Role.THOUGHT, "".join(content_texts(update.get("content"))))
            case "tool_call" | "tool_call_update":
                self._call(update)
            case "plan":
                self._plan(update.get("entries"))
            case "usage_update":
                self._cost(update.get("cost"))
            case "current_mode_update":
                self.notice(f"the agent's mode is now `{update.get('currentModeId')}`")

    def notice(self, text: str) -> None:
        """Tell a person something about the program."""
        self.flush()
        self._session.transcribe(Role.NOTICE, text)

    def _add(self, role: Role, text: str) -> None:
        if role is not self._role:
            self.flush()
        self._role = role
        if text:
            self._parts.append(text)
            self._length += len(text)
        if self._length > _PART:
            self.flush()

    def flush(self) -> None:
        """Tell what was said up to here."""
        text = "".join(self._parts).strip()
        self._parts, self._length = [], 0
        if not text:
            return
        self._session.transcribe(self._role, text)
        if self._role is Role.AGENT:
            self.last_message, self.did_something = text, True
            self._session.emit(EventKind.AGENT_MESSAGE, text=text)

    @property
    def tool_runs(self) -> bool:
        """Whether a tool of the agent's may be running."""
        return bool(self._calls)

    def forget(self, update: Mapping[str, Any]) -> None:
        """A tool call was refused: it will not run."""
        self._calls.pop(str(update.get("toolCallId")), None)

    def call(self, update: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return all that is known of a tool call, `update` on top, and tell of it once."""
        known = self._known(update)
        self._tell(known)
        return known

    def _known(self, update: Mapping[str, Any]) -> dict[str, Any]:
        known = self._calls.setdefault(str(update.get("toolCallId")), {})
        known.update({key: value for key, value in update.items() if value is not None})
        return known

    def _tell(self, call: Mapping[str, Any]) -> None:
        self.flush()
        self.did_something = True
        call_id = str(call.get("toolCallId"))
        if call_id not in self._told:
            self._told.add(call_id)
            self._session.transcribe(Role.TOOL, _described(call), name=str(call.get("kind") or "other"))

    def _call(self, update: Mapping[str, Any]) -> None:
        known = self._known(update)
        status = known.get("status", "pending")
        if known.get("rawInput") or known.get("locations") or status != "pending":
            self._tell(known)
        if status in ("completed", "failed"):
            text = "\n".join(content_texts(known.get("content"))) or _plain(known.get("rawOutput"))
            self._session.transcribe(Role.RESULT, text[:_RESULT], status=status)
            del self._calls[str(known.get("toolCallId"))]

    def _plan(self, entries: object) -> None:
        self.flush()
        steps = (
            [entry for entry in entries if isinstance(entry, Mapping)] if isinstance(entries, list) else []
        )
        lines = [f"[{entry.get('status')}] {entry.get('content')}" for entry in steps]
        self._session.transcribe(Role.THOUGHT, "\n".join(["plan:", *lines]))

    def _cost(self, cost: object) -> None:
        if isinstance(cost, Mapping) and cost.get("currency") == "USD":
            amount = cost.get("amount")
            if isinstance(amount, (int, float)) and not isinstance(amount, bool) and amount >= 0:
                self.cost_usd = float(amount)


def _described(call: Mapping[str, Any]) -> str:
    """Return the title, and what it leaves out: the command, or the first path."""
    title = str(call.get("title") or call.get("kind") or "a tool")
    subject = call_subject(call)
    return title if subject is None or PurePath(subject).name in title else f"{title}: {subject}"


def _plain(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, default=str)
