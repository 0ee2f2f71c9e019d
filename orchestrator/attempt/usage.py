"""What each attempt's processes use: measured for the report, and held against the worker's limits.

One loop and one reading of /proc serve all attempts of a machine. Only Linux tells; elsewhere nothing is
measured and no limit of this kind holds.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor as Pool
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.attempt.limits import Limits, Overdue
from orchestrator.model.event import EventKind
from orchestrator.model.result import Status
from orchestrator.ports import EventSink

LINUX = sys.platform == "linux"
#: How often trees are looked at when somebody has a limit, and when it is for the report alone.
LIMITED_S, UNLIMITED_S = 1.0, 2.0
_FIRST_S = 0.25  #: the first look comes early, so that short attempts have figures too
_CLOSE_S = 0.2  #: the pause while a tree is beyond half its limit
_DISK_SHARE = 20  #: a walk over a workspace may take this part of the time
_PSS_S = 10.0  #: how often shared pages are counted by their share: some 0.3 ms for each process
_TICK = os.sysconf("SC_CLK_TCK") if LINUX else 100
_PAGE = os.sysconf("SC_PAGE_SIZE") if LINUX else 4096


@dataclass(frozen=True, slots=True)
class Sample:
    """One process as /proc/PID/stat tells it."""

    parent: int
    alive: bool  #: not a zombie
    cpu_ticks: int  #: its own and that of the children it has waited for
    rss: int


@dataclass(eq=False, slots=True)
class Gauge:
    """The figures of one attempt. `over` is done once a limit is passed."""

    limits: Limits
    folders: tuple[Path, ...]  #: where what it writes counts
    over: asyncio.Future[Overdue]
    fresh: asyncio.Event
    shims: set[int] = field(default_factory=set)
    gone_ticks: int = 0  #: of trees that are gone, as last seen
    ticks: dict[int, int] = field(default_factory=dict)  #: by shim
    peak_rss: int = 0
    memory: int = 0  #: at the last look, shared pages by their share
    processes: int = 0  #: living ones, at the last look
    pss_next: float = 0.0
    measured: bool = False
    disk_at_start: int | None = None
    disk_next: float = 0.0
    close: bool = False

    def add(self, pid: int) -> None:
        """Count the tree that the process `pid` was started in."""
        sample = _read(pid)
        if sample is not None:
            self.shims.add(sample.parent)
            self.fresh.set()

    @property
    def total_ticks(self) -> int:
        """Time of the processor that all its trees used so far."""
        return self.gone_ticks + sum(self.ticks.values())

    def resources(self) -> dict[str, float | int] | None:
        """Return what was measured; None for an attempt that was over before the first look."""
        if not self.measured:
            return None
        return {"cpu_s": round(self.total_ticks / _TICK, 2), "peak_rss_bytes": self.peak_rss}


class Meter:
    """Looks at the trees of all open gauges. Belongs to the event loop that made it."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._gauges: set[Gauge] = set()
        self._task: asyncio.Task[None] | None = None
        self._fresh = asyncio.Event()

    @contextmanager
    def gauge(self, limits: Limits, folders: Sequence[Path]) -> Iterator[Gauge]:
        """Measure as long as this is open."""
        over = asyncio.get_running_loop().create_future()
        gauge = Gauge(limits, tuple(folders), over, self._fresh)
        self._gauges.add(gauge)
        if LINUX and (self._task is None or self._task.done()):
            self._task = asyncio.ensure_future(self._look_again_and_again())
        try:
            yield gauge
        finally:
            self._gauges.discard(gauge)
            over.cancel()

    async def aclose(self) -> None:
        """Look no more."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _look_again_and_again(self) -> None:
        loop = asyncio.get_running_loop()
        while self._gauges:
            await self._pause()
            gauges = list(self._gauges)
            verdicts = await loop.run_in_executor(self._pool, look, gauges, loop.time())
            for gauge, overdue in zip(gauges, verdicts, strict=True):
                if overdue and not gauge.over.done():
                    gauge.over.set_result(overdue)

    async def _pause(self) -> None:
        pause = UNLIMITED_S
        if any(gauge.limits.any for gauge in self._gauges):
            pause = LIMITED_S
        if any(gauge.close for gauge in self._gauges):
            pause = _CLOSE_S
        with suppress(TimeoutError):
            await asyncio.wait_for(self._fresh.wait(), pause)
            self._fresh.clear()
            await asyncio.sleep(min(_FIRST_S, pause))


def counting(emit: EventSink, gauge: Gauge) -> EventSink:
    """Return a sink that counts every process whose start it hears of."""

    def hear(kind: EventKind, data: Mapping[str, Any]) -> None:
        if kind is EventKind.PROCESS_STARTED:
            gauge.add(data["pid"])
        emit(kind, data)

    return hear


def look(gauges: Sequence[Gauge], now: float) -> list[Overdue | None]:
    """Measure all trees at once; say for each gauge which limit it is over, if any."""
    samples = read_all()
    children: dict[int, list[int]] = {}
    for pid, sample in samples.items():
        children.setdefault(sample.parent, []).append(pid)
    return [_measure(gauge, samples, children, now) for gauge in gauges]


def read_all() -> dict[int, Sample]:
    """Return every process of the machine."""
    found = ((int(name), _read(int(name))) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208 (hot)
    return {pid: sample for pid, sample in found if sample is not None}


def _read(pid: int) -> Sample | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 (hot)
            words = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return Sample(
        parent=int(words[1]),
        alive=words[0] not in b"ZX",
        cpu_ticks=sum(map(int, words[11:15])),
        rss=int(words[21]) * _PAGE,
    )


def _measure(
    gauge: Gauge, samples: Mapping[int, Sample], children: Mapping[int, Sequence[int]], now: float
) -> Overdue | None:
    tree: list[int] = []
    for shim in list(gauge.shims):
        below = list(_below(shim, children))
        if shim not in samples:
            gauge.shims.discard(shim)
            gauge.gone_ticks += gauge.ticks.pop(shim, 0)
            continue
        ticks = sum(samples[pid].cpu_ticks for pid in [shim, *below])
        gauge.ticks[shim] = max(ticks, gauge.ticks.get(shim, 0))
        tree += [pid for pid in below if samples[pid].alive]
    gauge.processes = len(tree)
    if not tree:
        return None
    if now >= gauge.pss_next:
        gauge.memory, gauge.pss_next = _shared_out(tree, samples), now + _PSS_S
    memory = _memory(tree, samples, gauge.limits.memory)
    gauge.measured = True
    gauge.peak_rss = max(gauge.peak_rss, memory)
    gauge.close = _close(memory, gauge.limits.memory) or _close(len(tree), gauge.limits.processes)
    return _over(gauge, memory, len(tree)) or _disk(gauge, now)


def _below(root: int, children: Mapping[int, Sequence[int]]) -> Iterator[int]:
    pending = list(children.get(root, ()))
    while pending:
        pid = pending.pop()
        yield pid
        pending += children.get(pid, ())


def _memory(tree: Sequence[int], samples: Mapping[int, Sample], limit: int | None) -> int:
    """Return the tree's memory. Shared pages are counted once each where it matters: it costs more."""
    resident = sum(samples[pid].rss for pid in tree)
    if limit is None or resident <= limit:
        return resident
    return _shared_out(tree, samples)


