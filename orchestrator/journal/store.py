"""The journal of one run: appending events, reading them, and requests from other processes."""

from __future__ import annotations

import getpass
import json
import os
import sqlite3
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from orchestrator.errors import JournalError
from orchestrator.journal import database
from orchestrator.journal.ballast import Ballast
from orchestrator.model.event import Event, EventKind

_GROUP_S = 0.015  # how long an event that need not be durable may wait for company
_RETRY_S = 0.25
_to_json = json.JSONEncoder(separators=(",", ":")).encode  # `json.dumps` would build one for each event
_BATCH_BYTES = 4 * 1024 * 1024
#: Faults that pass: a full disk, an I/O error, a lock held by somebody else, no memory.
_PASSING = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
    }
)
_HELPED_BY_ROOM = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})
# One statement for a whole batch: it is its own transaction, and the interpreter's lock is let go
# once instead of once a row, which under a busy event loop can cost milliseconds each time.
_INSERT = """
    INSERT INTO events (seq, at, kind, worker_id, attempt, data)
    SELECT ? + key, json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
           json_extract(value, '$[3]'), json_extract(value, '$[4]')
    FROM json_each(?) ORDER BY key
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What another process asks of a run that is going."""

    id: int
    at: datetime
    who: str  #: user name and process id
    kind: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Hindrance:
    """Why no new work should begin: what keeps events from the disk, or soon will."""

    reason: str  #: `disk_full` or `journal`
    detail: str


@dataclass(frozen=True, slots=True)
class _Row:
    text: str  # a JSON array: at, kind, worker_id, attempt, data as text
    saved: Future[int] | None


class Journal:
    """The one writer of a run's journal. Its methods may be called from any thread.

    `fault` says what keeps events from the disk at present; they are kept and tried again. When the disk is
    full the ballast goes, so that the last events fit; `hindrance` stays until there is room for it again.
    """

    def __init__(self, path: Path) -> None:
        """Open an existing journal; `create` makes a new one."""
        self.path = path
        self.fault: str | None = None
        self._full = False
        self._ballast = Ballast(path.parent)
        self._connection = database.open_writer(path)
        self._requests = database.open_reader(path)
        self._request_lock = threading.Lock()
        with database.said_of(path):
            # What was asked of the run before, it has heard or died of.
            self._last_request = self._connection.execute(
                "SELECT ifnull(max(id), 0) FROM requests"
            ).fetchone()[0]
            self._next_seq = (
                1 + self._connection.execute("SELECT ifnull(max(seq), 0) FROM events").fetchone()[0]
            )
        self._changed = threading.Condition()
        self._pending: list[_Row] = []
        self._urgent = False
        self._closing = False
        self._giving_up = False
        self._error: JournalError | None = None
        self._ballast.take_up()
        self._writer = threading.Thread(target=self._write_all, name="journal", daemon=True)
        self._writer.start()

    @classmethod
    def create(cls, path: Path) -> Self:
        """Make a new journal at `path` and open it."""
        database.create(path)
        return cls(path)

    def append(self, event: Event) -> None:
        """Record `event`; it is on the disk within 20 ms or so."""
        self._add(_Row(_encode(event), None), urgent=False)

    def append_durable(self, event: Event) -> Future[int]:
        """Record `event`; the future gives its `seq` once it, and all before it, are on the disk."""
        saved: Future[int] = Future()
        self._add(_Row(_encode(event), saved), urgent=True)
        return saved

    def new_requests(self) -> list[Request]:
        """Return what other processes asked since the last call."""
        with self._request_lock, database.said_of(self.path):
            rows = self._requests.execute(
                "SELECT id, at, who, kind, data FROM requests WHERE id > ? ORDER BY id", (self._last_request,)
            ).fetchall()
            if rows:
                self._last_request = rows[-1][0]
        return [
            Request(
                id=row[0], at=datetime.fromisoformat(row[1]), who=row[2], kind=row[3], data=json.loads(row[4])
            )
            for row in rows
        ]

    def hindrance(self) -> Hindrance | None:
        """Say why no new work should begin. Makes the ballast anew where there is room for it."""
        fault = self.fault
        if fault is not None:
            return Hindrance("disk_full" if self._full else "journal", fault)
        if not self._ballast.take_up():
            return Hindrance("disk_full", f"the disk is full: {self.path.parent} has no room left")
        return None

    def give_up(self) -> None:
        """Stop waiting for a fault to pass: one more try, then what waits ends with a JournalError."""
        with self._changed:
            self._giving_up = True
            self._changed.notify()

    def close(self) -> None:
        """Write what is left and let go of the file. Raises JournalError when events were lost."""
        with self._changed:
            first = not self._closing
            self._closing = True
            self._changed.notify()
        self._writer.join()
        if first:
            with self._request_lock:
                self._requests.close()
            self._connection.close()
            self._ballast.drop()
            if self._error:
                raise self._error

    def _add(self, row: _Row, *, urgent: bool) -> None:
        with self._changed:
            if self._closing:
                raise JournalError(f"the journal {self.path} is closed; nothing can be recorded any more")
            self._pending.append(row)
            if urgent or len(self._pending) == 1:
                self._urgent = self._urgent or urgent
                self._changed.notify()

    def _write_all(self) -> None:
        """Body of the writer thread."""
        batch: list[_Row] = []
        try:
            while batch := self._next_batch():
                self._save(batch)
        finally:
            with self._changed:
                batch, self._pending = batch + self._pending, []
            self._give_up(batch)

    def _next_batch(self) -> list[_Row]:
        """Wait for events, and a little for company unless one is urgent; empty when all is done."""
        with self._changed:
            self._changed.wait_for(lambda: self._pending or self._closing)
            self._changed.wait_for(lambda: self._urgent or self._closing, timeout=_GROUP_S)
            size = 0
            count = 0
            while count < len(self._pending) and size < _BATCH_BYTES:
                size += len(self._pending[count].text)
                count += 1
            batch = self._pending[:count]
            del self._pending[:count]
            self._urgent = self._urgent and bool(self._pending)
            return batch

    def _save(self, batch: list[_Row]) -> None:
        """Commit `batch`, trying again as long as the fault may pass and nobody closes the journal."""
        while not self._error:
            last_try = self._closing or self._giving_up
            try:
                self._insert(batch)
            except sqlite3.Error as err:
                problem = database.explain(self.path, err)
                code = err.sqlite_errorcode & 0xFF
                self._full = code == sqlite3.SQLITE_FULL
                self.fault = problem.message
                if self._ballast.held and code in _HELPED_BY_ROOM:
                    self._ballast.drop()
                    continue
                if last_try or code not in _PASSING:
                    self._error = problem
                with self._changed:
                    self._changed.wait_for(
                        lambda: self._closing or self._giving_up or self._error, timeout=_RETRY_S
                    )
            else:
                self.fault = None
                return
        self._give_up(batch)

    def _insert(self, batch: list[_Row]) -> None:
        self._connection.execute(_INSERT, (self._next_seq, f"[{','.join(row.text for row in batch)}]"))
        first = self._next_seq
        self._next_seq += len(batch)
        for offset, row in enumerate(batch):
            if row.saved and row.saved.set_running_or_notify_cancel():
                row.saved.set_result(first + offset)

    def _give_up(self, batch: list[_Row]) -> None:
        for row in batch:
            if row.saved and not row.saved.done() and row.saved.set_running_or_notify_cancel():
                row.saved.set_exception(self._error or JournalError(f"writing {self.path} was cut short"))


