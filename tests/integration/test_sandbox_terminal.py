"""A sandboxed program on a real terminal, and its way to the end: as without a sandbox."""

from __future__ import annotations

import asyncio
import fcntl
import signal
import struct
import sys
import termios
from pathlib import Path

import pytest

from orchestrator.model.outcome import ProcessExit
from orchestrator.sessions.process import StopGrace
from tests.integration.sandbox_fixtures import Cell, needs_bubblewrap
from tests.integration.sessions_fixtures import Bench, in_bench

pytestmark = needs_bubblewrap

TERMINAL = """
import fcntl, os, signal, struct, sys, termios, time
def size(*_):
    rows, columns = struct.unpack("HHHH", fcntl.ioctl(0, termios.TIOCGWINSZ, b"\\0" * 8))[:2]
    os.write(1, b"size %dx%d\\n" % (rows, columns))
def interrupted(*_):
    os.write(1, b"interrupted\\n")
    os._exit(7)
signal.signal(signal.SIGWINCH, size)
signal.signal(signal.SIGINT, interrupted)
with open("/dev/tty", "w") as tty:
    print("tty opened", os.isatty(0), os.isatty(1), file=tty, flush=True)
size()
while True:
    time.sleep(0.05)  # not pause(), which can miss a signal that came just before
"""


@pytest.mark.parametrize("sandboxed", [True, False])
def test_terminal_size_and_keys_reach_the_program(tmp_path: Path, sandboxed: bool) -> None:
    cell = Cell(tmp_path)

    async def use(made: Bench) -> ProcessExit:
        plain = [sys.executable, "-I", "-S", "-c", TERMINAL]
        argv = cell.python(TERMINAL) if sandboxed else plain
        process = await made.spawn(argv, cwd=cell.workspace, env=cell.env, terminal=True)
        await made.until(b"tty opened True True")
        await made.until(b"size 40x120")
        fcntl.ioctl(process._ends.output, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 132, 0, 0))
        await made.until(b"size 50x132")
        await process.write(b"\x03")
        await made.until(b"interrupted")
        return await process.wait()

    ended = in_bench(tmp_path, use)
    assert (ended.exit_code, ended.survivors) == (7, ())


JOB = """
import os, signal, time
def interrupted(*_):
    os.write(1, b"job interrupted\\n")
    os._exit(6)
signal.signal(signal.SIGCONT, lambda *_: os.write(1, b"job goes on\\n"))
signal.signal(signal.SIGINT, interrupted)
print("job begun", flush=True)
while True:
    time.sleep(0.05)  # not pause(), which can miss a signal that came just before
"""


def test_job_control_works_in_an_interactive_shell(tmp_path: Path) -> None:
    cell = Cell(tmp_path)
    (cell.workspace / "job.py").write_text(JOB)

    async def use(made: Bench) -> ProcessExit:
        argv = cell.wrap(["bash", "--norc", "--noprofile", "-i"])
        env = {**cell.env, "PS1": "$ ", "TERM": "dumb", "HISTFILE": "/dev/null"}
        process = await made.spawn(argv, cwd=cell.workspace, env=env, terminal=True)
        for typed, answer in (
            (f"{sys.executable} -I -S job.py\n", "job begun"),
            ("\x1a", "Stopped"),
            ("fg\n", "job goes on"),
            ("\x03", "job interrupted"),
            ("echo status=$?\n", "status=6"),
            ("exit 5\n", "exit"),
        ):
            await process.write(typed.encode())
            await made.until(answer.encode())
        return await process.wait()

    ended = in_bench(tmp_path, use)
    assert (ended.exit_code, ended.survivors) == (5, ())
    assert b"no job control" not in (tmp_path / "output.log").read_bytes()


HARDENED = """
import os, signal, sys, time
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda n, _: (os.write(1, b"got %d\\n" % n), n == signal.SIGTERM and os._exit(9)))
print("ready", flush=True)
while True:
    time.sleep(0.05)  # not pause(), which can miss a signal that came just before
"""


@pytest.mark.parametrize("terminal", [True, False])
def test_a_stop_leaves_the_program_time_to_end_itself(tmp_path: Path, terminal: bool) -> None:
    cell = Cell(tmp_path)

    async def use(made: Bench) -> ProcessExit:
        grace = StopGrace(interrupt_s=0.5, terminate_s=20, kill_s=2)
        argv = cell.python(HARDENED)
        process = await made.spawn(argv, cwd=cell.workspace, env=cell.env, terminal=terminal, grace=grace)
        await made.until(b"ready")
        return await process.stop()

    ended = in_bench(tmp_path, use)
    said = (tmp_path / "output.log").read_bytes()
    assert b"got 2" in said and b"got 15" in said
    assert (ended.exit_code, ended.survivors) == (9, ())


@pytest.mark.parametrize(
    ("line", "status"),
    [("exit 0", 0), ("exit 3", 3), ("exit 255", 255), ("kill -TERM $$", 143), ("kill -KILL $$", 137)],
)
def test_the_exit_status_passes_through(tmp_path: Path, line: str, status: int) -> None:
    cell = Cell(tmp_path)

    async def use(made: Bench) -> ProcessExit:
        process = await made.spawn(cell.shell(line), cwd=cell.workspace, env=cell.env)
        return await process.wait()

    ended = in_bench(tmp_path, use)
    assert (ended.exit_code, ended.signal_number) == (status, None)


def test_signals_and_streams_are_as_a_program_expects_them(tmp_path: Path) -> None:
    cell = Cell(tmp_path)
    code = """
import os, signal, sys, time
print([n for n in (1, 2, 3, 13, 15) if signal.getsignal(n) == signal.SIG_IGN])
print(sorted(os.listdir("/proc/self/fd")), sys.stdin.read())
"""

    async def use(made: Bench) -> ProcessExit:
        process = await made.spawn(cell.python(code), cwd=cell.workspace, env=cell.env)
        await process.write(b"given")
        await process.close_input()
        return await process.wait()

    assert in_bench(tmp_path, use).exit_code == 0
    first, second = (tmp_path / "output.log").read_text().splitlines()
    assert first == f"[{signal.SIGPIPE}]"  # Python's own doing
    assert second == "['0', '1', '2', '3'] given"  # 3 is the listing itself


def test_output_is_whole_and_its_end_prompt_when_a_daemon_holds_it(tmp_path: Path) -> None:
    cell = Cell(tmp_path)

    async def use(made: Bench) -> ProcessExit:
        line = "(setsid sleep 300 &) ; seq 20000; echo end"
        process = await made.spawn(cell.shell(line), cwd=cell.workspace, env=cell.env, terminal=True)
        return await asyncio.wait_for(process.wait(), 20)

    assert in_bench(tmp_path, use).survivors == ()
    lines = (tmp_path / "output.log").read_bytes().split()
    assert lines[-1] == b"end" and lines[-2] == b"20000"
