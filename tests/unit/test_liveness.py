"""What shows that a worker is alive, and what is said of one that shows nothing."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from orchestrator.attempt.beat import newest_change
from orchestrator.cli.progress import signs_of_life
from orchestrator.clock import SystemClock
from orchestrator.core.liveness import SILENT_S, STUCK_S, Liveness, judge, seen
from orchestrator.journal.live_file import LIVE_FILE, read_liveness
from orchestrator.model.pulse import Pulse

LONG = STUCK_S * 10


@pytest.mark.parametrize(
    ("signs", "state"),
    [
        ({"age": 5.0}, "alive"),
        ({"age": SILENT_S + 1}, "silent"),
        ({"age": LONG, "output": 1.0}, "alive"),
        ({"age": LONG, "events": 1.0, "output": LONG}, "alive"),
        ({"age": LONG, "files": 1.0}, "alive"),
        ({"age": LONG, "cpu": 1.0}, "silent"),
        ({"age": LONG, "cpu": 1.0, "output": LONG}, "silent"),
        ({"age": LONG, "cpu": STUCK_S + 1, "output": LONG, "files": LONG}, "stuck"),
        ({"age": LONG}, "stuck"),
        ({"age": LONG, "asks": True}, "alive"),
        ({"age": LONG, "processes": 0, "cpu": 2.0}, "dead"),
        ({"age": LONG, "processes": 0, "output": 1.0}, "alive"),
        ({"age": LONG, "processes": 3, "cpu": 2.0}, "silent"),
    ],
)
def test_the_verdict_goes_by_the_newest_sign(signs: dict[str, Any], state: str) -> None:
    assert judge(Pulse(**signs)) == state


def test_what_was_seen_is_said_with_its_time() -> None:
    now = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
    told = seen(Pulse(age=400.0, output=300.0, cpu=200.0, processes=2), now)
    assert told["seen"]["output"] == "2026-11-24T11:55:00+00:00"
    assert told["seen"]["files"] is None
    words = signs_of_life({"state": "stuck", **told})
    assert words.startswith("unknown, perhaps stuck; last seen: output ")
    assert words.endswith("2 processes")
    assert "files" not in words


def test_only_a_changed_verdict_is_told_and_the_file_has_the_newest(tmp_path: Path) -> None:
    told: list[tuple[str, Any]] = []
    board = Liveness(tmp_path, SystemClock(), lambda worker_id, data: told.append((worker_id, data)))
    for age in (1.0, SILENT_S + 1, SILENT_S + 6):
        board.take("w", Pulse(age=age))
    board.take("w", Pulse(age=90.0, output=0.5))
    assert [data["state"] for _, data in told] == ["silent", "alive"]
    board.forget("other")
    assert set(read_liveness(tmp_path)) == {"w"}
    board.forget("w")
    assert json.loads((tmp_path / LIVE_FILE).read_text()) == {}
    assert read_liveness(tmp_path / "none") == {}


def test_the_newest_change_is_found_and_git_is_passed_over(tmp_path: Path) -> None:
    assert newest_change(tmp_path / "none") is None
    (tmp_path / ".git" / "deep").mkdir(parents=True)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a").write_text("x")
    (tmp_path / ".git" / "deep" / "b").write_text("x")
    for path in (tmp_path / ".git", tmp_path / ".git" / "deep", tmp_path / "src"):
        os.utime(path, (1000, 1000))
    os.utime(tmp_path / "src" / "a", (2000, 2000))
    assert newest_change(tmp_path) == 2000
