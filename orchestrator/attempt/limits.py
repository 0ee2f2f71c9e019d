"""The time limits of an agent's turn, on the monotonic clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.ports import Clock


@dataclass(frozen=True, slots=True)
class Overdue:
    """A limit that was passed."""

    kind: str  #: `timeout` or `idle_timeout`
    message: str


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
