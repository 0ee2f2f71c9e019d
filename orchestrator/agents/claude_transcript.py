"""Writes what Claude Code says and does into the attempt's transcript."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.agents.claude_tools import describe_call
from orchestrator.model.event import EventKind
from orchestrator.model.transcript import Role
from orchestrator.ports import Session

#: Longer results of tools are cut here; the whole of them is in the attempt's raw output.
_KEPT = 64 * 1024

Part = Mapping[str, Any]


def transcribe(session: Session, message: Part) -> None:
    """Write one message of the program down; what says nothing to people is left out."""
    match message.get("type"):
        case "assistant":
            _transcribe_agent(session, message)
        case "user":
            for part in _content(message):
                if part.get("type") == "tool_result":
                    text = _text_of(part.get("content"))
                    session.transcribe(Role.RESULT, text, error=part.get("is_error") is True)
        case "system":
            if notice := _notice(message):
                session.transcribe(Role.NOTICE, notice)
        case "rate_limit_event":
            session.transcribe(Role.NOTICE, _rate_limit(message.get("rate_limit_info")))


def _transcribe_agent(session: Session, message: Part) -> None:
    inner = {"subagent": True} if message.get("parent_tool_use_id") else {}
    for part in _content(message):
        match part.get("type"):
            case "text" if text := _text_of(part.get("text")):
                session.transcribe(Role.AGENT, text, **inner)
                if not inner:
                    session.emit(EventKind.AGENT_MESSAGE, text=text)
            case "thinking" if text := _text_of(part.get("thinking")):
                session.transcribe(Role.THOUGHT, text, **inner)
            case "tool_use":
                name, given = str(part.get("name")), part.get("input")
                text = describe_call(name, given if isinstance(given, Mapping) else {})
                session.transcribe(Role.TOOL, text[:_KEPT], name=name, **inner)


def _notice(message: Part) -> str | None:
    match message.get("subtype"):
        case "api_retry":
            wait_s = message.get("retry_delay_ms")
            wait = f"; trying again in {wait_s / 1000:.0f} s" if isinstance(wait_s, int | float) else ""
            attempt = f"{message.get('attempt')} of {message.get('max_retries')}"
            status = message.get("error_status")
            return f"the model's server failed ({message.get('error')}, HTTP {status}; retry {attempt}){wait}"
        case "informational" | "permission_denied":
            return _text_of(message.get("content") or message.get("message"))
        case "compact_boundary":
            return "the conversation was compacted"
    return None


def _rate_limit(told: object) -> str:
    info = told if isinstance(told, Mapping) else {}
    return f"rate limit {info.get('rateLimitType') or ''}: {info.get('status')}".replace(" :", ":")


def _content(message: Part) -> Iterator[Part]:
    inner = message.get("message")
    content = inner.get("content") if isinstance(inner, Mapping) else None
    if isinstance(content, str):
        yield {"type": "text", "text": content}
    elif isinstance(content, list):
        yield from (part for part in content if isinstance(part, Mapping))


def _text_of(content: object) -> str:
    if isinstance(content, str):
        left_out = len(content) - _KEPT
        return f"{content[:_KEPT]}… ({left_out} more characters)" if left_out > 0 else content
    if isinstance(content, list):
        texts = (part.get("text") for part in content if isinstance(part, Mapping))
        return _text_of("\n".join(text for text in texts if isinstance(text, str)))
    return ""
