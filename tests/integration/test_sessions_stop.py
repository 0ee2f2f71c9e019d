"""Stopping: interrupt, then TERM, then KILL, each in its turn, and the whole tree."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from orchestrator.sessions.output import OutputLog
from orchestrator.sessions.process import StopGrace
from orchestrator.sessions.spawner import Spawner
from tests.integration.sessions_fixtures import Bench, in_bench, until

RECORD = """
import os, signal
def record(number, frame):
    os.write(1, signal.Signals(number).name.encode() + b"\\n")
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, record)
os.write(1, b"ready\\n")
while True:
    signal.pause()
"""


@pytest.mark.parametrize("terminal", [False, True])
def test_the_steps_come_in_order(tmp_path: Path, terminal: bool) -> None:
    async def use(made: Bench) -> bytes:
        process = await made.python(RECORD, terminal=terminal)
        await made.until(b"ready")
        first, second = await asyncio.gather(process.stop(), process.stop())
        assert first == second == await process.wait()
        assert first.signal == "SIGKILL"
        return bytes(made.seen)

    assert in_bench(tmp_path, use).split() == [b"ready", b"SIGINT", b"SIGTERM"]


@pytest.mark.parametrize("terminal", [False, True])
def test_a_program_that_obeys_is_spared_the_rest(tmp_path: Path, terminal: bool) -> None:
    async def use(made: Bench) -> None:
        grace = StopGrace(interrupt_s=60, terminate_s=60)
        polite = await made.spawn(
            ["sh", "-c", "trap 'exit 5' INT; echo ready; while :; do sleep 0.05; done"],
            terminal=terminal,
            grace=grace,
        )
        await made.until(b"ready")
        assert (await polite.stop()).exit_code == 5

    in_bench(tmp_path, use)


@pytest.mark.parametrize("terminal", [False, True])
def test_a_second_stop_escalates_at_once(tmp_path: Path, terminal: bool) -> None:
    async def use(made: Bench) -> None:
        process = await made.python(RECORD, terminal=terminal, grace=StopGrace(interrupt_s=600))
        await made.until(b"ready")
        waiting = asyncio.create_task(process.wait())
        slow = asyncio.create_task(process.stop())
        await made.until(b"SIGINT")
        assert (await process.stop(now=True)).signal == "SIGKILL"
        assert await slow == await waiting

    in_bench(tmp_path, use)
    assert b"SIGTERM" not in (tmp_path / "output.log").read_bytes()


def test_a_stop_goes_on_when_its_caller_is_cancelled(tmp_path: Path) -> None:
    async def use(made: Bench) -> None:
        process = await made.python(RECORD)
        await made.until(b"ready")
        stopping = asyncio.create_task(process.stop())
        await made.until(b"SIGINT")
        stopping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopping
        assert (await process.wait()).signal == "SIGKILL"

    in_bench(tmp_path, use)


def test_an_interrupt_reaches_the_foreground_of_a_terminal(tmp_path: Path) -> None:
    """An interactive shell puts each job into a group of its own: only the foreground one must hear it."""

    async def use(made: Bench) -> None:
        process = await made.spawn(["sh", "-i"], terminal=True, grace=StopGrace(interrupt_s=600))
        await process.write(b"sleep 600; echo status $?\n")
        shell = psutil.Process(process.pid)
        await until(lambda: any(child.name() == "sleep" for child in shell.children()))
        slow = asyncio.create_task(process.stop())
        await until(lambda: not shell.children())
        await process.write(b"echo still-$((40+2))\n")
        await made.until(b"still-42")
        await process.stop(now=True)
        await slow

    in_bench(tmp_path, use)


def test_a_typed_interrupt_reaches_the_foreground_too(tmp_path: Path) -> None:
    async def use(made: Bench) -> None:
        process = await made.python(RECORD, terminal=True)
        await made.until(b"ready")
        await process.write(b"\x03")
        await made.until(b"SIGINT")
        await process.stop(now=True)

    in_bench(tmp_path, use)


def test_terminate_reaches_the_whole_tree(tmp_path: Path) -> None:
    code = """
import signal, subprocess, sys
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
subprocess.run([sys.executable, "-c", sys.argv[1]], start_new_session=True)
"""

    async def use(made: Bench) -> None:
        process = await made.python(code, RECORD)
        await made.until(b"ready")
        await process.stop()

    in_bench(tmp_path, use)
    assert (tmp_path / "output.log").read_bytes().split() == [b"ready", b"SIGTERM"]


def test_a_stopped_tree_can_still_be_stopped(tmp_path: Path) -> None:
    async def use(made: Bench) -> None:
        process = await made.spawn(
            ["sh", "-c", "trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done"]
        )
        await made.until(b"ready")
        os.kill(process.pid, signal.SIGSTOP)
        assert (await process.stop()).exit_code in (3, None)

    in_bench(tmp_path, use)


def test_a_shim_that_was_frozen_is_overruled(tmp_path: Path) -> None:
    """A program may do that to its own shim: it is the same user's process."""

    async def use(made: Bench) -> None:
        code = "import os, signal, time; os.kill(os.getppid(), signal.SIGSTOP); print('ready', flush=True);"
        grace = StopGrace(interrupt_s=0.05, terminate_s=0.05, kill_s=0.1)
        process = await made.python(code + "time.sleep(600)", grace=grace)
        await made.until(b"ready")
        exit_ = await process.stop()
        assert (exit_.signal, exit_.survivors) == ("SIGKILL", ())
        assert not psutil.pid_exists(process.pid)

    in_bench(tmp_path, use)


def test_one_stubborn_process_delays_no_other(tmp_path: Path) -> None:
    async def use(made: Bench) -> None:
        stubborn = await made.python(RECORD, grace=StopGrace(interrupt_s=600))
        await made.until(b"ready")
        slow = asyncio.create_task(stubborn.stop())
        await made.until(b"SIGINT")
        other = await made.spawn(["sleep", "600"])
        assert (await other.stop()).signal == "SIGINT"
        assert not slow.done()
        start = time.monotonic()
        await stubborn.stop(now=True)
        assert time.monotonic() - start < 5

    in_bench(tmp_path, use)


def test_a_spawner_whose_end_is_cancelled_leaves_no_nursery(tmp_path: Path) -> None:
    async def cancelled() -> list[int]:
        spawner = await Spawner.start()
        log = OutputLog(tmp_path / "log", 4096)
        await spawner.spawn(["sleep", "60"], cwd=tmp_path, env=dict(os.environ), log=log)
        pids = spawner.nursery_pids
        end = asyncio.ensure_future(spawner.aclose())
        await asyncio.sleep(0)
        end.cancel()
        await asyncio.gather(end, return_exceptions=True)
        log.close()
        return pids

    pids = asyncio.run(cancelled())
    assert pids
    assert not any(Path("/proc", str(pid)).exists() for pid in pids)
