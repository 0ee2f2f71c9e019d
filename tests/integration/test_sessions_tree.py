"""Whole trees: whatever a program leaves behind is gone, however the end comes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.integration.sessions_fixtures import FAMILY, Bench, in_bench, processes_of, until

KINDS = {"plain", "group", "session", "daemon", "hopper", "grandchild"}

#: An orchestrator of its own, to be killed: starts a family and says so.
ORCHESTRATOR = """
import asyncio, os, pathlib, sys
from orchestrator.sessions.output import OutputLog
from orchestrator.sessions.spawner import Spawner
folder, family, count = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])

async def main():
    spawner = await Spawner.start()
    log = OutputLog(folder / "output.log", 1000)
    ready = [asyncio.Event() for _ in range(count)]
    argv = [sys.executable, "-I", "-S", "-c", family, str(folder), "stay"]
    async def one(number):
        exit_file = folder / f"exit-{number}.json"
        await spawner.spawn(argv, cwd=folder, env=dict(os.environ), log=log, exit_file=exit_file,
                            terminal=number % 2 == 1, on_output=lambda data: ready[number].set())
    print("starting", flush=True)
    await asyncio.gather(*map(one, range(count)))
    await asyncio.gather(*(one.wait() for one in ready))
    print("ready", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def assert_gone(folder: Path, within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while (left := processes_of(folder)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert left == []


def assert_there(folder: Path, count: int, within_s: float) -> None:
    """One look is not enough: a hopper changes its pid every 10 ms, and a look of that length misses it.

    Both families tell `ready` by the same files, so the second one's kin may come a little later.
    """
    deadline = time.monotonic() + within_s
    while (found := len(processes_of(folder))) < count:
        assert time.monotonic() < deadline, f"{found} of {count} processes"
        time.sleep(0.02)


def assert_ends(process: psutil.Process, within_s: float) -> None:
    """A zombie has ended; when its new parent reaps it is not our affair."""
    deadline = time.monotonic() + within_s
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def assert_complete(folder: Path) -> None:
    """The test would prove nothing if a kind had not been there."""
    assert {path.name.removeprefix("kin-") for path in folder.glob("kin-*")} == KINDS


@pytest.mark.parametrize("terminal", [False, True])
def test_nobody_outlives_the_program(tmp_path: Path, terminal: bool) -> None:
    async def use(made: Bench) -> None:
        process = await made.python(FAMILY, str(tmp_path), "leave", terminal=terminal)
        exit_ = await process.wait()
        assert (exit_.exit_code, exit_.survivors) == (0, ())
        assert processes_of(tmp_path) == []

    in_bench(tmp_path, use)
    assert_complete(tmp_path)


@pytest.mark.parametrize("now", [False, True])
@pytest.mark.parametrize("terminal", [False, True])
def test_nobody_outlives_a_stop(tmp_path: Path, terminal: bool, now: bool) -> None:
    async def use(made: Bench) -> None:
        process = await made.python(FAMILY, str(tmp_path), "stay", terminal=terminal)
        await made.until(b"ready")
        exit_ = await process.stop(now=now)
        assert (exit_.signal, exit_.survivors) == ("SIGKILL", ())
        assert processes_of(tmp_path) == []

    in_bench(tmp_path, use)
    assert_complete(tmp_path)


@pytest.mark.parametrize("terminal", [False, True])
def test_nobody_outlives_the_shim(tmp_path: Path, terminal: bool) -> None:
    async def use(made: Bench) -> None:
        for _ in range(5):
            process = await made.python(FAMILY, str(tmp_path), "stay", terminal=terminal)
            await made.until(b"ready")
            made.seen.clear()
            bystander = await made.spawn(["cat"])
            psutil.Process(process.pid).parent().kill()  # type: ignore[union-attr]
            exit_ = await process.wait()
            assert (exit_.signal, exit_.survivors) == ("SIGKILL", ())
            assert processes_of(tmp_path) == []
            await bystander.close_input()
            assert (await bystander.wait()).exit_code == 0

    in_bench(tmp_path, use)
    assert_complete(tmp_path)


def orchestrator(folder: Path, count: int) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", ORCHESTRATOR, str(folder), FAMILY, str(count)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)


def test_nobody_outlives_a_killed_orchestrator(tmp_path: Path) -> None:
    with orchestrator(tmp_path, 2) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == ["starting\n", "ready\n"]
        nursery = psutil.Process(process.pid).children()[0]
        assert_there(tmp_path, 2 * len(KINDS) + 1, 10)
        process.kill()
    assert_gone(tmp_path, 5)
    assert_ends(nursery, 5)
    assert_complete(tmp_path)
    for number in (0, 1):
        told = json.loads((tmp_path / f"exit-{number}.json").read_text())
        assert (told["exit_code"], told["signal"], told["survivors"]) == (None, signal.SIGKILL, [])


def test_nobody_outlives_an_orchestrator_killed_while_it_starts_them(tmp_path: Path) -> None:
    for delay in (0.0, 0.03, 0.06, 0.09, 0.12, 0.2):
        with orchestrator(tmp_path, 12) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(delay)  # any instant will do
            nursery = psutil.Process(process.pid).children()[0]
            process.kill()
        assert_ends(nursery, 5)
        assert_gone(tmp_path, 0)


def test_nobody_outlives_a_nursery_told_to_end(tmp_path: Path) -> None:
    async def use(made: Bench) -> None:
        process = await made.python(FAMILY, str(tmp_path), "stay")
        await made.until(b"ready")
        os.kill(made.spawner.nursery_pids[0], signal.SIGTERM)
        exit_ = await process.wait()
        assert (exit_.signal, exit_.survivors) == ("SIGKILL", ())
        assert processes_of(tmp_path) == []

    in_bench(tmp_path, use)


def test_orphans_are_reaped_while_the_program_runs(tmp_path: Path) -> None:
    script = "i=0; while [ $i -lt 20 ]; do (sleep 0 &); i=$((i+1)); done; echo made; read line"

    async def use(made: Bench) -> None:
        process = await made.spawn(["sh", "-c", script])
        await made.until(b"made")
        shim = psutil.Process(process.pid).parent()
        assert shim is not None
        await until(lambda: [child.pid for child in shim.children()] == [process.pid])
        await process.close_input()
        await process.wait()

    in_bench(tmp_path, use)


def test_signals_to_our_process_group_reach_no_program(tmp_path: Path) -> None:
    async def use(made: Bench) -> None:
        process = await made.spawn(["cat"])
        shim = psutil.Process(process.pid).parent()
        assert shim is not None
        ours = (os.getpgrp(), os.getsid(0))
        for pid in (process.pid, shim.pid, made.spawner.nursery_pids[0]):
            assert os.getpgid(pid) != ours[0]
            assert os.getsid(pid) != ours[1]
        await process.close_input()
        await process.wait()

    in_bench(tmp_path, use)
