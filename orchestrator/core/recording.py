"""What a run tells: every event goes to its journal, without secrets, and to whoever listens."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from orchestrator.attempt.masking import masked
from orchestrator.journal.joblog import Joblog
from orchestrator.journal.store import Journal
from orchestrator.model.event import Event, EventKind
from orchestrator.ports import Clock
from orchestrator.secrets import Mask

_LOG = logging.getLogger("orchestrator")


class Recorder:
    """Records the events of one run. `journal` and `joblog` are there once the run has begun.

    A landing after the run has no attempts, and so leaves the job log as it is.
    """

    journal: Journal
    joblog: Joblog | None = None

    def __init__(self, mask: Mask, *, clock: Clock, on_event: Callable[[Event], None] | None) -> None:
        """`on_event` gets every event in the loop's thread and must not block."""
        self._mask, self._clock, self._on_event = mask, clock, on_event

    def emit(
        self,
        kind: EventKind,
        data: Mapping[str, Any],
        worker_id: str | None = None,
        attempt: int | None = None,
    ) -> None:
        """Tell an event; it is on the disk a moment later."""
        event = self._event(kind, data, worker_id, attempt)
        self.journal.append(event)
        self._tell(event)

    async def record(
        self,
        kind: EventKind,
        data: Mapping[str, Any],
        worker_id: str | None = None,
        attempt: int | None = None,
    ) -> None:
        """Tell an event once it is durable."""
        event = self._event(kind, data, worker_id, attempt)
        seq = await asyncio.wrap_future(self.journal.append_durable(event))
        self._tell(replace(event, seq=seq))

    def _event(
        self, kind: EventKind, data: Mapping[str, Any], worker_id: str | None, attempt: int | None
    ) -> Event:
        told = masked(kind, data, self._mask)
        return Event(kind=kind, at=self._clock.now(), worker_id=worker_id, attempt=attempt, data=told)

    def _tell(self, event: Event) -> None:
        if self.joblog is not None:
            self.joblog.take(event)
        if self._on_event is None:
            return
        try:
            self._on_event(event)
        except Exception:  # noqa: BLE001 (a listener's fault must not reach the workers; it is logged)
            _LOG.exception("the listener to the run's events failed on %s; the run goes on", event.kind)
