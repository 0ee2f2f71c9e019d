"""Text that agents wrote, made harmless for a person's terminal."""

from __future__ import annotations

import re
import unicodedata

#: Nothing of a progress line comes from further back than this.
_LINE_WINDOW = 4096

# A control string (title, palette, clipboard, …) ends at its terminator. One that never ends is dropped to
# the end of its line only, so that no agent can hide the rest of its output from the reader.
_CONTROL = re.compile(
    r"(?:\x1b[P\]X^_]|[\x90\x98\x9d-\x9f])[^\x07\x18\x1a\x1b\x9c\n]*(?:\x1b\\|[\x07\x18\x1a\x9c])?"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|\x1b[ -/]*[0-~]?"
)
# C0 except tab, newline and carriage return; DEL; C1; then every character of Unicode's categories Cf, Zl
# and Zp: they reorder, hide or break lines.
_HIDDEN = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
    r"\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    r"\ufeff\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    r"\U0001d173-\U0001d17a\U000e0000-\U000e007f]"
)
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def decode(data: bytes) -> str:
    """Read bytes as UTF-8; what is none becomes U+FFFD."""
    return data.decode("utf-8", "replace")


def safe_text(text: str) -> str:
    """Return `text` with no control but newline and tab, and nothing that reorders or hides.

    A line that was overwritten after a carriage return shows its last state.
    """
    shown = _HIDDEN.sub("", _CONTROL.sub("", text))
    shown = _SURROGATE.sub("\ufffd", shown)
    if "\r" not in shown:
        return shown
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in shown.split("\n"))


def last_line(tail: bytes, width: int = 200) -> str:
    """Return the last line of `tail` that is not blank, cut to `width` columns; empty when there is none."""
    for window in (tail[-_LINE_WINDOW:], tail):
        for line in reversed(safe_text(decode(window)).split("\n")):
            if shown := " ".join(line.split()):
                return _cut(shown, width)
    return ""


def final_text(tail: bytes, limit: int = 16_384) -> str:
    """Return the end of an agent's output for its result, `limit` characters at most."""
    text = safe_text(decode(tail)).strip("\n").rstrip()
    return text if len(text) <= limit else "…" + text[len(text) - limit + 1 :]


def _cut(text: str, width: int) -> str:
    if sum(map(_columns, text)) <= width:
        return text
    columns = 0
    for index, character in enumerate(text):
        columns += _columns(character)
        if columns > width - 1:
            return text[:index] + "…" if width > 0 else ""
    return text


def _columns(character: str) -> int:
    """How many columns of a terminal a character takes."""
    if unicodedata.category(character) in {"Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1
