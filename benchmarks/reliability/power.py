"""Simulated power cuts: the journal's own code over a disk that loses or tears what was not synced.

The journal runs on a file system layer (an SQLite VFS of `apsw`) that notes every write, sync, truncation and
removal, and when each event was acknowledged. Then the power is cut at random places of that record: what was
synced is there; of the rest a random part, in any order, some of it torn at a sector. An fsync makes the
names of a folder durable too, as ext4 does.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import apsw

from orchestrator.errors import JournalError
from orchestrator.journal import database
from orchestrator.journal.store import Journal, read_events
from orchestrator.model.event import Event, EventKind

_SECTOR = 512
#: (what, file, place, data): `write`, `truncate` (place = size), `sync`, `delete`, and `ack` (place = seq).
Step = tuple[str, str, int, bytes]


@dataclass(slots=True)
class Disk:
    """The record of all that was done to the files."""

    steps: list[Step] = field(default_factory=list)

    def note(self, what: str, file: str, place: int = 0, data: bytes = b"") -> None:
        self.steps.append((what, Path(file).name, place, data))


@dataclass(slots=True)
class _File:
    """One file after a cut: what is surely on the disk, and what was under way."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[Step] = field(default_factory=list)

    def sync(self) -> None:
        for step in self.pending:
            _apply(self.durable, step)
        self.pending.clear()

    def after_cut(self, rng: random.Random) -> bytes:
        left = bytearray(self.durable)
        kept = [step for step in self.pending if rng.random() < 0.5]
        rng.shuffle(kept)
        for what, file, place, data in kept:
            torn = data
            if what == "write" and rng.random() < 0.3:
                torn = data[: rng.randrange(0, len(data) + 1, _SECTOR) if len(data) > _SECTOR else 0]
            _apply(left, (what, file, place, torn))
        return bytes(left)


def _apply(content: bytearray, step: Step) -> None:
    what, _, place, data = step
    if what == "truncate":
        del content[place:]
        return
    if len(content) < place:
        content.extend(bytes(place - len(content)))
    content[place : place + len(data)] = data


class _NotingVFS(apsw.VFS):
    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        super().__init__("noting", "")

    def xOpen(self, name: Any, flags: Any) -> Any:  # noqa: N802 (SQLite's names)
        return _NotingFile(self.disk, name, flags)

    def xDelete(self, name: str, sync: bool) -> None:  # noqa: N802
        self.disk.note("delete", name)
        super().xDelete(name, sync)


class _NotingFile(apsw.VFSFile):
    def __init__(self, disk: Disk, name: Any, flags: Any) -> None:
        self.disk = disk
        self.name = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        super().xWrite(data, offset)
        self.disk.note("write", self.name, offset, bytes(data))

    def xTruncate(self, size: int) -> None:  # noqa: N802
        super().xTruncate(size)
        self.disk.note("truncate", self.name, size)

    def xSync(self, flags: int) -> None:  # noqa: N802
        super().xSync(flags)
        self.disk.note("sync", self.name)


class _Connection:
    """What the journal uses of `sqlite3.Connection`, over apsw."""

    def __init__(self, path: Path) -> None:
        self._inner = apsw.Connection(str(path), vfs="noting")

    def execute(self, statement: str, values: Sequence[Any] = ()) -> Any:
        return self._inner.execute(statement.replace("synchronous=FULL", _SYNCHRONOUS), values)

    def executescript(self, script: str) -> None:
        self._inner.execute(script)

    def close(self) -> None:
        self._inner.close()


_SYNCHRONOUS = "synchronous=FULL"


@contextmanager
def _on(disk: Disk) -> Iterator[None]:
    vfs = _NotingVFS(disk)
    with mock.patch.object(database, "_connect", lambda path, _mode: _Connection(path)):
        yield
    vfs.unregister()


def record(folder: Path, events: int, rng: random.Random) -> Disk:
    """Write a journal in three sessions; every fourth event or so is durable and acknowledged."""
    disk = Disk()
    path = folder / "journal.db"
    with _on(disk):
        database.create(path)
        for _ in range(3):
            with closing(Journal(path)) as journal:
                _write(journal, events // 3, rng, lambda seq: disk.note("ack", "journal.db", seq))
    return disk


def _write(journal: Journal, events: int, rng: random.Random, told: Callable[[int], None]) -> None:
    for _ in range(events):
        data = {"text": "x" * rng.choice((20, 300, 6000))}
        event = Event(kind=EventKind.AGENT_MESSAGE, at=datetime.now(UTC), worker_id="w", data=data)
        if rng.random() < 0.75:
            journal.append(event)
            continue
        saved = journal.append_durable(event)
        saved.add_done_callback(lambda done: told(done.result()))
        saved.result(30)


@dataclass(slots=True)
class Cuts:
    """What was seen over all cuts."""

    cuts: int = 0
    acknowledged: int = 0  #: events, over all cuts
    lost: int = 0
    cuts_with_loss: int = 0
    damaged: list[str] = field(default_factory=list)


def cut(disk: Disk, folder: Path, cuts: int, rng: random.Random) -> Cuts:
    """Cut the power at random places of the record; read what is left with the journal's own code."""
    first = 1 + next(n for n, step in enumerate(disk.steps) if step[0] == "ack")
    places = sorted(rng.randrange(first, len(disk.steps)) for _ in range(cuts))
    files: dict[str, _File] = {}
    seen, acknowledged, found = 0, 0, Cuts()
    for number, place in enumerate(places):
        for step in disk.steps[seen:place]:
            acknowledged = _follow(files, step, acknowledged)
        seen = place
        _judge(files, folder / f"cut-{number}", acknowledged, found, rng)
    return found


def _follow(files: dict[str, _File], step: Step, acknowledged: int) -> int:
    what, name, place, _ = step
    # The journal is made under another name, synced, and renamed.
    name = "journal.db" + name.partition(".db")[2].lstrip(".0123456789") if ".db" in name else name
    if what == "ack":
        return place
    if what == "delete":
        files.pop(name, None)
    elif what == "sync":
        files.setdefault(name, _File()).sync()
    else:
        files.setdefault(name, _File()).pending.append(step)
    return acknowledged


def _judge(files: dict[str, _File], folder: Path, acknowledged: int, found: Cuts, rng: random.Random) -> None:
    folder.mkdir()
    for name, file in files.items():
        (folder / name).write_bytes(file.after_cut(rng))
    path = folder / "journal.db"
    found.cuts += 1
    found.acknowledged += acknowledged
    try:
        numbers = [event.seq for event in read_events(path)]
        with closing(sqlite3.connect(path)) as connection:
            said = connection.execute("PRAGMA integrity_check").fetchone()[0]
    except (JournalError, sqlite3.Error) as err:
        found.damaged.append(f"{folder.name}: {err}")
        return
    if said != "ok" or numbers != list(range(1, len(numbers) + 1)):
        found.damaged.append(f"{folder.name}: {said}, {len(numbers)} events")
    lost = max(0, acknowledged - len(numbers))
    found.lost += lost
    found.cuts_with_loss += lost > 0
    for name in files:
        (folder / name).unlink(missing_ok=True)
