"""What a line of the job log holds is safe for whatever reads it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from orchestrator.journal.joblog import COLUMNS, Lines
from orchestrator.model.event import Event, EventKind

AT = datetime(2026, 11, 23, 19, 30, 5, 123456, tzinfo=UTC)


def event(kind: EventKind, **data: Any) -> Event:
    return Event(kind=kind, at=AT, worker_id=data.pop("worker", None), attempt=1, data=data)


def line(**changes: Any) -> list[str]:
    lines = Lines()
    tasks = [{"id": "w", "agent": "a\tb", "digest": "d" * 24}]
    lines.take(event(EventKind.RUN_STARTED, tasks=tasks))
    lines.take(event(EventKind.ATTEMPT_STARTED, worker="w", queue_wait=0.25))
    data = {"status": "failed", "error_kind": None, "exit_code": 1, "signal": None, "duration": 1.5}
    text = lines.take(event(EventKind.ATTEMPT_FINISHED, worker="w", **{**data, **changes}))
    assert text is not None
    assert text.count("\n") == 1
    assert text.endswith("\n")
    return text.removesuffix("\n").split("\t")


def test_every_column_is_there() -> None:
    found = dict(zip(COLUMNS, line(), strict=True))
    assert found["started_at"] == "2026-11-23T19:30:05.123Z"
    assert (found["start"], found["queue_wait"], found["duration"]) == ("0.250", "0.250", "1.500")
    assert (found["signal"], found["commit"], found["verify"]) == ("-", "-", "-")
    assert found["agent"] == "a?b"


def test_hostile_values_end_no_column_and_no_line() -> None:
    found = dict(zip(COLUMNS, line(error_kind="x\ny\tz \x1b[2J é\0"), strict=True))
    assert found["error_kind"] == "x?y?z??[2J???"


def test_an_end_without_a_start_has_no_line() -> None:
    assert Lines().take(event(EventKind.ATTEMPT_FINISHED, worker="w", status="failed", duration=1.0)) is None
