"""The load: short jobs, eight at once, each of which leaves a daemon that ignores TERM, INT and HUP."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

JOBS_AT_ONCE = 8
MARK = "FAULT_WORLD"

#: `job WORLD ID`: notes its start, leaves a daemon by a double fork, works a little, notes its end.
_JOB = """#!/bin/sh
world=$1 id=$2
echo "$id" >> "$world/starts"
(setsid sh -c 'trap "" TERM INT HUP; exec sleep 600' >/dev/null 2>&1 </dev/null &)
sleep "0.$((id * 37 % 40 + 10))"
echo "work of $id" > "work-$id.txt"
echo "$id" >> "$world/ends"
"""


@dataclass(frozen=True, slots=True)
class World:
    """One folder with everything of one batch."""

    folder: Path
    jobs: int

    @property
    def repo(self) -> Path:
        return self.folder / "repo"

    @property
    def job(self) -> Path:
        return self.folder / "job"

    def env(self) -> dict[str, str]:
        """The environment of what is killed; all that descends from it can be told by the mark."""
        return {
            **os.environ,
            MARK: str(self.folder),
            "HOME": str(self.folder),
            "ORCHESTRATOR_HOME": str(self.folder / "home"),
        }

    def starts(self) -> Counter[str]:
        """How often each job began."""
        return _lines(self.folder / "starts")

    def ends(self) -> Counter[str]:
        """How often each job came to its end."""
        return _lines(self.folder / "ends")


def make_world(folder: Path, jobs: int) -> World:
    """Make the folder: a repository, the job, and nothing done yet."""
    world = World(folder, jobs)
    world.repo.mkdir(parents=True)
    git(world, "init", "-q", "-b", "main")
    (world.repo / "README.md").write_text("hello\n")
    git(world, "add", ".")
    git(world, "commit", "-q", "-m", "first")
    world.job.write_text(_JOB)
    world.job.chmod(0o755)
    return world


def git(world: World, *argv: str) -> str:
    """Run git in the world's repository; return what it wrote."""
    identity = ["-c", "user.name=b", "-c", "user.email=b@example.org"]
    done = subprocess.run(
        ["git", *identity, "-C", str(world.repo), *argv], check=True, capture_output=True, text=True
    )
    return done.stdout


def processes_of(world: World) -> list[int]:
    """Living processes that were started from this world, directly or not."""
    mark = f"{MARK}={world.folder}".encode()
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            with suppress(OSError):
                if mark in (place / "environ").read_bytes().split(b"\0"):
                    found.append(int(place.name))
    return found


def left_after(world: World, within_s: float) -> tuple[list[int], float]:
    """Wait for all to be gone, at most so long; return what is left, and how long it took."""
    began = time.monotonic()
    while (left := processes_of(world)) and time.monotonic() - began < within_s:
        time.sleep(0.01)
    return left, time.monotonic() - began


def clear_away(pids: list[int]) -> None:
    """End what a contender left; only what carries our mark is ever passed here."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _lines(path: Path) -> Counter[str]:
    return Counter(path.read_text().split()) if path.exists() else Counter()
