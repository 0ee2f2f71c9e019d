"""Measures what the machine has room for: free memory, free disk, pressure, and what workers really use."""

from __future__ import annotations

import shutil
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from orchestrator.config import OrchestratorConfig
from orchestrator.core.scheduler import Measured

#: How often it is measured.
MEASURE_S = 1.0
_MIB = 1 << 20
FREE_MEMORY = 256 * _MIB
FREE_DISK = 256 * _MIB
#: On a small disk its twentieth part is enough.
_DISK_SHARE = 20
#: Of the processor it counts when some wait, of memory and disk only when all do.
_LINES = {"cpu": "some", "memory": "full", "io": "full"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What was measured. Bytes, and percent of the last ten seconds."""

    free_memory: int
    free_disk: int
    disk_size: int
    pressure: Mapping[str, float]  #: by `cpu`, `memory` and `io`, where the system tells


def read_machine(folder: Path, pressure: Path = Path("/proc/pressure")) -> Reading:
    """Measure the machine, and the disk that `folder` is on or will be."""
    free, size = _disk(folder)
    told = {name: _pressure(pressure / name, line) for name, line in _LINES.items()}
    return Reading(
        free_memory=psutil.virtual_memory().available,
        free_disk=free,
        disk_size=size,
        pressure={name: value for name, value in told.items() if value is not None},
    )


def _disk(folder: Path) -> tuple[int, int]:
    """Return free bytes and size of the disk; a disk that does not tell holds nobody back."""
    try:
        there = next(path for path in (folder, *folder.parents) if path.exists())
        disk = shutil.disk_usage(there)
    except OSError:
        return sys.maxsize, sys.maxsize
    return disk.free, disk.total


def _pressure(path: Path, wanted: str) -> float | None:
    try:
        lines = path.read_text().splitlines()
        [line] = [line for line in lines if line.startswith(wanted)]
        return float(line.split()[1].removeprefix("avg10="))
    except (OSError, ValueError, IndexError):
        return None


def admit(
    reading: Reading, config: OrchestratorConfig, running: Sequence[int], peaks: Sequence[int]
) -> Measured:
    """Say how many more workers may start now.

    `running` is what each running worker uses at present, `peaks` what those used at most that ended.
    Each is expected to grow to the usual size: that much is left free for the young ones.
    """
    memory_floor = config.min_free_memory or FREE_MEMORY
    disk_floor = config.min_free_disk or min(FREE_DISK, reading.disk_size // _DISK_SHARE)
    if reading.free_disk < disk_floor:
        detail = f"{_size(reading.free_disk)} of disk are free, the floor is {_size(disk_floor)}"
        return Measured(0, "disk", detail, floor=True)
    spare = reading.free_memory - memory_floor
    if spare < 0:
        detail = f"{_size(reading.free_memory)} of memory are free, the floor is {_size(memory_floor)}"
        return Measured(0, "memory", detail, floor=True)
    for name, value in reading.pressure.items():
        most = getattr(config.max_pressure, name)
        if most is not None and value > most:
            return Measured(0, "pressure", f"{name} pressure is {value:.0f} %, the limit is {most:g} %")
    usual = statistics.fmean([*peaks, *running]) if peaks or running else 0.0
    if usual < _MIB:
        return Measured()
    growth = sum(max(0.0, usual - used) for used in running)
    room = max(0, int((spare - growth) / usual))
    detail = f"{_size(reading.free_memory)} of memory are free, a worker usually takes {_size(int(usual))}"
    return Measured(room, "memory", detail)


def _size(number: int) -> str:
    return f"{number / _MIB:.0f} MiB"
