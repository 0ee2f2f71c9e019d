"""Kills real runs at random instants, lets them go on, and counts what was lost, repeated or left."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.reliability.load import (
    JOBS_AT_ONCE,
    MARK,
    World,
    clear_away,
    git,
    left_after,
    make_world,
)
from orchestrator.journal.store import read_events
from orchestrator.model.event import EventKind

#: Without it every kill is of a fresh run, and what the run was to do is left undone.
CAN_RESUME = find_spec("orchestrator.cli.commands.resume") is not None
CAN_LAND = find_spec("orchestrator.cli.commands.land") is not None
GONE_WITHIN_S = 2.0
#: A run of the load takes about this long; a kill comes somewhere within.
LONGEST_S = 2.5
_END_S = 120.0


@dataclass(slots=True)
class Tally:
    """What was seen over all kills."""

    kills: int = 0
    runs: int = 0
    tasks: int = 0
    processes_left: int = 0
    slowest_cleanup_s: float = 0.0
    journal_faults: list[str] = field(default_factory=list)
    fsck_faults: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)  #: a durable result whose work is not there
    repeated: list[str] = field(default_factory=list)  #: begun again after a durable result
    unfinished: list[str] = field(default_factory=list)
    worked_twice: int = 0  #: jobs that came to their end twice: the at-least-once window
    landed_twice: list[str] = field(default_factory=list)
    workspaces_left: list[str] = field(default_factory=list)

    def row(self) -> dict[str, Any]:
        """As one line of the results file."""
        return {name: getattr(self, name) for name in self.__slots__} | {
            "slowest_cleanup_s": round(self.slowest_cleanup_s, 3)
        }

    @property
    def clean(self) -> bool:
        """Whether every promise held."""
        broken = (self.journal_faults, self.fsck_faults, self.lost, self.repeated, self.unfinished)
        return not any(broken) and not (self.landed_twice or self.workspaces_left or self.processes_left)


def kill_runs(
    folder: Path,
    *,
    kills: int,
    signals: tuple[signal.Signals, ...],
    rng: random.Random,
    jobs: int = 48,
    isolation: str = "worktree",
    land: bool = False,
) -> Tally:
    """Kill runs until `kills` are reached, each run as often as it takes to end; then look at everything."""
    tally = Tally()
    while tally.kills < kills:
        world = make_world(folder / f"world-{tally.runs}", jobs)
        write_tasks(world, isolation)
        tally.runs += 1
        tally.tasks += jobs
        _one_run(world, tally, kills, signals, rng, land=land)
        _look_at_end(world, tally, land=land)
    return tally


def write_tasks(world: World, isolation: str) -> None:
    """The load as a task file; JSON is YAML."""
    job = [str(world.job), str(world.folder)]
    tasks = [
        {"id": f"t{n}", "prompt": "-", "agent": "command", "command": [*job, str(n)]}
        for n in range(world.jobs)
    ]
    document = {
        "version": 1,
        "max_workers": JOBS_AT_ONCE,
        "isolation": isolation,
        "sandbox": "off",
        "env": {MARK: str(world.folder)},
        "tasks": tasks,
    }
    (world.folder / "tasks.yaml").write_text(json.dumps(document))


def _one_run(
    world: World,
    tally: Tally,
    kills: int,
    signals: tuple[signal.Signals, ...],
    rng: random.Random,
    *,
    land: bool,
) -> None:
    argv = ["run", str(world.folder / "tasks.yaml"), "--repo", str(world.repo)]
    argv += ["--land"] if land else []
    while True:
        durable, before = durable_results(world), world.starts()
        after_s = rng.uniform(0.3, LONGEST_S) if tally.kills < kills else None
        process = _orchestrator(world, argv)
        ended = _ended_or_killed(process, tally, rng.choice(signals), after_s)
        left, took = left_after(world, GONE_WITHIN_S)
        tally.processes_left += len(left)
        tally.slowest_cleanup_s = max(tally.slowest_cleanup_s, took)
        clear_away(left)
        again = world.starts() - before
        tally.repeated += [f"{world.folder.name}:{task}" for task in durable if again[task.removeprefix("t")]]
        tally.journal_faults += journal_faults(world)
        tally.lost += lost_work(world)
        if ended or not CAN_RESUME:
            return
        if run := run_folder(world):
            argv = ["resume", run.name, "--repo", str(world.repo)]
        elif after_s is None:
            return  # killed before it had made anything


def _orchestrator(world: World, argv: list[str]) -> subprocess.Popen[bytes]:
    with (world.folder / "out").open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "orchestrator", *argv, "--no-progress"],
            env=world.env(),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )


def _ended_or_killed(
    process: subprocess.Popen[bytes], tally: Tally, number: signal.Signals, after_s: float | None
) -> bool:
    """Let it work for a while, then kill it; say whether it came to its own end before."""
    try:
        process.wait(_END_S if after_s is None else after_s)
    except subprocess.TimeoutExpired:
        process.send_signal(number)
        tally.kills += 1
        process.wait(_END_S)
        return False
    return True


def _look_at_end(world: World, tally: Tally, *, land: bool) -> None:
    if run_folder(world) is None:
        tally.tasks -= world.jobs
        return
    results = durable_results(world)
    wanted = {f"t{n}" for n in range(world.jobs)}
    succeeded = {task for task, result in results.items() if result["success"]}
    if CAN_RESUME:
        tally.unfinished += [f"{world.folder.name}:{task}" for task in sorted(wanted - succeeded)]
    tally.worked_twice += sum(count > 1 for count in world.ends().values())
    tally.lost += lost_work(world)
    tally.journal_faults += journal_faults(world)
    if fault := git(world, "fsck", "--strict", "--no-dangling").strip():
        tally.fsck_faults.append(fault)
    if land:
        tally.landed_twice += landed_twice(world)
    if CAN_RESUME:
        left = (world.folder / "home" / "workspaces").glob("*/[!.]*")
        tally.workspaces_left += [f"{world.folder.name}:{path.name}" for path in sorted(left)]


def run_folder(world: World) -> Path | None:
    """The world's one run, None before it has a journal with anything in it."""
    folders = sorted((world.folder / "home" / "runs").glob("*/journal.db"), reverse=True)
    return next((path.parent for path in folders if read_events(path)), None)


