"""A spawner for one test, and programs to start in it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil

from orchestrator.sessions.output import OutputLog
from orchestrator.sessions.process import SpawnedProcess, StopGrace
from orchestrator.sessions.spawner import Spawner

ENV = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"}

#: One step after the other without waiting long; long enough that none is taken by accident.
QUICK = StopGrace(interrupt_s=0.3, terminate_s=0.3, kill_s=2.0)


class Bench:
    """A spawner, a folder, a log, and the shortest way to start something."""

    def __init__(self, spawner: Spawner, folder: Path, limit: int) -> None:
        self.spawner = spawner
        self.folder = folder
        self.log = OutputLog(folder / "output.log", limit)
        self.seen = bytearray()
        self._news = asyncio.Event()

    async def spawn(self, argv: Sequence[str], **options: Any) -> SpawnedProcess:
        settings: dict[str, Any] = {
            "cwd": self.folder,
            "env": ENV,
            "log": self.log,
            "on_output": self.take,
            "grace": QUICK,
        }
        return await self.spawner.spawn(argv, **(settings | options))

    async def python(self, code: str, *arguments: str, **options: Any) -> SpawnedProcess:
        return await self.spawn([sys.executable, "-I", "-S", "-c", code, *arguments], **options)

    def take(self, data: bytes) -> None:
        self.seen += data
        self._news.set()

    async def until(self, text: bytes) -> None:
        """Wait until the process has said `text`."""
        while text not in self.seen:
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), 20)


@asynccontextmanager
async def bench(folder: Path, limit: int = 10_000_000) -> AsyncIterator[Bench]:
    spawner = await Spawner.start()
    made = Bench(spawner, folder, limit)
    try:
        yield made
    finally:
        await spawner.aclose()
        made.log.close()


def in_bench(folder: Path, use: Callable[[Bench], Any], limit: int = 10_000_000) -> Any:
    """Run `await use(bench)` in a loop of its own."""

    async def main() -> Any:
        async with bench(folder, limit) as made:
            return await use(made)

    return asyncio.run(main())


async def until(true: Callable[[], bool]) -> None:
    """Wait for something in another process that announces itself to nobody."""
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.01)


def processes_of(folder: Path) -> list[psutil.Process]:
    """Living processes that were given the folder as an argument."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(folder) in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


#: Makes six kinds of descendants that all ignore polite signals, says `ready`, and stays or leaves.
FAMILY = """
import os, signal, sys, time
folder, then = sys.argv[1:]
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)

def note(kind):
    with open(os.path.join(folder, "kin-" + kind), "w") as file:
        file.write(str(os.getpid()))

def stay(kind):
    note(kind)
    while True:
        time.sleep(60)

def group():
    os.setpgid(0, 0)
    stay("group")

def session():
    os.setsid()
    stay("session")

def daemon():
    os.setsid()
    if os.fork():
        os._exit(0)
    code = "import signal, sys, time\\n" \\
        "for n in (1, 2, 15): signal.signal(n, signal.SIG_IGN)\\n" \\
        "open(sys.argv[1] + '/kin-daemon', 'w').close()\\n" \\
        "time.sleep(600)"
    os.execve(sys.executable, [sys.executable, "-I", "-S", "-c", code, folder], {})

def hopper():
    note("hopper")
    while True:
        if os.fork():
            os._exit(0)
        time.sleep(0.01)

kinds = {"plain": lambda: stay("plain"), "group": group, "session": session, "daemon": daemon,
         "hopper": hopper, "grandchild": lambda: os.fork() or stay("grandchild")}
for kind in kinds.values():
    if os.fork() == 0:
        try:
            kind()
        finally:
            os._exit(0)
while not all(os.path.exists(os.path.join(folder, "kin-" + kind)) for kind in kinds):
    time.sleep(0.005)
print("ready", flush=True)
if then == "stay":
    while True:
        time.sleep(60)
os._exit(0)
"""
