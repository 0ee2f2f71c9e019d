"""Writes an attempt's transcript: one JSON object a line, masked, with a cap."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.model.transcript import Role
from orchestrator.ports import Clock
from orchestrator.secrets import Mask
from orchestrator.sessions.output import OutputLog


class Transcript:
    """The transcript of one attempt. Its file is made by the first entry."""

    def __init__(self, path: Path, *, limit: int, clock: Clock, mask: Mask) -> None:
        self._path = path
        self._limit, self._clock, self._mask = limit, clock, mask
        self._log: OutputLog | None = None

    def add(self, role: Role, text: str, data: Mapping[str, Any]) -> None:
        """Add an entry; one beyond the cap is left out whole."""
        if self._log is None:
            self._log = OutputLog(self._path, self._limit)
        entry = {"at": self._clock.now().isoformat(), "role": role.value, "text": text, **data}
        line = json.dumps(self._mask.data(entry), default=str).encode() + b"\n"
        if self._log.bytes_seen + len(line) <= self._limit:
            self._log.write(line)

    def close(self) -> None:
        """Close the file."""
        if self._log is not None:
            self._log.close()
