"""The request to stop one attempt. Once made it stays; it can only become more urgent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence

from orchestrator.model.outcome import ProcessExit
from orchestrator.ports import Process


class StopSignal:
    """Carries a stop and its urgency to everything that an attempt has running."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self._asked = asyncio.Event()
        self._urgent = asyncio.Event()

    @property
    def asked(self) -> bool:
        """Whether a stop was asked for."""
        return self._asked.is_set()

    def ask(self, reason: str, *, now: bool = False) -> None:
        """Ask for a stop; the first reason counts, `now` leaves no grace."""
        self.reason = self.reason or reason
        self._asked.set()
        if now:
            self._urgent.set()

    async def wait(self) -> None:
        """Return once a stop is asked for."""
        await self._asked.wait()

    async def end(self, processes: Sequence[Process], *, now: bool = False) -> list[ProcessExit]:
        """Stop these process trees, at once with `now` and as soon as the stop becomes urgent."""
        if not processes:
            return []
        now = now or self._urgent.is_set()
        stops = [asyncio.ensure_future(process.stop(now=now)) for process in processes]
        if not await first_of(asyncio.gather(*stops, return_exceptions=True), self._urgent.wait()):
            await asyncio.gather(*(process.stop(now=True) for process in processes))
        return [await stop for stop in stops]


async def first_of(main: Awaitable[object], *others: Awaitable[object]) -> bool:
    """Wait until one of these ends; say whether `main` did. The others are cancelled, `main` goes on."""
    first = asyncio.ensure_future(main)
    rest = [asyncio.ensure_future(other) for other in others]
    try:
        await asyncio.wait({first, *rest}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for other in rest:
            other.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
    return first.done()
