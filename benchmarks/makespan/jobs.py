"""What one measurement asks of a contender, and what a contender says of itself; both travel as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from benchmarks.makespan.workloads import worker_ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Workers to run, one per duration, at most `slots` at once."""

    program: str
    durations: Sequence[float]  #: seconds
    slots: int
    terminal: bool  #: on ptys instead of pipes
    repo: str | None  #: give each worker a worktree of this repository and commit its work
    scratch: str  #: an empty folder

    @property
    def ids(self) -> list[str]:
        """The workers' names."""
        return worker_ids(len(self.durations))

    def arguments(self, number: int) -> list[str]:
        """The worker program's arguments."""
        name = self.ids[number]
        return [name, str(self.durations[number]), *([f"{name}.txt"] if self.repo else [])]

    def save(self, path: Path) -> None:
        """Write it for another process."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote."""
        return cls(**json.loads(path.read_text()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What a contender that is a Python program measured of its run alone, without its own start."""

    wall: float
    cpu_own: float
    cpu_children: float
    lost_lines: int
    failed: int
    intervals: Sequence[
        Sequence[float]
    ] = ()  #: start and end of each worker in its slot, from the run's start

    def save(self, path: Path) -> None:
        """Write it for the measuring process."""
        path.write_text(json.dumps(asdict(self)))


def load_account(path: Path) -> dict[str, Any]:
    """Read what `Account.save` wrote."""
    account: dict[str, Any] = json.loads(path.read_text())
    return account