def durable_results(world: World) -> dict[str, dict[str, Any]]:
    """The results that the journal holds, those of interrupted workers left out: they may go on."""
    run = run_folder(world)
    if run is None:
        return {}
    events = read_events(run / "journal.db")
    results = {
        e.worker_id: e.data["result"] for e in events if e.kind is EventKind.WORKER_FINISHED and e.worker_id
    }
    return {task: result for task, result in results.items() if result["status"] != "cancelled"}


def lost_work(world: World) -> list[str]:
    """Tasks that succeeded by the journal, but whose work no branch holds."""
    tips = set(git(world, "for-each-ref", "--format=%(objectname)").split())
    lost = []
    for task, result in durable_results(world).items():
        if not result["success"]:
            continue
        name = f"work-{task.removeprefix('t')}.txt"
        held = result["commit"] in tips and name in git(world, "ls-tree", "--name-only", result["commit"])
        if not held:
            lost.append(f"{world.folder.name}:{task}")
    return lost


def landed_twice(world: World) -> list[str]:
    """Tasks whose work came into the result branch by more than one commit."""
    counts: Counter[str] = Counter()
    for branch in git(world, "for-each-ref", "--format=%(refname)", "refs/heads/orchestrator").split():
        if branch.endswith("/result"):
            log = git(world, "log", "--no-merges", "--format=", "--name-only", branch)
            counts.update(line for line in log.split() if line.startswith("work-"))
    return [f"{world.folder.name}:{name}" for name, count in counts.items() if count > 1]


def journal_faults(world: World) -> list[str]:
    """What is wrong with the world's journals; nothing should be."""
    faults = []
    for path in (world.folder / "home" / "runs").glob("*/journal.db"):
        with closing(sqlite3.connect(path)) as connection:
            said = connection.execute("PRAGMA integrity_check").fetchone()[0]
        if said != "ok":
            faults.append(f"{path}: {said}")
        numbers = [event.seq for event in read_events(path)]
        if numbers != list(range(1, len(numbers) + 1)):
            faults.append(f"{path}: numbers with gaps")
    return faults
