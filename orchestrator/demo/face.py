"""How the demo agent shows itself on pipes: as lines. What both of its faces share."""

from __future__ import annotations

import sys
import time
from unicodedata import category, east_asian_width

#: True for type checkers only. `typing` costs a fifth of the start-up.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

YES = "Yes"
NO = "No, and tell the agent why (esc)"


def printable(text: str, *, ascii_only: bool = False) -> str:
    """Escape, as JSON does, all that a terminal would not show as one plain cell or two."""
    if text.isascii() and text.isprintable() and "\\" not in text:
        return text
    return "".join(_cell(char, ascii_only) for char in text)


def _cell(char: str, ascii_only: bool) -> str:
    if char == "\\":
        return "\\\\"
    if char.isprintable() and not category(char).startswith("M") and (char.isascii() or not ascii_only):
        return char
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def width(text: str) -> int:
    """Count the cells that a text takes."""
    if text.isascii():
        return len(text)
    return sum(2 if east_asian_width(char) in "WF" else 1 for char in text)


class Lines:
    """The face on pipes: one line for each thing, questions too."""

    muted = False

    def write(self, text: str) -> None:
        """Write text as it is, at once."""
        if not self.muted:
            sys.stdout.buffer.write(text.encode("utf-8", "replace"))
            sys.stdout.buffer.flush()

    def banner(self, rows: Sequence[str], prompt: str) -> None:
        """Say who this is and what it was asked."""
        self.write(" | ".join(rows) + f"\n> {prompt}\n")

    def say(self, text: str) -> None:
        """Show a message of the agent."""
        self.write(f"\u23fa {text}\n")

    def note(self, text: str) -> None:
        """Show what came of an action."""
        self.write(f"  \u23bf  {text}\n")

    def work(self, seconds: float, lines: Sequence[str]) -> None:
        """Think for a while, and show the lines spread over it."""
        started = time.monotonic()
        for number, line in enumerate(lines):
            sleep_until(started + seconds * number / len(lines))
            self.write(f"  {line}\n")
        sleep_until(started + seconds)

    def ask(self, title: str, preview: Sequence[str], question: str, number: int) -> bool:
        """Ask for permission; anything but a clear yes is a no."""
        del title, preview
        self.write(f"{question} 1. {YES} / 2. {NO} (question {number})\n")
        return self.line("").strip().lower() in {"1", "y", "yes"}

    def ask_unknown(self, question: str, options: Sequence[str]) -> int | None:
        """Ask something that no one knows; return the option's index."""
        self.write(f"{question} {' / '.join(options)}\n")
        answer = self.line("").strip()
        return options.index(answer) if answer in options else None

    def line(self, prompt: str) -> str:
        """Wait for a line of input."""
        if prompt:
            self.write(f"{prompt}\n")
        return sys.stdin.buffer.readline().decode("utf-8", "replace").rstrip("\r\n")

    def close(self) -> None:
        """Leave everything as it was."""


def sleep_until(instant: float) -> None:
    """Sleep until an instant of the monotonic clock."""
    time.sleep(max(0.0, instant - time.monotonic()))
