"""Whatever ends a sandboxed attempt, nothing of it is left."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from orchestrator.executors.recovery import end_orphans
from orchestrator.sandbox.orphans import remove_orphans
from tests.integration.run_fixtures import make_repository, task
from tests.integration.run_fixtures import run as run_tasks
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


RUN = """
import asyncio, os, sys
from pathlib import Path
from tests.integration.run_fixtures import make_run, task

def hear(event):
    print(event.kind, event.data.get("pid", ""), flush=True)

tasks = [task("a", sys.argv[3:])]
made = make_run(Path(sys.argv[1]), tasks, hear, sandbox=sys.argv[2], isolation="worktree")
asyncio.run(made.execute())
"""


def start_run(argv: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(argv, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True)


def wait_until_started(run: subprocess.Popen[str]) -> None:
    assert run.stdout is not None
    said = []
    while line := run.stdout.readline():
        said.append(line)
        if line.startswith("process.started"):
            return
    raise AssertionError(f"the run ended early: {said}")


def kill_all_that_watch(run: psutil.Process) -> None:
    """The nursery and the shims at once with the orchestrator: nobody is left that could clean up."""
    watching = [run, *run.children()]
    watching += [shim for nursery in run.children() for shim in nursery.children()]
    for process in watching:
        process.suspend()
    for process in watching:
        process.kill()


@pytest.mark.parametrize("sandbox", ["on", "off"])
def test_the_next_run_ends_what_a_run_left_that_was_killed_with_all_its_shims(
    tmp_path: Path, home: Path, sandbox: str
) -> None:
    repo = make_repository(tmp_path / "repo")
    name = f"orch-lost-{tmp_path.name[-16:]}"
    line = f"setsid bash -c 'exec -a {name} sleep 300' & (exec -a {name} sleep 300) & wait"
    argv = [sys.executable, "-c", RUN, str(repo), sandbox, "/bin/bash", "-c", line]
    with start_run(argv) as run, ExitStack() as stack:
        stack.callback(run.kill)
        wait_until_started(run)
        deadline = time.monotonic() + 20
        while len(named(name)) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(named(name)) == 2
        kill_all_that_watch(psutil.Process(run.pid))
    if sandbox == "off":
        assert len(named(name)) == 2, "the test would prove nothing"
    (result,) = run_tasks(repo, [task("b", ["true"])], sandbox="off")
    assert result.success
    deadline = time.monotonic() + GONE_S
    while named(name) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert named(name) == []


def test_a_run_that_lives_loses_nothing_to_the_next_one(tmp_path: Path) -> None:
    repo = make_repository(tmp_path / "repo")
    line = f"while [ ! -e {tmp_path}/over ]; do sleep 0.05; done; echo fine"
    argv = [sys.executable, "-c", RUN, str(repo), "off", "/bin/sh", "-c", line]
    with start_run(argv) as other, ExitStack() as stack:
        stack.callback(other.kill)
        wait_until_started(other)
        run_tasks(repo, [task("b", ["true"])], sandbox="off")
        (tmp_path / "over").touch()
        told = other.communicate(timeout=60)[0]
    assert other.returncode == 0
    assert "worker.finished" in told
    assert end_orphans() == []


def named(name: str) -> list[int]:
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        words = process.info["cmdline"] or [""]
        if words[0] == name and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process.pid)
    return found
