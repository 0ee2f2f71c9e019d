"""Nothing that an agent prints may steer the terminal of the person who reads it."""

import random
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.safe_text import decode, final_text, last_line, safe_text

SEQUENCES = {
    "colour": "\x1b[1;38;5;196m",
    "colour with colons": "\x1b[38:2::255:0:0m",
    "private mode": "\x1b[?1049h",
    "cursor style": "\x1b[2 q",
    "clear": "\x1b[2J",
    "title by BEL": "\x1b]0;evil\x07",
    "title by ST": "\x1b]2;evil\x1b\\",
    "link": "\x1b]8;;http://evil\x1b\\",
    "clipboard": "\x1b]52;c;ZXZpbA==\x07",
    "DCS": "\x1bP$qm\x1b\\",
    "sixel": "\x1bPq#0;2;0;0;0#0~~\x1b\\",
    "APC": "\x1b_Gi=1;evil\x1b\\",
    "PM": "\x1b^evil\x1b\\",
    "SOS": "\x1bXevil\x1b\\",
    "CSI of 8 bits": "\x9b31m",
    "OSC of 8 bits": "\x9d0;evil\x9c",
    "DCS of 8 bits": "\x90evil\x9c",
    "string given up": "\x1b]0;evil\x18",
    "reset": "\x1bc",
    "charset": "\x1b(0",
    "save cursor": "\x1b7",
    "keypad": "\x1b=",
    "lone ESC": "\x1b",
    "unfinished CSI": "\x1b[31",
    "bell, backspace, DEL": "\x07\x08\x7f",
    "shifts": "\x0e\x0f",
    "NUL": "\0",
    "form feed, vertical tab": "\x0b\x0c",
    "bidi override": "\u202e",
    "bidi isolate": "\u2066\u2069",
    "zero width": "\u200b\ufeff",
    "tags": "\U000e0041",
}


@pytest.mark.parametrize("sequence", SEQUENCES.values(), ids=list(SEQUENCES))
def test_sequence_leaves_only_the_text_around_it(sequence: str) -> None:
    after = "\n" if sequence in ("\x1b", "\x1b[31") else " "
    assert safe_text(f"a{sequence}{after}b") == f"a{after}b"


def test_unending_string_hides_no_more_than_its_own_line() -> None:
    assert safe_text("a\x1b]0;hidden\nshown") == "a\nshown"
    assert safe_text("a\x1b]0;hidden\x1b[1mshown") == "ashown"


def test_line_ends() -> None:
    assert safe_text("a\r\nb\r\r\nc") == "a\nb\nc"
    assert safe_text("10%\r20%\r\x1b[K30%\nnext") == "30%\nnext"
    assert safe_text("working\r") == "working"


def test_every_character_that_reorders_or_hides_is_known() -> None:
    """Of this Python's Unicode: a newer one may know more, and then this test says which."""
    bad = ("Cc", "Cf", "Zl", "Zp", "Cs")
    passed = [
        f"U+{code:04X}"
        for code in range(0x110000)
        if chr(code) not in "\n\t"
        and unicodedata.category(chr(code)) in bad
        and chr(code) in safe_text(f"x{chr(code)}x")
    ]
    assert passed == []


def test_ordinary_text_of_any_script_stays() -> None:
    text = "Zażółć\tgęślą jaźń — 日本語 العربية 👍🏽 ¡!\n"
    assert safe_text(text) == text


def _is_safe(text: str) -> bool:
    return all(c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Zl", "Zp", "Cs") for c in text)


ESCAPES = st.sampled_from(
    [*SEQUENCES.values(), "\r", "\n", "\x1b[", "\x1b]", "\x9b", "\\", "m", ";", "1", "é"]
)


@given(st.lists(st.one_of(ESCAPES, st.text(max_size=5), st.characters(max_codepoint=0xA0))).map("".join))
def test_no_control_passes_and_twice_is_once(text: str) -> None:
    once = safe_text(text)
    assert _is_safe(once)
    assert safe_text(once) == once
    once.encode()


def test_no_control_passes_from_random_bytes() -> None:
    seed = random.randrange(2**32)
    dice = random.Random(seed)
    for _ in range(3000):
        data = bytes(
            dice.choices((*b"\x1b\x9b\x90\x9d\x9c[]P\\;m0\r\n\x07\xc2\xe2\x80\xae", *range(256)), k=60)
        )
        for text in (safe_text(decode(data)), last_line(data, 30), final_text(data, 30)):
            assert _is_safe(text), (seed, data)


@pytest.mark.parametrize(
    "piece", ["\x1b[", "\x1b]", "\x1b]0;" + "a" * 9, "\x1b[1;", "\r", "a\r", "\x1b[1 ", "\x9d"]
)
def test_time_is_linear(piece: str) -> None:
    """Quadratic work on 4 MB would take hours, not seconds."""
    text = piece * (4_000_000 // len(piece))
    start = time.monotonic()
    safe_text(text)
    assert time.monotonic() - start < 20


def test_decode_replaces_what_is_no_utf8() -> None:
    assert decode(b"a\xff\xe2\x82") == "a\ufffd\ufffd"


def test_last_line_is_the_last_with_text() -> None:
    assert last_line(b"one\n\x1b[32mtwo\x1b[0m  \n \n\x1b[K\n", 40) == "two"
    assert last_line(b"fetch 10%\rfetch 90%\r", 40) == "fetch 90%"
    assert last_line(b"tab\tseparated", 40) == "tab separated"
    assert last_line(b"", 40) == ""
    assert last_line(b"\n \n", 40) == ""


def test_last_line_is_found_behind_many_blank_ones() -> None:
    assert last_line(b"here" + b"\n" * 10_000, 40) == "here"


def test_last_line_is_cut_to_columns_not_characters() -> None:
    assert last_line("日本語日本語".encode(), 7) == "日本語…"
    assert last_line("日本語日本語".encode(), 6) == "日本…"
    assert last_line(b"abcdef", 6) == "abcdef"
    assert last_line(b"abcdefg", 6) == "abcde…"
    assert last_line(b"abcdefg", 1) == "…"
    assert last_line(b"abcdefg", 0) == ""


def test_final_text_is_the_end_without_blank_lines() -> None:
    assert final_text(b"\n\x1b[1mfirst\x1b[0m\nsecond  \n\n") == "first\nsecond"
    assert final_text(b"first line\nsecond", 10) == "…ne\nsecond"
    assert final_text(b"x" * 50, 20) == "…" + "x" * 19