def _shared_out(tree: Sequence[int], samples: Mapping[int, Sample]) -> int:
    return sum(_proportional(pid, samples[pid].rss) for pid in tree)


def _proportional(pid: int, resident: int) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:  # noqa: PTH123 (hot)
            for line in file:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
    except (FileNotFoundError, ProcessLookupError):
        return 0
    except PermissionError:  # another user's, such as one behind sudo
        return resident
    return resident


def _close(used: int, limit: int | None) -> bool:
    return limit is not None and used * 2 > limit


def _over(gauge: Gauge, memory: int, processes: int) -> Overdue | None:
    limits = gauge.limits
    if limits.memory is not None and memory > limits.memory:
        message = (
            f"its processes used {_size(memory)} of memory together, its limit is {_size(limits.memory)}"
        )
        return Overdue("memory_limit", message, Status.FAILED)
    if limits.processes is not None and processes > limits.processes:
        message = f"it had {processes} processes at once, its limit is {limits.processes}"
        return Overdue("process_limit", message, Status.FAILED)
    return None


def _disk(gauge: Gauge, now: float) -> Overdue | None:
    limit = gauge.limits.disk
    if limit is None or now < gauge.disk_next:
        return None
    began = os.times().elapsed
    used = sum(disk_usage(folder) for folder in gauge.folders)
    gauge.disk_next = now + _DISK_SHARE * (os.times().elapsed - began)
    if gauge.disk_at_start is None:
        gauge.disk_at_start = used
    grown = used - gauge.disk_at_start
    if grown <= limit:
        return None
    message = f"it wrote {_size(grown)} into its workspace and TMPDIR, its limit is {_size(limit)}"
    return Overdue("disk_limit", message, Status.FAILED)


def disk_usage(folder: Path) -> int:
    """Return the bytes on the disk below `folder`. What comes and goes meanwhile counts as it may."""
    total = 0
    pending = [os.fspath(folder)]
    while pending:
        with (
            suppress(FileNotFoundError, NotADirectoryError, PermissionError),
            os.scandir(pending.pop()) as entries,
        ):
            for entry in entries:
                with suppress(FileNotFoundError):
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
    return total


def _size(number: int) -> str:
    return f"{number / (1 << 20):.0f} MiB" if number >= 1 << 20 else f"{number} bytes"
