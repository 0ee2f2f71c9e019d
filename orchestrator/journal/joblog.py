"""The job log: one line for each attempt that ended, separated by tabs, as users of GNU parallel know it.

It is derived from the run's events, so it can be made again at any time. A line is written at once and whole,
as soon as its attempt has ended; a line that a crash cut off is taken away when the file is opened again.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from orchestrator.model.event import Event, EventKind

_LOG = logging.getLogger("orchestrator")
NAME = "joblog.tsv"
#: New columns come at the end; `-` stands for nothing.
COLUMNS = (
    "seq",
    "worker_id",
    "attempt",
    "agent",
    "started_at",
    "start",
    "duration",
    "queue_wait",
    "exit_code",
    "signal",
    "status",
    "error_kind",
    "verify",
    "commit",
    "digest",
)
HEADER = "\t".join(COLUMNS) + "\n"


@dataclass(slots=True)
class _Start:
    at: str
    offset: float
    waited: float


class Lines:
    """Turns events into lines; all events of a run, in order, give its whole job log."""

    def __init__(self) -> None:
        self._tasks: dict[str, dict[str, Any]] = {}
        self._starts: dict[str, _Start] = {}
        self._freed: dict[str, float] = {}  #: when a worker's last attempt ended

    def take(self, event: Event) -> str | None:
        """Take one event in; return the line that it completes."""
        worker = event.worker_id or ""
        if event.kind is EventKind.RUN_STARTED:
            places = enumerate(event.data["tasks"], start=1)
            self._tasks = {task["id"]: {**task, "seq": place} for place, task in places}
        elif event.kind is EventKind.ATTEMPT_STARTED:
            offset = float(event.data["queue_wait"])
            stamp = event.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            self._starts[worker] = _Start(stamp, offset, offset - self._freed.get(worker, 0.0))
        elif event.kind is EventKind.ATTEMPT_FINISHED and worker in self._starts:
            return self._line(event, self._starts[worker])
        return None

    def _line(self, event: Event, start: _Start) -> str:
        data, task = event.data, self._tasks.get(event.worker_id or "", {})
        self._freed[event.worker_id or ""] = start.offset + data["duration"]
        values = (
            task.get("seq"),
            event.worker_id,
            event.attempt,
            task.get("agent"),
            start.at,
            f"{start.offset:.3f}",
            f"{data['duration']:.3f}",
            f"{max(0.0, start.waited):.3f}",
            data.get("exit_code"),
            data.get("signal"),
            data.get("status"),
            data.get("error_kind"),
            _verdict(data.get("verified")),
            data.get("commit"),
            task.get("digest"),
        )
        return "\t".join(map(_plain, values)) + "\n"


class Joblog:
    """Writes the job log of a run as it goes; a disk that fails never holds the run up."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines = Lines()
        self._writer = ThreadPoolExecutor(1, "orchestrator-joblog")

    @classmethod
    def create(cls, path: Path, earlier: Iterable[Event] = ()) -> Self:
        """Write the file anew, with what `earlier` events of the same run tell."""
        made = cls(path)
        lines = filter(None, map(made._lines.take, earlier))
        made._submit("".join([HEADER, *lines]), anew=True)
        return made

    def take(self, event: Event) -> None:
        """Take one event in; returns at once."""
        if line := self._lines.take(event):
            self._submit(line)

    def close(self) -> None:
        """Wait until every line is on the disk."""
        self._writer.shutdown(wait=True)

    def _submit(self, text: str, *, anew: bool = False) -> None:
        self._writer.submit(self._write, text.encode("ascii"), anew=anew)

    def _write(self, data: bytes, *, anew: bool) -> None:
        try:
            append_whole(self._path, data, anew=anew)
        except OSError as err:
            _LOG.warning("the job log %s lacks a line: %s", self._path, err.strerror)


def append_whole(path: Path, data: bytes, *, anew: bool = False) -> None:
    """Bring whole lines onto the disk at the end of a file, or none of them. Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | (os.O_TRUNC if anew else 0)
    descriptor = os.open(path, flags, 0o600)
    try:
        before = os.fstat(descriptor).st_size
        try:
            written = os.write(descriptor, data)
            if written < len(data):
                os.write(descriptor, data[written:])
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, before)
            raise
    finally:
        os.close(descriptor)


def _verdict(verified: object) -> str | None:
    return None if verified is None else "passed" if verified else "failed"


def _plain(value: object) -> str:
    """A value without white space or anything else that could end a column or a line."""
    text = "-" if value is None or value == "" else str(value)
    return "".join(letter if "!" <= letter <= "~" else "?" for letter in text)