def read_events(path: Path, after: int = 0) -> list[Event]:
    """Return the events behind number `after`, from any process, whether the run goes on or died."""
    with closing(database.open_reader(path)) as connection, database.said_of(path):
        rows = connection.execute(
            "SELECT seq, at, kind, worker_id, attempt, data FROM events WHERE seq > ? ORDER BY seq", (after,)
        ).fetchall()
    return [_decode(path, row) for row in rows]


def add_request(path: Path, kind: str, data: Mapping[str, Any]) -> int:
    """Ask something of the run that writes the journal at `path`; return the request's number."""
    values = (datetime.now(UTC).isoformat(), this_process(), kind, json.dumps(dict(data)))
    with closing(database.open_writer(path)) as connection, database.said_of(path):
        cursor = connection.execute("INSERT INTO requests (at, who, kind, data) VALUES (?, ?, ?, ?)", values)
        return cursor.lastrowid or 0


def this_process() -> str:
    """Who asks something of a run: user name and process id."""
    return f"{getpass.getuser()} (pid {os.getpid()})"


def _encode(event: Event) -> str:
    data = _to_json(dict(event.data))
    return _to_json([event.at.isoformat(), event.kind, event.worker_id, event.attempt, data])


def _decode(path: Path, row: tuple[int, str, str, str | None, int | None, str]) -> Event:
    seq, at, kind, worker_id, attempt, text = row
    try:
        return Event(
            seq=seq,
            at=datetime.fromisoformat(at),
            kind=EventKind(kind),
            worker_id=worker_id,
            attempt=attempt,
            data=dict(json.loads(text)),
        )
    except (TypeError, ValueError) as err:
        raise JournalError(
            f"event {seq} of the journal {path} cannot be read: {err}",
            hint="a newer orchestrator may have written it; use that one",
        ) from err
