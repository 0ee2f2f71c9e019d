"""Answers what programs ask their terminal, from the screen model: cursor, kind, colours, modes, size."""

from __future__ import annotations

import re

from orchestrator.sessions.screen import Screen

_QUERY = re.compile(
    rb"\x1b\[(?P<report>\??[56]|\?996)n"
    rb"|\x1b\[(?P<kind>[>=]?)0?c"
    rb"|\x1b\[>0?(?P<version>q)"
    rb"|\x1b\[(?P<mode>\??\d{1,5})\$p"
    rb"|\x1b\[(?P<size>18)t"
    rb"|\x1b\](?P<colour>1[012]);\?(?P<end>\x07|\x1b\\)"
)
#: The beginning of what may become a query; it waits for its rest.
_BEGUN = re.compile(rb"\x1b(?:\[[>=?]?[0-9]{0,5}\$?|\](?:1(?:[012](?:;(?:\?\x1b?)?)?)?)?)?\Z")
#: A dark terminal: foreground, background, cursor.
_COLOURS = {b"10": b"ffff/ffff/ffff", b"11": b"0000/0000/0000", b"12": b"ffff/ffff/ffff"}
#: A VT220 with colour. No answer to the kitty keyboard query means that there is none: keys stay plain.
_KINDS = {b"": b"\x1b[?62;22c", b">": b"\x1b[>1;10;0c", b"=": b"\x1bP!|00000000\x1b\\"}


class Queries:
    """Feeds a screen, and gives the replies to the queries among the bytes."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._begun = b""

    def feed(self, chunk: bytes) -> bytes:
        """Show the bytes; return what the terminal answers."""
        data, replies, shown = self._begun + chunk, b"", 0
        for query in _QUERY.finditer(data):
            self._screen.feed(data[shown : query.start()])
            shown = query.end()
            replies += self._reply(query)
        rest = data[shown:]
        begun = _BEGUN.search(rest)
        cut = begun.start() if begun else len(rest)
        self._screen.feed(rest[:cut])
        self._begun = rest[cut:]
        return replies

    def _reply(self, query: re.Match[bytes]) -> bytes:
        asked = query.groupdict()
        if asked["report"] is not None:
            return self._report(asked["report"])
        if asked["kind"] is not None:
            return _KINDS[asked["kind"]]
        if asked["version"]:
            return b"\x1bP>|orchestrator\x1b\\"
        if asked["mode"]:
            return b"\x1b[" + asked["mode"] + b";0$y"
        if asked["size"]:
            return b"\x1b[8;%d;%dt" % (self._screen.rows, self._screen.cols)
        return b"\x1b]" + asked["colour"] + b";rgb:" + _COLOURS[asked["colour"]] + asked["end"]

    def _report(self, report: bytes) -> bytes:
        if report in {b"5", b"?5"}:
            return b"\x1b[0n"
        if report == b"?996":
            return b"\x1b[?997;1n"
        row, col = self._screen.cursor
        mark = b"?" if report.startswith(b"?") else b""
        return b"\x1b[%s%d;%dR" % (mark, row + 1, min(col, self._screen.cols - 1) + 1)
