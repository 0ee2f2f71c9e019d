"""The state of a run as another process reads it: going on, ended, died."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.errors import JournalError
from orchestrator.journal.runs import RunLock, journal_path
from orchestrator.journal.state import load_state
from orchestrator.journal.store import Journal
from orchestrator.model.event import Event, EventKind, Phase, RunStatus

BEGUN = Event(
    kind=EventKind.RUN_STARTED,
    at=datetime(2026, 11, 23, 19, 30, 5, tzinfo=UTC),
    data={"run_id": "r", "tasks": [{"id": "a", "name": "A", "agent": "demo"}]},
)


def test_a_run_goes_on_until_its_process_is_gone_or_it_says_its_end(tmp_path: Path) -> None:
    lock = RunLock.acquire(tmp_path)
    with closing(Journal.create(journal_path(tmp_path))) as journal:
        journal.append_durable(BEGUN).result(10)
        state = load_state(tmp_path)
        assert state.status is RunStatus.RUNNING
        assert state.seen_at is not None
        assert state.elapsed == (state.seen_at - BEGUN.at).total_seconds() != 0.0
        lock.release()
        died = load_state(tmp_path)
        assert (died.status, died.elapsed) == (RunStatus.DIED, 0.0)
        assert (died.workers["a"].phase, died.workers["a"].result) == (Phase.QUEUED, None)
        end = {"status": "succeeded", "wall_seconds": 2.5}
        journal.append_durable(Event(kind=EventKind.RUN_FINISHED, at=BEGUN.at, data=end)).result(10)
        ended = load_state(tmp_path)
        assert (ended.status, ended.elapsed, ended.last_seq) == (RunStatus.SUCCEEDED, 2.5, 2)


def test_a_journal_without_a_beginning_is_told(tmp_path: Path) -> None:
    with closing(Journal.create(journal_path(tmp_path))), pytest.raises(JournalError, match="is empty"):
        load_state(tmp_path)


def test_events_that_do_not_fit_together_are_told(tmp_path: Path) -> None:
    with closing(Journal.create(journal_path(tmp_path))) as journal:
        journal.append_durable(BEGUN)
        stray = Event(kind=EventKind.AGENT_MESSAGE, at=BEGUN.at, worker_id="nobody", data={"text": "x"})
        journal.append_durable(stray).result(10)
        with pytest.raises(JournalError, match=r"does not fit together.*nobody"):
            load_state(tmp_path)
