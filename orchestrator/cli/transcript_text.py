"""A transcript for people: who said or did what, wrapped, long results shortened, all of it harmless."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from orchestrator.cli.output import paint, write
from orchestrator.model.transcript import Role
from orchestrator.report.words import one_line
from orchestrator.safe_text import safe_text

_WIDEST, _NARROWEST = 100, 40
_INDENT = " " * 10
#: How many lines of an entry are shown; the others are shown whole.
_LINES = {Role.RESULT: 8, Role.TOOL: 12, Role.THOUGHT: 6, Role.SCREEN: 40}
_WORDS = {
    Role.PROMPT: "task",
    Role.AGENT: "agent",
    Role.THOUGHT: "thinks",
    Role.TOOL: "does",
    Role.RESULT: "result",
    Role.PERMISSION: "asked",
    Role.NOTICE: "notice",
    Role.SCREEN: "screen",
}
_COLOURS = {
    Role.PROMPT: "blue",
    Role.AGENT: "bold",
    Role.THOUGHT: "dim",
    Role.TOOL: "cyan",
    Role.RESULT: "dim",
    Role.NOTICE: "yellow",
}


def transcript_shower(*, as_json: bool) -> Callable[[bytes], None]:
    """Return what shows a transcript's bytes, entry by entry; a last entry that was cut off is left out."""
    rest = b""

    def show(data: bytes) -> None:
        nonlocal rest
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            write(line.decode("ascii", "backslashreplace") if as_json else entry_text(line))
        sys.stdout.flush()

    return show


def entry_text(line: bytes) -> str:
    """Write one entry as a person would read it."""
    try:
        entry = json.loads(line)
    except ValueError:
        entry = None
    if not isinstance(entry, dict):
        return f"{_INDENT}(an entry that cannot be read)"
    role = str(entry.get("role", ""))
    known = Role(role) if role in set(Role) else None
    words = " ".join(filter(None, [_WORDS[known] if known else one_line(role), *_details(known, entry)]))
    head = f"{_time(entry.get('at'))}  {paint(words, _colour(known, entry))}"
    return "\n".join([head, *_body(known, str(entry.get("text", "")))])


def _time(at: object) -> str:
    try:
        return f"{datetime.fromisoformat(str(at)).astimezone():%H:%M:%S}"
    except ValueError:
        return "--:--:--"


def _details(role: Role | None, entry: Mapping[str, Any]) -> Iterator[str]:
    """What stands beside the role: the tool, or the answer and who gave it."""
    if role is Role.PERMISSION:
        verdict = {"allow": "allowed", "deny": "denied"}.get(str(entry.get("verdict")), "not answered")
        yield one_line(f"{entry.get('tool', '')}: {verdict} by {entry.get('rule', '')}")
        if verdict != "allowed" and entry.get("reason"):
            yield f"({one_line(str(entry['reason']))})"
    elif entry.get("name"):
        yield one_line(str(entry["name"]))


def _colour(role: Role | None, entry: Mapping[str, Any]) -> str | None:
    if role is Role.PERMISSION:
        return "green" if entry.get("verdict") == "allow" else "red"
    return _COLOURS.get(role) if role else None


def _body(role: Role | None, text: str) -> list[str]:
    lines = safe_text(text).expandtabs(4).strip("\n").rstrip().split("\n")
    if lines == [""]:
        return []
    limit = _LINES.get(role, len(lines)) if role else len(lines)
    kept = [shown for line in lines[:limit] for shown in _wrapped(line, wrap=role is not Role.SCREEN)]
    shown = kept[:limit] if role in _LINES else kept
    left = len(lines) - limit
    if left > 0 or len(shown) < len(kept):
        shown.append(f"{_INDENT}… {f'{left} more lines' if left > 0 else 'and more'}")
    return shown


def _wrapped(line: str, *, wrap: bool) -> list[str]:
    """Break a line at words; one that is indented keeps its indent, and a path stays whole."""
    width = max(_NARROWEST, min(_WIDEST, shutil.get_terminal_size().columns))
    own = _INDENT + line[: len(line) - len(line.lstrip())]
    if not wrap or len(_INDENT + line) <= width or len(own) > width // 2:
        return [(_INDENT + line).rstrip()]
    return textwrap.wrap(
        line.strip(),
        width,
        initial_indent=own,
        subsequent_indent=own,
        break_long_words=False,
        break_on_hyphens=False,
    )
