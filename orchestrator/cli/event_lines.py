"""Events as JSON, for `run --events` and `logs --json`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import Any, TextIO

from orchestrator.cli.feed import Item
from orchestrator.cli.output import write_through
from orchestrator.errors import InputError
from orchestrator.model.event import Event


def event_document(event: Event) -> dict[str, Any]:
    """One event as a JSON object."""
    return {
        "at": event.at.isoformat(),
        "kind": event.kind.value,
        "worker_id": event.worker_id,
        "attempt": event.attempt,
        "data": dict(event.data),
    }


def open_events(name: str) -> TextIO:
    """Open the file for a run's events; `-` is stdout."""
    if name == "-":
        return sys.stdout
    try:
        return open(name, "w", encoding="utf-8")  # noqa: PTH123 (lives as long as the run)
    except OSError as err:
        raise InputError(
            f"--events: cannot write {name}: {err.strerror}", hint="name a file in a folder that exists"
        ) from err


def line_writer(stream: TextIO) -> Callable[[Sequence[Item]], None]:
    """Return what writes events to `stream`, each line at once."""

    def write_lines(items: Sequence[Item]) -> None:
        for item in items:
            if not isinstance(item, str):
                write_through(stream, json.dumps(event_document(item)) + "\n")

    return write_lines
