"""How the command line writes: data to stdout, everything said to people to stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, TextIO

from orchestrator.secrets import Mask, user_mask

_COLOURS = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36", "dim": "2", "bold": "1"}


def has_colour(stream: TextIO) -> bool:
    """Whether colour may be written there: a terminal, and nobody said no (https://no-color.org)."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and stream.isatty()


def paint(text: str, colour: str | None, stream: TextIO | None = None) -> str:
    """Give `text` a colour where `stream` (stdout unless told) takes it."""
    if not colour or not has_colour(stream or sys.stdout):
        return text
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"


def write(text: str = "") -> None:
    """Write one line or block of data to stdout."""
    sys.stdout.write(text + "\n")


def write_json(document: Any) -> None:
    """Write the one JSON document of `--json`; pure ASCII, so that nothing in it can reach a terminal."""
    write(json.dumps(document, indent=2))
    sys.stdout.flush()


def say(text: str = "") -> None:
    """Tell people something, without the secrets of their environment; never on stdout."""
    sys.stderr.write(_mask().text(text) + "\n")
    sys.stderr.flush()


@lru_cache(maxsize=1)
def _mask() -> Mask:
    return user_mask()


def write_through(stream: TextIO, text: str) -> None:
    """Write past the stream's buffer, whose lock a stalled reader would hold for the whole program."""
    rest = memoryview(text.encode(stream.encoding or "utf-8", "backslashreplace"))
    while rest:
        rest = rest[os.write(stream.fileno(), rest) :]


def say_warning(text: str) -> None:
    say(f"{paint('warning', 'yellow', sys.stderr)}: {text}")


def say_error(message: str, hint: str | None = None) -> None:
    """Say what happened, and after a blank line what to do."""
    say(f"{paint('error', 'red', sys.stderr)}: {message}")
    if hint:
        say(f"\n{paint('hint', 'cyan', sys.stderr)}: {hint}")


def table(rows: Iterable[Sequence[str]]) -> list[str]:
    """Align columns; the last one is left ragged."""
    lines = [tuple(row) for row in rows]
    if not lines:
        return []
    widths = [max(len(row[column]) for row in lines) for column in range(len(lines[0]) - 1)]
    return ["  ".join([*map(str.ljust, row, widths), row[-1]]).rstrip() for row in lines]
