"""Runs the user's own command lines in a workspace: `setup` before the agent, `verify` after it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.attempt.stop import StopSignal, first_of
from orchestrator.attempt.usage import Gauge
from orchestrator.model.result import CheckResult
from orchestrator.ports import Clock, Wrap
from orchestrator.secrets import Mask
from orchestrator.sessions.output import OutputLog
from orchestrator.sessions.spawner import Spawner


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where command lines run, and what can stop them."""

    cwd: Path
    env: Mapping[str, str]
    spawner: Spawner
    clock: Clock
    stop: StopSignal
    wrap: Wrap  #: puts a command line into the sandbox
    gauge: Gauge  #: counts what the lines use
    mask: Mask  #: of what they say


async def run_lines(
    lines: Sequence[str], place: Place, *, log_path: Path, log_limit: int, limit_s: float
) -> tuple[CheckResult, ...]:
    """Run each line by the shell, one after the other, until one fails or a stop is asked for.

    All of them write to the log at `log_path`, each under a heading of its own. `limit_s` holds for
    each line. Raises SpawnError when there is no shell.
    """
    results: list[CheckResult] = []
    log = OutputLog(log_path, log_limit, place.mask)
    try:
        for line in lines:
            log.write(f"$ {line}\n".encode())
            began = place.clock.monotonic()
            exit_code = await _run_line(line, place, log, limit_s)
            duration = round(place.clock.monotonic() - began, 6)
            results.append(
                CheckResult(command=line, exit_code=exit_code, duration=duration, log_path=str(log_path))
            )
            if exit_code != 0:
                break
    finally:
        log.close()
    return tuple(results)


async def _run_line(line: str, place: Place, log: OutputLog, limit_s: float) -> int | None:
    """Return the exit status as a shell would say it; None when a limit or a stop ended it."""
    argv = place.wrap(["/bin/sh", "-c", line])
    process = await place.spawner.spawn(argv, cwd=place.cwd, env=place.env, log=log)
    place.gauge.add(process.pid)
    await process.close_input()
    waiting = asyncio.ensure_future(process.wait())
    over = place.gauge.over
    if not await first_of(waiting, place.stop.wait(), asyncio.sleep(limit_s), asyncio.shield(over)):
        await place.stop.end([process], now=over.done())
        await waiting
        log.write(f"\n[orchestrator: stopped at a limit (time: {limit_s:g} s) or on request]\n".encode())
        return None
    ended = await waiting
    return ended.exit_code if ended.signal_number is None else 128 + ended.signal_number
