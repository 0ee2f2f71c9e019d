"""Starting processes: one Spawner per run, with its nurseries."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from orchestrator.errors import SpawnError
from orchestrator.ports import OnOutput
from orchestrator.sessions.ends import Ends, open_ends
from orchestrator.sessions.limits import raise_descriptor_limit
from orchestrator.sessions.link import NurseryLink
from orchestrator.sessions.output import OutputLog
from orchestrator.sessions.process import SpawnedProcess, StopGrace

#: A nursery forks one shim after the other; beyond so many processes another one pays for itself.
_PROCESSES_PER_NURSERY = 64
_MOST_NURSERIES = max(2, min(os.cpu_count() or 1, 8))


class Spawner:
    """Starts processes under shims, and leaves nothing behind. Belongs to the event loop that made it.

    If a nursery is killed, its running processes go on under their shims; once none is left, no new
    process can be started.
    """

    def __init__(self) -> None:
        self._links = [NurseryLink(raise_descriptor_limit())]
        self._numbers = itertools.count(1)
        self._turns = itertools.count()
        self._live: set[SpawnedProcess] = set()
        self._closing = False

    @classmethod
    async def start(cls) -> Self:
        return cls()

    @property
    def nursery_pids(self) -> list[int]:
        return [link.pid for link in self._links]

    async def aclose(self) -> None:
        """Kill what still runs and let the nursery go. May be called again."""
        self._closing = True
        try:
            await asyncio.gather(*(process.stop(now=True) for process in self._live))
        finally:
            await asyncio.gather(*(link.aclose() for link in self._links))

    async def spawn(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        log: OutputLog,
        terminal: bool = False,
        stderr_log: OutputLog | None = None,
        on_output: OnOutput | None = None,
        exit_file: Path | None = None,
        grace: StopGrace | None = None,
    ) -> SpawnedProcess:
        """Start a program in `cwd` with exactly `env`; return when it runs. Raises SpawnError.

        Its stdout and stderr go to `log` and `on_output`; with `stderr_log`, stderr goes there alone
        (not on a terminal). The caller closes the logs, after `wait`. A cancelled call has stopped what
        it started before it returns. `exit_file` must be an absolute path.
        """
        grace = grace or StopGrace()
        program = _checked(argv, env)
        link = self._choose_link(program)
        ends = _open(program, terminal=terminal, stderr_apart=stderr_log is not None)
        number = next(self._numbers)
        process = SpawnedProcess(
            ends,
            program=program,
            log=log,
            stderr_log=stderr_log,
            on_output=on_output,
            grace=grace,
            end_shim=lambda on_ended: link.end(number, on_ended),
            on_done=self._live.discard,
        )
        self._live.add(process)
        request = {
            "argv": [_latin(argument) for argument in argv],
            "env": {_latin(name): _latin(value) for name, value in env.items()},
            "cwd": _latin(cwd),
            "terminal": ends.terminal,
            "exit_file": None if exit_file is None else _latin(exit_file),
            "kill_s": grace.kill_s,
        }
        link.request(number, json.dumps(request).encode(), ends.theirs)
        try:
            await process.started
        except asyncio.CancelledError:
            await process.stop(now=True)
            raise
        return process

    def _choose_link(self, program: str) -> NurseryLink:
        """Use the nurseries in turn; start another one when there is enough to do for it."""
        alive = [link for link in self._links if link.alive]
        if self._closing or not alive:
            raise _no_nursery(program, closing=self._closing)
        if len(alive) < min(_MOST_NURSERIES, 1 + len(self._live) // _PROCESSES_PER_NURSERY):
            alive.append(NurseryLink(raise_descriptor_limit()))
            self._links.append(alive[-1])
        return alive[next(self._turns) % len(alive)]


def _latin(text: str | Path) -> str:
    """The bytes that the system sees, as text that survives JSON whatever the locale."""
    if isinstance(text, str) and text.isascii():
        return text
    return os.fsencode(text).decode("latin-1")


def _checked(argv: Sequence[str], env: Mapping[str, str]) -> str:
    """Return the program's name if the system can be asked to start it at all."""
    if not argv or not argv[0]:
        raise SpawnError(
            "Cannot start a program without a name.", hint="Give a command of at least one word."
        )
    if any("\0" in text for text in (*argv, *env, *env.values())):
        raise SpawnError(
            f"Cannot start {argv[0]!r}: an argument or variable contains a NUL byte.",
            hint="Pass such data in a file or on standard input.",
        )
    if any(not name or "=" in name for name in env):
        raise SpawnError(
            f"Cannot start {argv[0]!r}: a variable's name is empty or contains '='.",
            hint="Name variables like OTHER_NAME.",
        )
    return repr(argv[0])


def _open(program: str, *, terminal: bool, stderr_apart: bool) -> Ends:
    try:
        return open_ends(terminal=terminal, stderr_apart=stderr_apart)
    except OSError as err:
        raise SpawnError(
            f"Cannot start {program}: no descriptors for its streams: {err.strerror}.",
            hint="Raise the limit on open files or terminals (ulimit -n), or lower max_workers.",
        ) from err


def _no_nursery(program: str, *, closing: bool) -> SpawnError:
    if closing:
        return SpawnError(f"Cannot start {program}: the run is ending.")
    return SpawnError(
        f"Cannot start {program}: the helper process that starts programs was killed.",
        hint="Resume the run; look for what killed it, such as a lack of memory.",
    )
