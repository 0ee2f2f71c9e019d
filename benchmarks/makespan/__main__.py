"""Runs the makespan benchmark: `python -m benchmarks.makespan`; keeps raw rows and writes a summary."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from benchmarks.makespan.contenders import PRODUCT, Contender, present_contenders
from benchmarks.makespan.rows import Case, make_ground, run_case
from benchmarks.makespan.tables import render
from benchmarks.makespan.workloads import MICROBLOG, git

RESULTS = Path(__file__).parent / "results"
NUMBERS = (8, 64, 256, 1000)
#: More worktrees than this measure the disk, not the orchestrator.
MOST_WORKTREES = 64
SEED_NUMBERS = (1, 2, 4, 8)
#: Workers live longer in the rows that weigh memory, so that all have started when they are weighed.
MEMORY_EXTRA_S = 1.0
MEMORY_EXTRA_PER_WORKER_S = 0.01

Step = tuple[int, Case, Contender]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, keep, summarise; 1 when the product lost output or failed a worker."""
    options = _options(argv)
    present, left_out = present_contenders()
    for remark in left_out:
        print(remark, file=sys.stderr)
    raw = _new_file(options.results)
    with tempfile.TemporaryDirectory(prefix="makespan-") as name, raw.open("x") as file:
        ground, worker = make_ground(Path(name))
        machine = _machine(options.seconds, worker, ground.folder)
        file.write(json.dumps(machine) + "\n")
        rows: list[dict[str, Any]] = []
        skipped = 0
        for round_, case, contender in _steps(options, present):
            if time.monotonic() > options.deadline:
                skipped += 1
                continue
            row = {"round": round_, **run_case(case, contender, ground)}
            rows.append(row)
            file.write(json.dumps(row) + "\n")
            file.flush()
            _tell(row)
    remarks = [*left_out, *([f"{skipped} rows are left out: the time was up"] if skipped else [])]
    summary = raw.with_suffix(".md")
    summary.write_text(render(rows, machine, remarks))
    print(f"{summary.read_text()}\nraw rows: {raw}\nsummary: {summary}")
    return 1 if any(_is_bad(row) for row in rows) else 0


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.makespan", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="N = 8 and 64, one round")
    parser.add_argument("--rounds", type=int, default=None, help="rounds of every row (3)")
    parser.add_argument("--numbers", default=None, help="numbers of workers (8,64,256,1000)")
    parser.add_argument("--seconds", type=float, default=1.0, help="T, the length of a worker (1)")
    parser.add_argument("--limit", type=float, default=480.0, help="start no row after so many seconds")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for rows and summary")
    options = parser.parse_args(argv)
    options.rounds = options.rounds or (1 if options.quick else 3)
    numbers = options.numbers or ("8,64" if options.quick else ",".join(map(str, NUMBERS)))
    options.numbers = [int(number) for number in numbers.split(",")]
    options.deadline = time.monotonic() + options.limit
    return options


def _steps(options: argparse.Namespace, present: Sequence[Contender]) -> Iterator[Step]:
    """Everything to be measured, round by round; who goes first changes from round to round."""
    product = next(contender for contender in present if contender.name == PRODUCT)
    for round_ in range(1, options.rounds + 1):
        turn = round_ % len(present)
        order = [*present[turn:], *present[:turn]]
        for case in _makespan(options.numbers, options.seconds):
            yield from ((round_, case, contender) for contender in order if _can(contender, case))
        yield round_, _microblog(options.seconds), product
        if round_ == 1:  # once, and not last: the time may be up
            cases = (*_memory(options.numbers, options.seconds), *_seed(options.seconds))
            yield from ((round_, case, product) for case in cases)


def _can(contender: Contender, case: Case) -> bool:
    return contender.terminals if case.terminal else contender.pipes


def _makespan(numbers: Sequence[int], seconds: float) -> Iterator[Case]:
    for number in numbers:
        for worktrees in (False, True) if number <= MOST_WORKTREES else (False,):
            for terminal in (False, True):
                yield Case(
                    table="makespan",
                    durations=[seconds] * number,
                    slots=number,
                    terminal=terminal,
                    worktrees=worktrees,
                )


def _memory(numbers: Sequence[int], seconds: float) -> Iterator[Case]:
    for number in numbers:
        for terminal in (False, True):
            length = seconds + MEMORY_EXTRA_S + MEMORY_EXTRA_PER_WORKER_S * number
            yield Case(table="memory", durations=[length] * number, slots=number, terminal=terminal)


def _seed(seconds: float) -> Iterator[Case]:
    for number in SEED_NUMBERS:
        durations = [seconds] * number
        yield Case(table="sequential", durations=durations, slots=1, worktrees=True)
        yield Case(table="parallel", durations=durations, slots=number, worktrees=True)


def _microblog(seconds: float) -> Case:
    durations = [units * seconds / 10 for units in MICROBLOG]
    return Case(table="microblog", durations=durations, slots=len(durations), worktrees=True)


def _new_file(folder: Path) -> Path:
    """A file of its own for each run of a day."""
    folder.mkdir(parents=True, exist_ok=True)
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    names = (day, *(f"{day}-{number}" for number in range(2, 1000)))
    return next(path for path in (folder / f"{name}.jsonl" for name in names) if not path.exists())


def _machine(seconds: float, worker: str, folder: Path) -> dict[str, Any]:
    return {
        "table": "machine",
        "at": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "cores": os.cpu_count(),
        "processor": _processor(),
        "memory_gb": psutil.virtual_memory().total / 1e9,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "git": git(Path.cwd(), "--version").strip(),
        "file_system": _file_system(folder),
        "load": os.getloadavg(),
        "seconds": seconds,
        "worker": worker,
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _file_system(folder: Path) -> str:
    mounts = [mount for mount in psutil.disk_partitions(all=True) if folder.is_relative_to(mount.mountpoint)]
    return max(mounts, key=lambda mount: len(mount.mountpoint)).fstype if mounts else "unknown"


def _tell(row: dict[str, Any]) -> None:
    what = f"{row['table']} round {row['round']}: N = {row['count']} by {row['slots']}, {row['channel']}"
    how = f"wall {row['wall']:.3f} s, lost {row['lost_lines']}" if "wall" in row else row["fault"]
    print(f"{what}{', worktrees' if row['worktrees'] else ''}, {row['contender']}: {how}", file=sys.stderr)


def _is_bad(row: dict[str, Any]) -> bool:
    lost = row.get("lost_lines", 0) + row.get("lost_files", 0) + row.get("failed", 0)
    return row["contender"] == PRODUCT and bool("fault" in row or lost)


if __name__ == "__main__":
    sys.exit(main())
