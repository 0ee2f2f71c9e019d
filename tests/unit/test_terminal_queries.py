"""What programs ask their terminal is answered, wherever the bytes are cut; all else is only shown."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.agents.terminal_queries import Queries
from orchestrator.sessions.screen import Screen

ANSWERS = [
    (b"\x1b[c", b"\x1b[?62;22c"),
    (b"\x1b[>c", b"\x1b[>1;10;0c"),
    (b"\x1b[5n", b"\x1b[0n"),
    (b"ab\r\ncd\x1b[6n", b"\x1b[2;3R"),
    (b"\x1b[?6n", b"\x1b[?1;1R"),
    (b"\x1b[>0q", b"\x1bP>|orchestrator\x1b\\"),
    (b"\x1b[?2026$p", b"\x1b[?2026;0$y"),
    (b"\x1b[18t", b"\x1b[8;10;40t"),
    (b"\x1b]11;?\x07", b"\x1b]11;rgb:0000/0000/0000\x07"),
    (b"\x1b]10;?\x1b\\", b"\x1b]10;rgb:ffff/ffff/ffff\x1b\\"),
    (b"\x1b[?u", b""),
    (b"\x1b]0;title\x07text", b""),
    (b"\x1b[31mred", b""),
]


@pytest.mark.parametrize(("asked", "answered"), ANSWERS)
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_queries_are_answered_at_every_boundary(asked: bytes, answered: bytes, size: int) -> None:
    queries = Queries(Screen(10, 40))
    chunks = (asked[start : start + size] for start in range(0, len(asked), size))
    assert b"".join(map(queries.feed, chunks)) == answered


def test_the_cursor_is_told_as_it_was_when_it_was_asked_for() -> None:
    queries = Queries(Screen(10, 40))
    assert queries.feed(b"\x1b[6nabc\x1b[6n\r\n") == b"\x1b[1;1R\x1b[1;4R"


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=200), cut=st.integers(0, 200))
def test_what_is_no_query_is_shown_as_it_is(data: bytes, cut: int) -> None:
    plain, screen = Screen(10, 40), Screen(10, 40)
    queries = Queries(screen)
    end = b"\x18 end"  # cancels what may have begun
    queries.feed(data[:cut])
    queries.feed(data[cut:] + end)
    plain.feed(data + end)
    assert (screen.lines(), screen.cursor) == (plain.lines(), plain.cursor)
