"""Judges from several kinds of evidence whether running workers are alive, and keeps that for `status`.

Silence alone never ends a worker; only an `idle_timeout` that somebody set does.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from orchestrator.journal.live_file import LIVE_FILE
from orchestrator.model.pulse import Pulse
from orchestrator.ports import Clock

_LOG = logging.getLogger("orchestrator")
#: Nothing said or written for this long is silence.
SILENT_S = 60.0
#: With no sign at all for this long, not even time of the processor, it may be stuck.
STUCK_S = 180.0
#: How often the file for `status` is written at most.
WRITE_S = 2.0

Tell = Callable[[str, Mapping[str, Any]], None]


def judge(pulse: Pulse) -> str:
    """Say `alive`, `silent`, `stuck` or `dead`; the last two are what it looks like, not what is known."""
    if pulse.asks:
        return "alive"
    if pulse.processes == 0 and _since(pulse, pulse.output, pulse.events) >= SILENT_S:
        return "dead"
    if _since(pulse, pulse.output, pulse.events, pulse.files) < SILENT_S:
        return "alive"
    return (
        "silent" if _since(pulse, pulse.cpu, pulse.output, pulse.events, pulse.files) < STUCK_S else "stuck"
    )


def _since(pulse: Pulse, *signs: float | None) -> float:
    return min((sign for sign in signs if sign is not None), default=pulse.age)


class Liveness:
    """What is known of each running worker. Belongs to the run's event loop."""

    def __init__(self, folder: Path, clock: Clock, tell: Tell) -> None:
        """`folder` is the run's; `tell(worker_id, data)` is called when a worker's state changes."""
        self._path, self._clock, self._tell = folder / LIVE_FILE, clock, tell
        self._known: dict[str, dict[str, Any]] = {}
        self.pulses: dict[str, Pulse] = {}
        self._written = 0.0

    def take(self, worker_id: str, pulse: Pulse) -> None:
        """Take in the newest pulse of a worker."""
        self.pulses[worker_id] = pulse
        now = self._clock.now()
        state = judge(pulse)
        before = self._known.get(worker_id, {"state": "alive"})["state"]
        self._known[worker_id] = {"state": state, "at": now.isoformat(), **seen(pulse, now)}
        if state != before:
            self._tell(worker_id, self._known[worker_id])
        if self._clock.monotonic() - self._written >= WRITE_S:
            self._write()

    def forget(self, worker_id: str) -> None:
        """Drop a worker whose attempt ended."""
        self.pulses.pop(worker_id, None)
        if self._known.pop(worker_id, None):
            self._write()

    def _write(self) -> None:
        """Replace the file. It is only for people: a disk that is full does not matter here."""
        self._written = self._clock.monotonic()
        new = self._path.with_name(f"{self._path.name}.new")
        try:
            new.write_text(json.dumps(self._known))
            new.replace(self._path)
        except OSError as err:
            _LOG.debug("signs of life could not be written: %s", err)


def seen(pulse: Pulse, now: datetime) -> dict[str, Any]:
    """Say what was last seen when, as stamps."""

    def stamp(ago: float | None) -> str | None:
        return None if ago is None else (now - timedelta(seconds=ago)).isoformat(timespec="seconds")

    return {
        "seen": {name: stamp(getattr(pulse, name)) for name in ("output", "events", "cpu", "files")},
        "processes": pulse.processes,
        "memory_bytes": pulse.memory,
        "asks": pulse.asks,
    }
