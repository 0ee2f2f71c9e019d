"""The same load under GNU parallel with --joblog and --resume, killed in the same way."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.reliability.load import JOBS_AT_ONCE, World, clear_away, left_after, make_world, processes_of
from benchmarks.reliability.product import GONE_WITHIN_S, LONGEST_S

_END_S = 120.0


def parallel_program() -> str | None:
    """GNU parallel, as installed, or where GNU_PARALLEL says; None without."""
    return os.environ.get("GNU_PARALLEL") or shutil.which("parallel")


def kill_parallel(
    folder: Path, *, kills: int, signals: tuple[signal.Signals, ...], rng: random.Random, jobs: int = 48
) -> dict[str, Any]:
    """Kill it until `kills` are reached, `--resume` after each, as its manual says."""
    program = parallel_program()
    assert program is not None
    done = runs = left_over = kills_with_left = 0
    twice: set[str] = set()
    lost: list[str] = []
    begun_again = 0
    while done < kills:
        world = make_world(folder / f"parallel-{runs}", jobs)
        runs += 1
        ended = False
        while not ended:
            finished, before = set(world.ends()), world.starts()
            last = done >= kills
            ended = _once(program, world, None if last else rng.uniform(0.3, LONGEST_S), rng.choice(signals))
            done += not ended
            left, _ = left_after(world, GONE_WITHIN_S if not ended else 0)
            if not ended:
                left_over += len(left)
                kills_with_left += bool(left)
            clear_away(left)
            clear_away(processes_of(world))
            begun_again += sum((world.starts() - before)[job] for job in finished)
        counts = world.ends()
        twice |= {f"{world.folder.name}:{job}" for job, count in counts.items() if count > 1}
        lost += [f"{world.folder.name}:{n}" for n in range(jobs) if not counts[str(n)]]
    return {
        "kills": done,
        "runs": runs,
        "tasks": runs * jobs,
        "processes_left": left_over,
        "kills_with_processes_left": kills_with_left,
        "worked_twice": len(twice),
        "begun_again_after_their_end": begun_again,
        "lost": lost,
    }


def _once(program: str, world: World, after_s: float | None, number: signal.Signals) -> bool:
    """Run or resume; say whether it came to its own end."""
    argv = [
        program,
        "--will-cite",
        "-j",
        str(JOBS_AT_ONCE),
        "--joblog",
        str(world.folder / "joblog"),
        "--resume",
    ]
    argv += [str(world.job), str(world.folder), "{}", ":::", *map(str, range(world.jobs))]
    with (world.folder / "out").open("ab") as out:
        process = subprocess.Popen(
            argv, cwd=world.repo, env=world.env(), stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
    try:
        process.wait(after_s if after_s is not None else _END_S)
    except subprocess.TimeoutExpired:
        process.send_signal(number)
        try:
            process.wait(GONE_WITHIN_S)
        except subprocess.TimeoutExpired:  # TERM once means: start nothing new
            process.kill()
            process.wait()
        return False
    return True
