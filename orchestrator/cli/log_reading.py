"""Reads logs for a person: a run's events, a worker's output, to the end or as they grow."""

from __future__ import annotations

import codecs
import json
import sys
import time
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from orchestrator.cli.event_lines import event_document
from orchestrator.cli.output import write
from orchestrator.cli.runs import POLL_S, follow
from orchestrator.cli.transcript_text import transcript_shower
from orchestrator.errors import InputError
from orchestrator.journal.runs import journal_path
from orchestrator.journal.state import load_state
from orchestrator.journal.store import read_events
from orchestrator.journal.worker_state import WorkerState
from orchestrator.model.event import Event, RunStatus
from orchestrator.report.words import one_line
from orchestrator.safe_text import decode, safe_text

_CHUNK = 1 << 16
_LONGEST_LINE = 1 << 20  #: a line that goes on longer is shown in pieces
_DATA_WIDTH = 160
#: The files beside an attempt's output, and what they are called.
_FILES = {"setup": "setup.log", "verify": "verify.log", "transcript": "transcript.jsonl"}
_SAID = {None: "log", "setup": "setup log", "verify": "verify log", "transcript": "transcript"}
_HOW_FAR = "`orchestrator status` shows how far it got"
_HINTS = {"transcript": "its agent tells us nothing but its output: leave out --transcript"}


def event_documents(folder: Path) -> list[dict[str, Any]]:
    """All events of the run, for `--json`."""
    return [event_document(event) for event in read_events(journal_path(folder))]


def show_events(folder: Path, *, following: bool) -> None:
    """Write one line per event."""
    batches = follow(folder) if following else iter([read_events(journal_path(folder))])
    for events in batches:
        for event in events:
            write(_event_line(event))
        sys.stdout.flush()


def _event_line(event: Event) -> str:
    data = {key: value for key, value in event.data.items() if key != "result"}
    if "result" in event.data:
        data["status"] = event.data["result"]["status"]
    details = one_line(
        " ".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in data.items())
    )
    details = details if len(details) <= _DATA_WIDTH else details[: _DATA_WIDTH - 1] + "…"
    who = f" {event.worker_id}" if event.worker_id else ""
    return f"{event.at.astimezone():%H:%M:%S.%f}"[:-3] + f" {event.kind:<20}{who} {details}".rstrip()


def worker_document(folder: Path, worker_id: str, part: str | None) -> dict[str, Any]:
    """A worker's log for `--json`."""
    path = _log_path(_worker(folder, worker_id), part)
    text = safe_text(decode(path.read_bytes())) if path and path.exists() else None
    return {
        "run_id": folder.name,
        "worker_id": worker_id,
        "log_path": str(path) if path else None,
        "text": text,
    }


def show_worker(folder: Path, worker_id: str, part: str | None, *, following: bool, raw: bool) -> None:
    """Write a worker's log to stdout: harmless for a terminal, or as it is with `raw`."""
    _worker(folder, worker_id)  # a wrong name is said at once
    show = _show_raw if raw else _shower()
    for data in _grown(folder, worker_id, part) if following else _content(folder, worker_id, part):
        show(data)
    show(b"")


def show_transcript(folder: Path, worker_id: str, *, following: bool, as_json: bool) -> None:
    """Write a worker's transcript: for a person, or its own lines of JSON."""
    _worker(folder, worker_id)  # a wrong name is said at once
    show = transcript_shower(as_json=as_json)
    part = "transcript"
    for data in _grown(folder, worker_id, part) if following else _content(folder, worker_id, part):
        show(data)


def _content(folder: Path, worker_id: str, part: str | None) -> Iterator[bytes]:
    path = _log_path(_worker(folder, worker_id), part)
    if path is None or not path.exists():
        raise InputError(f"{worker_id} has no {_SAID[part]}", hint=_HINTS.get(part or "", _HOW_FAR))
    with path.open("rb") as log:
        while data := log.read(_CHUNK):
            yield data


def _grown(folder: Path, worker_id: str, part: str | None) -> Iterator[bytes]:
    """The log's bytes as they come, over all attempts, until the worker has its result or the run its end."""
    current: Path | None = None
    offset = 0
    while True:
        state = load_state(folder)
        worker = state.workers[worker_id]
        path = _log_path(worker, part)
        if path != current:
            current, offset = path, 0
        if path is not None and path.exists():
            with path.open("rb") as log:
                log.seek(offset)
                while data := log.read(_CHUNK):
                    offset += len(data)
                    yield data
        if worker.result is not None or state.status is not RunStatus.RUNNING:
            return
        time.sleep(POLL_S)


def _worker(folder: Path, worker_id: str) -> WorkerState:
    workers = load_state(folder).workers
    if worker_id in workers:
        return workers[worker_id]
    near = get_close_matches(worker_id, workers, n=1)
    hint = f"did you mean `{near[0]}`?" if near else f"its workers are {', '.join(list(workers)[:8])}"
    raise InputError(f"run {folder.name} has no worker `{worker_id}`", hint=hint)


def _log_path(worker: WorkerState, part: str | None) -> Path | None:
    if worker.log_path is None:
        return None
    path = Path(worker.log_path)
    return path.with_name(_FILES[part]) if part else path


def _show_raw(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _shower() -> Callable[[bytes], None]:
    """Return what shows bytes as safe text, line by line; b"" ends it."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    rest = ""

    def show(data: bytes) -> None:
        nonlocal rest
        text = rest + decoder.decode(data, final=not data)
        lines, newline, rest = text.rpartition("\n")
        if rest and (not data or len(rest) > _LONGEST_LINE):
            lines, newline, rest = text, "", ""
        sys.stdout.write(safe_text(lines) + newline)
        if not data and lines and not newline:
            sys.stdout.write("\n")
        sys.stdout.flush()

    return show
