"""Runs the fault suite in full: `python -m benchmarks.reliability`; keeps raw rows and writes a summary."""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.reliability.gnu_parallel import kill_parallel, parallel_program
from benchmarks.reliability.journal_kills import kill_writers
from benchmarks.reliability.power import cut, record
from benchmarks.reliability.product import CAN_LAND, CAN_RESUME, kill_runs

RESULTS = Path(__file__).parent / "results"
ROOT = Path(__file__).resolve().parents[2]
KILL = (signal.SIGKILL,)
POLITE = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
Row = dict[str, Any]
#: (folder, rng) -> a row; `held` says whether every promise did.
Part = Callable[[Path, random.Random], Row]


def main(argv: Sequence[str] | None = None) -> int:
    """Run every part, keep, summarise; 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reliability", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32), help="repeats the same choices")
    parser.add_argument("--kills", type=int, default=100, help="kills of runs (100); other parts follow it")
    parser.add_argument("--only", action="append", help="name of a part; give it many times")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for rows and summary")
    options = parser.parse_args(argv)
    print(f"seed {options.seed}", file=sys.stderr)
    rows = []
    for name, part in _parts(options.kills).items():
        if options.only and name not in options.only:
            continue
        with tempfile.TemporaryDirectory(prefix="reliability-") as folder:
            began = time.monotonic()
            row = part(Path(folder), random.Random(f"{options.seed}{name}"))
        rows.append(
            {"part": name, "seed": options.seed, **row, "seconds": round(time.monotonic() - began, 1)}
        )
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    raw = _new_file(options.results)
    raw.write_text("".join(json.dumps(row) + "\n" for row in rows))
    raw.with_suffix(".md").write_text(render(rows))
    print(f"{raw.with_suffix('.md').read_text()}\nraw rows: {raw}")
    return 0 if all(row["held"] is not False for row in rows) else 1


def _parts(kills: int) -> dict[str, Part]:
    parts: dict[str, Part] = {
        "runs, KILL": _runs(kills, KILL),
        "runs, TERM INT HUP": _runs(kills * 3 // 5, POLITE),
        "runs, KILL, clones": _runs(kills * 3 // 10, KILL, isolation="clone"),
        "journal writer, KILL": _writers(kills),
        "journal, power cuts": _cuts(kills * 3),
        "git, KILL": _tests({"GIT_KILLS": str(kills * 3 // 5)}, "tests/integration/test_git_kills.py"),
        "disk full": _tests({}, "tests/integration/test_disk_full.py"),
        "clock jumps, sleep": _tests({}, "tests/integration/test_clock_jumps.py"),
    }
    if CAN_LAND:
        parts["runs with --land, KILL"] = _runs(kills * 3 // 10, KILL, land=True)
    if parallel_program():
        parts["GNU parallel, KILL"] = _parallel(kills, KILL)
        parts["GNU parallel, TERM INT HUP"] = _parallel(kills * 3 // 5, POLITE)
    return parts


def _runs(kills: int, signals: tuple[signal.Signals, ...], **settings: Any) -> Part:
    def part(folder: Path, rng: random.Random) -> Row:
        tally = kill_runs(folder, kills=kills, signals=signals, rng=rng, **settings)
        return {"held": tally.clean, "resumed": CAN_RESUME, **tally.row()}

    return part


def _writers(kills: int) -> Part:
    def part(folder: Path, rng: random.Random) -> Row:
        row = kill_writers(folder, kills=kills, rng=rng)
        return {"held": not row["lost"] and not row["journal_faults"], **row}

    return part


def _cuts(cuts: int) -> Part:
    def part(folder: Path, rng: random.Random) -> Row:
        found = cut(record(folder, 3000, rng), folder, cuts, rng)
        return {"held": not found.lost and not found.damaged, **asdict(found)}

    return part


def _parallel(kills: int, signals: tuple[signal.Signals, ...]) -> Part:
    def part(folder: Path, rng: random.Random) -> Row:
        return {"held": None, **kill_parallel(folder, kills=kills, signals=signals, rng=rng)}

    return part


def _tests(settings: dict[str, str], file: str) -> Part:
    """A part that is a test file of its own."""

    def part(folder: Path, rng: random.Random) -> Row:
        env = {**os.environ, **settings, "KILLS_SEED": str(rng.randrange(2**32))}
        argv = [sys.executable, "-m", "pytest", "-q", "-s", f"--basetemp={folder}/t", file]
        done = subprocess.run(
            argv, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=900
        )
        said = re.findall(r"^\d+ kills.*|\d+ (?:passed|failed|skipped)", done.stdout, re.MULTILINE)
        return {"held": done.returncode == 0, "file": file, "said": said}

    return part


def render(rows: list[Row]) -> str:
    """The summary as a page of Markdown."""
    git = subprocess.run(["git", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    where = f"{os.cpu_count()} cores, Python {platform.python_version()}, {git}, seed {rows[0]['seed']}"
    lines = [f"# Reliability, {datetime.now(UTC):%Y-%m-%d}", "", f"{where}.", ""]
    lines += ["| part | held | figures | s |", "|---|---|---|---|"]
    for row in rows:
        held = {True: "yes", False: "NO", None: "-"}[row["held"]]
        lines.append(f"| {row['part']} | {held} | {_figures(row)} | {row['seconds']:.0f} |")
    return "\n".join([*lines, ""])


def _figures(row: Row) -> str:
    left_out = {"part", "seed", "held", "seconds", "resumed", "file"}
    words = []
    for name, value in row.items():
        if name not in left_out:
            shown = ", ".join(value) if name == "said" else len(value) if isinstance(value, list) else value
            words.append(f"{name.replace('_', ' ')} {shown}")
    return "; ".join(words)


def _new_file(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    names = [day, *(f"{day}-{number}" for number in range(2, 1000))]
    return next(path for name in names if not (path := folder / f"{name}.jsonl").exists())


if __name__ == "__main__":
    sys.exit(main())
