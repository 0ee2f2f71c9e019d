"""Whether what a screen shows of a command or a path is all of it, exactly. When in doubt, it is not."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence

from orchestrator.agents.terminal_signatures import Prompt, Signature

#: What programs put where they leave something out.
_ELLIPSIS = "\u2026"
_FIRST_WORD = re.compile(r"\s*\S*")


def doubt_about(
    signature: Signature,
    prompt: Prompt,
    groups: Mapping[str, str | None],
    rows: Sequence[str],
    cols: int,
) -> str | None:
    """Say why the arguments are not certain; None when they are."""
    if any(pattern.search(row) for row in rows for pattern in signature.cut):
        return "part of it is not shown"
    for name in ("command", "path", "url"):
        if (shown := groups.get(name)) is not None and (why := _doubt(signature, prompt, shown, cols)):
            return why
    if prompt.body is not None and not any(groups.get(name) for name in ("command", "path", "url")):
        return "it names nothing that it asks for"
    return None


def _doubt(signature: Signature, prompt: Prompt, shown: str, cols: int) -> str | None:
    rows = shown.split("\n")
    if prompt.unmark is not None:
        marked = [prompt.unmark.fullmatch(row) for row in rows]
        if not all(marked):
            return "its rows are not marked as they should be"
        rows = [(found["text"] or "").rstrip() for found in marked if found]
    if _ELLIPSIS in shown:
        return "part of it may be left out"
    if any(unicodedata.category(character)[0] == "C" for row in rows for character in row):
        return "it holds characters that cannot be seen"
    if len(rows) > 1 and ("<<" in shown or any(row.endswith("\\") for row in rows)):
        return "blanks at the ends of its rows would change it, and cannot be seen"
    width = cols - signature.margin
    if any(_may_be_wrapped(row, after, width) for row, after in zip(rows, [*rows[1:], ""], strict=True)):
        return "a row of it may go on in the next one"
    return None


def _may_be_wrapped(row: str, after: str, width: int) -> bool:
    """Whether `after` might be the rest of `row`: its first word did not fit, as far as can be told."""
    word = _FIRST_WORD.match(after)
    needed = _columns(row) + (1 + _columns(word[0]) if word and after else 0)
    return needed > width


def _columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1 for character in text)
