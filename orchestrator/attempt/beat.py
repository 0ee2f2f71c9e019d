"""Looks again and again for signs of life of an attempt: output, protocol, processor, files."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import Executor as Pool
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from orchestrator.attempt.session import AttemptSession
from orchestrator.attempt.usage import Gauge
from orchestrator.model.pulse import Pulse
from orchestrator.ports import Clock

#: How often it is looked.
BEAT_S = 5.0
#: Files are looked through only for an attempt that was quiet for this long, and this seldom.
QUIET_S = 20.0
#: No more of them than this: a workspace may hold a million.
MOST_FILES = 50_000
#: Folders that change without the agent, or hold what it did not write.
_PASSED_OVER = frozenset({".git", "node_modules", ".venv", "__pycache__"})


@dataclass(slots=True)
class _Seen:
    """Instants on the monotonic clock; None: not yet."""

    ticks: int = 0
    cpu: float | None = None
    file: float | None = None
    file_look: float = 0.0


async def beat(
    session: AttemptSession, gauge: Gauge, tell: Callable[[Pulse], None], *, clock: Clock, pool: Pool
) -> None:
    """Tell a pulse every few seconds, until cancelled."""
    began, seen = clock.monotonic(), _Seen()
    while True:
        await asyncio.sleep(BEAT_S)
        now = clock.monotonic()
        if gauge.total_ticks > seen.ticks:
            seen.ticks, seen.cpu = gauge.total_ticks, now
        heard = max(session.last_heard or began, session.last_output() or began)
        if now - heard >= QUIET_S and now - seen.file_look >= QUIET_S:
            seen.file_look = now
            changed = await asyncio.get_running_loop().run_in_executor(pool, newest_change, session.workspace)
            # Files have stamps of the wall clock; only their age can be compared.
            age = None if changed is None else max(0.0, time.time() - changed)
            seen.file = None if age is None or age > now - began else now - age
        tell(_pulse(session, gauge, seen, began, now))


def _pulse(session: AttemptSession, gauge: Gauge, seen: _Seen, began: float, now: float) -> Pulse:
    def ago(instant: float | None) -> float | None:
        return None if instant is None or instant < began else max(0.0, now - instant)

    return Pulse(
        age=now - began,
        output=None if session.asks else ago(session.last_output()),
        events=ago(session.last_heard),
        cpu=ago(seen.cpu),
        files=ago(seen.file),
        processes=gauge.processes if gauge.measured else None,
        memory=gauge.memory if gauge.measured else None,
        asks=session.asks,
    )


def newest_change(folder: Path) -> float | None:
    """Return the stamp of the newest change of a file below `folder`; None when there is none."""
    newest: float | None = None
    count = 0
    pending = [os.fspath(folder)]
    while pending and count < MOST_FILES:
        with suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                count += 1
                with suppress(OSError):
                    stamp = entry.stat(follow_symlinks=False).st_mtime
                    newest = stamp if newest is None else max(newest, stamp)
                    if entry.is_dir(follow_symlinks=False) and entry.name not in _PASSED_OVER:
                        pending.append(entry.path)
    return newest
