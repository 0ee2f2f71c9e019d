"""Measuring one program from outside: wall time, CPU of its whole tree, memory. Linux only."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.makespan.workloads import PROGRAM

_TICK_S = 0.05
#: The worker itself, and what its shell variant runs.
_WORKERS = frozenset({PROGRAM, "sleep"})


class OvertimeError(Exception):
    """The program did not end in time and was killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one program took. Memory in bytes; CPU in seconds."""

    exit_code: int
    wall: float
    cpu_own: float  #: of the process itself, to the kernel's tick of 10 ms
    cpu_tree: float  #: of it and everything it waited for
    peak_rss: int  #: of the process itself


def measure(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    folder: Path,
    feed: str,
    limit_s: float,
    watch: Callable[[int], None] = lambda _: None,
) -> Measured:
    """Run a program to its end, `feed` on its stdin, its output in `stdout` and `stderr` in `folder`.

    `watch` is called with its pid every now and then. Raises OvertimeError after `limit_s`.
    """
    (folder / "stdin").write_text(feed)
    with (
        (folder / "stdin").open("rb") as stdin,
        (folder / "stdout").open("wb") as stdout,
        (folder / "stderr").open("wb") as stderr,
    ):
        began = time.monotonic()
        process = subprocess.Popen(
            argv, env=env, stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True
        )
    peak = _watch_to_end(process.pid, began + limit_s, watch)
    wall = time.monotonic() - began
    own = _cpu_of(process.pid)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if wall > limit_s:
        raise OvertimeError(f"`{argv[0]}` did not end within {limit_s:g} s and was killed")
    return Measured(
        exit_code=process.returncode,
        wall=wall,
        cpu_own=own,
        cpu_tree=usage.ru_utime + usage.ru_stime,
        peak_rss=peak,
    )


def _watch_to_end(pid: int, deadline: float, watch: Callable[[int], None]) -> int:
    """Return once it has ended, not yet waited for; give the largest memory seen.

    Not `ru_maxrss`: that begins with the size of whoever forked it.
    """
    peak = 0
    with closing(_Handle(pid)) as handle:
        while not handle.ended(_TICK_S):
            if time.monotonic() > deadline:
                os.killpg(pid, signal.SIGKILL)
                handle.ended(None)
                break
            peak = max(peak, _kilobytes(pid, "status", "VmHWM"))
            watch(pid)
    return peak * 1024


class _Handle:
    def __init__(self, pid: int) -> None:
        self._descriptor = os.pidfd_open(pid)
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLIN)

    def ended(self, patience_s: float | None) -> bool:
        return bool(self._poll.poll(None if patience_s is None else patience_s * 1000))

    def close(self) -> None:
        os.close(self._descriptor)


def _cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _kilobytes(pid: int, file: str, name: str) -> int:
    """Read one line such as `VmHWM:  1234 kB`; 0 when the process is gone."""
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
    return 0


class MidRunMemory:
    """Looks once, `after_s` from its first call: what all processes but the workers' own take.

    Shared pages are divided among those who share them (PSS). Not for a row whose wall time counts:
    looking at a thousand processes takes a while.
    """

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._began: float | None = None
        self.live = 0  #: workers at that moment
        self.own = 0  #: bytes of the orchestrating process
        self.others = 0  #: bytes of everything it started, without the workers

    def __call__(self, pid: int) -> None:
        """To be handed to `measure`."""
        self._began = self._began or time.monotonic()
        if not self.live and time.monotonic() - self._began >= self._after_s:
            names = {found: _name(found) for found in _below(pid)}
            self.live = sum(name in _WORKERS for name in names.values())
            others = [found for found, name in names.items() if name not in _WORKERS]
            self.own = _kilobytes(pid, "smaps_rollup", "Pss") * 1024
            self.others = sum(_kilobytes(other, "smaps_rollup", "Pss") for other in others) * 1024


def _below(pid: int) -> Iterator[int]:
    pending = [pid]
    while pending:
        folder = Path(f"/proc/{pending.pop()}/task")
        with suppress(FileNotFoundError, ProcessLookupError):
            for thread in folder.iterdir():
                children = list(map(int, (thread / "children").read_text().split()))
                pending += children
                yield from children


def _name(pid: int) -> str:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""
