"""Redraws a block of lines at the foot of a terminal."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

_STYLE = re.compile(r"\x1b\[[0-9;]*m")
_NO_WRAP, _WRAP, _CLEAR_LINE, _CLEAR_BELOW = "\x1b[?7l", "\x1b[?7h", "\x1b[K", "\x1b[J"


class Footer:
    """What was drawn last stays until the next `draw`; the cursor rests below it."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._drawn: list[int] = []

    def draw(self, lines: Sequence[str], columns: int, above: Sequence[str] = ()) -> None:
        """Replace the block by `lines`, after writing `above` where it stays for good."""
        rows = sum(
            max(1, -(-length // columns)) for length in self._drawn
        )  # a narrowed terminal has reflowed
        up = f"\r\x1b[{rows}A" if rows else "\r"
        body = "".join(f"{line}{_CLEAR_LINE}\n" for line in (*above, *lines))
        self._write(f"{up}{_NO_WRAP}{body}{_CLEAR_BELOW}{_WRAP}")
        self._drawn = [len(_STYLE.sub("", line)) for line in lines]
