"""The limits of one worker, and the watch over those of its agent's turn that are of time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.model.result import Status
from orchestrator.ports import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one worker may use, all its processes together; None: no limit."""

    memory: int | None = None  #: bytes
    processes: int | None = None
    disk: int | None = None  #: bytes that workspace and TMPDIR may grow by

    @property
    def any(self) -> bool:
        """Whether there is a limit at all."""
        return not self.memory is self.processes is self.disk is None


@dataclass(frozen=True, slots=True)
class Overdue:
    """A limit that was passed."""

    kind: str  #: `timeout`, `idle_timeout`, `memory_limit`, `process_limit` or `disk_limit`
    message: str
    status: Status = Status.TIMED_OUT

    @property
    def at_once(self) -> bool:
        """Whether there is no time to ask nicely: the machine is being used up."""
        return self.status is Status.FAILED


async def watch(
    clock: Clock,
    *,
    timeout_s: float | None,
    idle_timeout_s: float | None,
    last_output: Callable[[], float | None],
) -> Overdue:
    """Return once a limit is passed; never, without limits. Idle counts from the newest output."""
    began = clock.monotonic()
    while True:
        now = clock.monotonic()
        if timeout_s is not None and now >= began + timeout_s:
            return Overdue("timeout", f"not done within its time limit of {timeout_s:g} s")
        quiet_since = max(began, last_output() or began)
        if idle_timeout_s is not None and now >= quiet_since + idle_timeout_s:
            return Overdue("idle_timeout", f"printed nothing for {idle_timeout_s:g} s, its idle limit")
        ends = [
            start + limit - now
            for start, limit in ((began, timeout_s), (quiet_since, idle_timeout_s))
            if limit is not None
        ]
        await asyncio.sleep(min(ends) if ends else 3600.0)
