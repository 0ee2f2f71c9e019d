"""The screen model: what a person would see on the terminal after the bytes so far."""

from __future__ import annotations

import codecs

import avt

ROWS = 40
COLS = 120


class Screen:
    """A terminal's visible page. Takes any bytes, cut anywhere; never raises and never answers."""

    def __init__(self, rows: int = ROWS, cols: int = COLS) -> None:
        self.rows, self.cols = rows, cols
        # The package's stub forgets to export its own names.
        self._terminal = avt.Vt(cols, rows, 0)  # type: ignore[attr-defined]
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def feed(self, data: bytes) -> None:
        """Show more bytes; a character or sequence cut in two is completed by the next call."""
        self._terminal.feed_str(self._decode(data))

    @property
    def cursor(self) -> tuple[int, int]:
        """Row and column, from 0. The column is the width when the next character would wrap."""
        cursor = self._terminal.cursor
        return cursor.row, cursor.col

    def lines(self) -> list[str]:
        """Every row of the page, without the blanks at its end."""
        return [line.text.rstrip() for line in self._terminal.view()]

    def text(self) -> str:
        """The page as one text: wrapped rows are joined again, empty ones at the end left out."""
        return "\n".join(self._terminal.text()).rstrip()
