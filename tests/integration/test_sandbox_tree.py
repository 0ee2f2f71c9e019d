"""Whatever ends a sandboxed attempt, nothing of it is left."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from orchestrator.sandbox.orphans import remove_orphans
from tests.integration.sandbox_fixtures import Cell, needs_bubblewrap
from tests.integration.sessions_fixtures import FAMILY, Bench, in_bench

pytestmark = needs_bubblewrap

GONE_S = 2.0


def family(cell: Cell, then: str = "stay") -> list[str]:
    return cell.python(FAMILY, str(cell.workspace), then)


def inside(folder: Path) -> list[psutil.Process]:
    """Living processes of the attempt, seen from the machine: those that name the folder, and all below."""
    found: set[psutil.Process] = set()
    for process in psutil.process_iter():
        try:
            if any(str(folder) in word for word in process.cmdline()):
                found |= {process, *process.children(recursive=True)}
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return [
        process
        for process in found
        if process.is_running() and process.pid != os.getpid() and _lives(process)
    ]


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until_empty(folder: Path) -> None:
    deadline = time.monotonic() + GONE_S
    while (left := inside(folder)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not left


@pytest.mark.parametrize("then", ["stay", "leave"])
def test_all_six_kinds_of_descendants_end_with_the_attempt(tmp_path: Path, then: str) -> None:
    cell = Cell(tmp_path)

    async def use(made: Bench) -> None:
        process = await made.spawn(family(cell, then), cwd=cell.workspace, env=cell.env)
        await made.until(b"ready")
        if then == "stay":
            assert len(inside(tmp_path)) >= 6
            ended = await process.stop(now=True)
        else:
            ended = await process.wait()
        assert ended.survivors == ()

    in_bench(tmp_path, use)
    wait_until_empty(tmp_path)


def test_they_end_when_the_shim_is_killed(tmp_path: Path) -> None:
    cell = Cell(tmp_path)

    async def use(made: Bench) -> None:
        process = await made.spawn(family(cell), cwd=cell.workspace, env=cell.env)
        await made.until(b"ready")
        os.kill(psutil.Process(process.pid).ppid(), signal.SIGKILL)
        ended = await process.wait()
        assert ended.survivors == ()
        await asyncio.to_thread(wait_until_empty, tmp_path)

    in_bench(tmp_path, use)


ORCHESTRATOR = """
import asyncio, json, sys
from pathlib import Path
from tests.integration.sessions_fixtures import Bench, in_bench

async def use(made):
    for _ in range(4):
        await made.spawn(json.loads(sys.argv[2]), cwd=Path(sys.argv[3]), env={"PATH": "/usr/bin:/bin"})
    await made.until(b"ready")
    print("up", flush=True)
    await asyncio.sleep(300)

in_bench(Path(sys.argv[1]), use)
"""


def test_they_end_when_the_orchestrator_is_killed(tmp_path: Path) -> None:
    cell = Cell(tmp_path)
    argv = [sys.executable, "-c", ORCHESTRATOR, str(tmp_path), json.dumps(family(cell)), str(cell.workspace)]
    with subprocess.Popen(argv, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE) as orchestrator:
        assert orchestrator.stdout is not None
        assert orchestrator.stdout.readline() == b"up\n"
        assert len(inside(tmp_path)) >= 6
        orchestrator.kill()
    wait_until_empty(tmp_path)


def test_a_sandbox_without_a_shim_is_found_by_the_run_it_belongs_to(tmp_path: Path) -> None:
    cell = Cell(tmp_path)
    argv = [word for word in family(cell) if word != "--die-with-parent"]
    with subprocess.Popen(argv, cwd=cell.workspace, env=cell.env, stdout=subprocess.PIPE) as lost:
        assert lost.stdout is not None
        assert lost.stdout.readline() == b"ready\n"
        assert remove_orphans(cell.run_dir.with_name("run-")) == []
        assert lost.poll() is None
        assert lost.pid in remove_orphans(cell.run_dir)
    wait_until_empty(tmp_path)
    assert remove_orphans(cell.run_dir) == []
