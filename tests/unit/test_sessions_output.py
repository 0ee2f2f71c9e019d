"""The kept output: a capped file and the last bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.sessions import screen, terminal
from orchestrator.sessions.output import TAIL_BYTES, OutputLog, Tail


@pytest.mark.parametrize("piece", [1, 7, 100, 1000])
def test_the_tail_is_the_last_bytes(piece: int) -> None:
    data = bytes(index % 251 for index in range(1000))
    tail = Tail(100)
    for start in range(0, len(data), piece):
        tail.append(data[start : start + piece])
        assert tail.last() == data[: start + piece][-100:]


def test_a_log_within_its_limit_is_just_the_bytes(tmp_path: Path) -> None:
    log = OutputLog(tmp_path / "log", 6)
    for piece in (b"abc", b"", b"\xff\x00z"):
        log.write(piece)
    log.close()
    log.close()
    assert (tmp_path / "log").read_bytes() == b"abc\xff\x00z"
    assert (log.bytes_seen, log.error) == (6, None)


def test_beyond_the_limit_the_end_is_kept_after_a_marker(tmp_path: Path) -> None:
    log = OutputLog(tmp_path / "log", 4)
    log.write(b"abcdefg")
    log.write(b"h" * TAIL_BYTES)
    log.close()
    left_out = f"3 bytes left out, the last {TAIL_BYTES} follow"
    marker = f"\n[orchestrator: output beyond 4 bytes is not kept here; {left_out}]\n"
    assert (tmp_path / "log").read_bytes() == b"abcd" + marker.encode() + b"h" * TAIL_BYTES


def test_a_log_that_cannot_be_opened_counts_on(tmp_path: Path) -> None:
    log = OutputLog(tmp_path / "none" / "log", 4)
    log.write(b"abcdefg")
    log.remark("something")
    log.close()
    assert log.bytes_seen == 7
    assert isinstance(log.error, FileNotFoundError)


def test_the_terminal_is_as_large_as_the_screen_model() -> None:
    assert (screen.ROWS, screen.COLS) == terminal.WINDOW
