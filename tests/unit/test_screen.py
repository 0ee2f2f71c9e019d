"""The screen model shows what a terminal shows, however the bytes are cut, whatever they are."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.sessions.screen import Screen

_PIECES = st.one_of(
    st.binary(max_size=30),
    st.text(max_size=30).map(lambda text: text.encode("utf-8", "replace")),
    st.sampled_from([b"\r", b"\n", b"\b", b"\t", b"\x1b7", b"\x1b8", b"\x1bc", b"\x1bM", b"\x1b]0;t"]),
    st.builds(
        lambda numbers, final: b"\x1b[" + b";".join(b"%d" % n for n in numbers) + final,
        st.lists(st.sampled_from([0, 1, 2, 39, 40, 41, 119, 120, 121, 65536, 2**40]), max_size=3),
        st.sampled_from([bytes([code]) for code in range(0x40, 0x7F)]),
    ),
)


def _shown(screen: Screen) -> tuple[list[str], tuple[int, int]]:
    return screen.lines(), screen.cursor


def test_words_placed_by_cursor_moves_read_as_words() -> None:
    screen = Screen()
    screen.feed(b"\x1b[2J\x1b[3;1HDo\x1b[Cyou\x1b[Cwant\r\n\xe2\x9d\xaf 1. Yes\x1b[1A\x1b[4G")
    assert screen.lines()[2:4] == ["Do you want", "\u276f 1. Yes"]
    assert screen.cursor == (2, 3)


def test_a_line_repainted_with_carriage_returns_shows_its_last_state() -> None:
    screen = Screen()
    screen.feed(b"".join(b"\r\x1b[2Kstep %d" % n for n in range(500)))
    assert screen.text() == "step 499"


def test_only_the_visible_page_is_kept() -> None:
    screen = Screen(rows=5, cols=20)
    screen.feed(b"".join(b"line %d\r\n" % n for n in range(100_000)))
    assert screen.text().split("\n") == ["line 99996", "line 99997", "line 99998", "line 99999"]


def test_wrapped_rows_are_one_line_of_text() -> None:
    screen = Screen(rows=5, cols=10)
    screen.feed(b"a line of twenty-six cells\r\nshort\r\n")
    assert screen.lines()[:4] == ["a line of", "twenty-six", " cells", "short"]
    assert screen.text() == "a line of twenty-six cells\nshort"


def test_a_program_cannot_resize_the_page() -> None:
    screen = Screen(rows=10, cols=30)
    screen.feed(b"\x1b[8;99999;99999t" + b"x" * 31)
    assert len(screen.lines()) == 10
    assert screen.lines()[:2] == ["x" * 30, "x"]


@settings(max_examples=200, deadline=None)
@given(pieces=st.lists(_PIECES, max_size=40), data=st.data())
def test_any_bytes_cut_anywhere_show_the_same_page(pieces: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    whole, cut = Screen(), Screen()
    whole.feed(stream)
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        cut.feed(stream[start:end])
    assert _shown(cut) == _shown(whole)
