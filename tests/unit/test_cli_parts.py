"""The small parts of the command line: feeds, redrawing, findings, crash reports, tables."""

from __future__ import annotations

import io
from collections.abc import Sequence
from threading import Event as Flag

import pytest

from orchestrator.cli.crash import crash_text
from orchestrator.cli.diagnosis import Finding, check_python, judge_git
from orchestrator.cli.feed import Feed, Item
from orchestrator.cli.footer import Footer
from orchestrator.cli.live import shown_last
from orchestrator.cli.output import paint, table
from orchestrator.sessions.screen import Screen


def test_a_feed_hands_over_everything_in_order_though_its_reader_is_stalled() -> None:
    got: list[Item] = []
    entered, go_on = Flag(), Flag()

    def consume(items: Sequence[Item]) -> None:
        entered.set()
        assert go_on.wait(10)
        got.extend(items)

    feed = Feed(consume)
    feed.push("first")
    assert entered.wait(10)
    for number in range(5000):
        feed.push(str(number))  # returns, although the reader is held
    assert got == []
    go_on.set()
    feed.close()
    assert got == ["first", *map(str, range(5000))]


def test_a_reader_that_fails_ends_its_feed_and_nothing_else() -> None:
    def consume(_items: Sequence[Item]) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    feed = Feed(consume)
    feed.push("x")
    feed.close()
    feed.push("y")
    assert isinstance(feed.fault, BrokenPipeError)


def shown(stream: io.StringIO, screen: Screen) -> list[str]:
    # a terminal starts a new row's column 0 with LF by its own setting (ONLCR)
    screen.feed(stream.getvalue().replace("\n", "\r\n").encode())
    return [line for line in screen.lines() if line]


def test_a_block_is_redrawn_in_place_and_notes_stay_above() -> None:
    stream = io.StringIO()
    footer = Footer(lambda text: print(text, end="", file=stream))
    footer.draw(["one", "two", "three"], 40)
    footer.draw(["uno", "dos"], 40, ["a note"])
    footer.draw(["eins"], 40)
    assert shown(stream, Screen(10, 40)) == ["a note", "eins"]


def test_a_line_too_long_for_the_terminal_does_not_break_the_block() -> None:
    stream = io.StringIO()
    footer = Footer(lambda text: print(text, end="", file=stream))
    for _ in range(3):
        footer.draw(["x" * 10, "bar"], 20)
    assert shown(stream, Screen(10, 20)) == ["x" * 10, "bar"]


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("git version 2.39.0", "ok"),
        ("git version 2.50.1 (Apple Git-155)", "ok"),
        ("git version 2.38.9", "fail"),
        ("git version 1.99", "fail"),
        ("nonsense", "fail"),
    ],
)
def test_git_must_be_new_enough(text: str, status: str) -> None:
    finding = judge_git(text)
    assert finding.status == status
    assert (finding.mend is None) == (status == "ok")


def test_python_must_be_new_enough() -> None:
    assert check_python((3, 10, 2)) == Finding(
        name="python", status="fail", found="3.10.2", mend="install Python 3.11 or newer"
    )


@pytest.mark.parametrize(
    ("argv", "kept"),
    [
        (["run", "-p", "my plan", "--json"], "run -p *** --json"),
        (["run", "-pmy plan"], "run -p***"),
        (["run", "--prompt", "my plan"], "run --prompt ***"),
        (["run", "--prompt=my plan"], "run --prompt=***"),
        (["run", "t.yaml", "--agent", "demo"], "run t.yaml --agent demo"),
    ],
)
def test_a_crash_report_holds_no_prompt(argv: list[str], kept: str) -> None:
    assert f"\narguments {kept}\n" in crash_text(ValueError("x"), argv)


@pytest.mark.parametrize(
    "said",
    [
        "API_KEY=hunter2",
        "token: hunter2",
        '"password": "hunter2"',
        "Authorization: hunter2",
        "Authorization: Bearer hunter2",
    ],
)
def test_a_crash_report_holds_no_secret(said: str) -> None:
    text = crash_text(ValueError(said), [])
    assert "hunter2" not in text
    assert "***" in text


def test_a_table_is_aligned() -> None:
    assert table([("A", "LONG", "REST"), ("aaaa", "b", ""), ("c", "d", "e f")]) == [
        "A     LONG  REST",
        "aaaa  b",
        "c     d     e f",
    ]
    assert table([]) == []


def test_no_colour_where_nobody_sees_it() -> None:
    assert paint("x", "red", io.StringIO()) == "x"


@pytest.mark.parametrize(
    ("written", "line"),
    [
        (b"one\r\ntwo\r\n", "two"),
        (b"10%\r20%\r", "20%"),
        (b"", ""),
        (b"\x1b[2J\x1b[H", ""),
        ("read a\r\n\u280b Thinking\r\n  esc to interrupt\x1b[1A\r".encode(), "read a"),
        ("\u280b Thinking\r\n  esc to interrupt\x1b[1A\r".encode(), "\u280b Thinking"),
        (b"\x1b[5;1Hdeep\x1b[2;1Habove", "above"),
        (b"\x1b]0;title\x07\x1b[H\x1b[31mred\x1b[0m", "red"),
    ],
)
def test_what_a_worker_wrote_last(written: bytes, line: str) -> None:
    assert shown_last(written, 80) == line
