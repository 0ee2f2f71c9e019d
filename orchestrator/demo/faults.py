"""What can go wrong with an agent, on demand: the faults of the demo agent."""

# pathlib would cost a fifth of the start-up.
# ruff: noqa: PTH100, PTH123
from __future__ import annotations

import os
import signal
import sys
import time

#: True for type checkers only. `typing` costs a fifth of the start-up.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_LINE = b"all work and no play makes an agent a very dull program to read, line by line\n"
_HOP_S = 0.05
_PID_FILE_S = 10.0


def crash(value: int | str) -> None:
    """End at once: by a status, or by a signal."""
    if isinstance(value, str):
        number = signal.Signals[f"SIG{value.removeprefix('SIG')}"]
        if number not in {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        signal.pause()
    os.write(2, b"panic: the demo agent was told to crash\n")
    os._exit(int(value))


def hang(_: object) -> None:
    """Do nothing, for ever."""
    while True:
        signal.pause()


def ignore_term(_: object) -> None:
    """Ignore every polite way of being told to stop."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def flood(value: Any) -> None:
    """Write much text as fast as it is read."""
    spec = value if isinstance(value, dict) else {"bytes": value}
    fd = 2 if spec.get("to") == "stderr" else 1
    _write_all(fd, _LINE, int(spec["bytes"]))
    os.write(fd, b"\n")


def _write_all(fd: int, line: bytes, size: int) -> None:
    block = line * (65536 // len(line))
    while size > 0:
        size -= os.write(fd, block[:size])


def binary(size: int) -> None:
    """Write random bytes, reset the terminal, then write characters byte by byte."""
    _write_all(1, os.urandom(65536), int(size))
    os.write(1, b"\x1b\\\x1bc\n")
    for byte in "split: \u00e9 \u6f22 \U0001f600\n".encode():
        os.write(1, bytes([byte]))
        time.sleep(0.001)


def take_memory(megabytes: int) -> bytearray:
    """Return that much memory, every page of it touched."""
    taken = bytearray(int(megabytes) << 20)
    taken[::4096] = b"\1" * len(taken[::4096])
    return taken


def spawn_children(value: Any) -> None:
    """Start plain children that outlive this process."""
    spec = value or {}
    for _ in range(int(spec.get("count", 2))):
        if os.fork() == 0:
            _become_sleeper({**spec, "hops": 0}, keep_output=False)
    _wait_for_pids(spec, int(spec.get("count", 2)))


def daemonise(value: Any) -> None:
    """Start a process that has left the tree: own session, no parent, no environment."""
    _double_fork(value or {}, keep_output=False)


def hold_output(value: Any) -> None:
    """The same, and it keeps the output open after this process has ended."""
    _double_fork(value or {}, keep_output=True)


def _double_fork(spec: dict[str, Any], *, keep_output: bool) -> None:
    child = os.fork()
    if child == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        _become_sleeper(spec, keep_output=keep_output)
    os.waitpid(child, 0)
    _wait_for_pids(spec, 1 + int(spec.get("hops", 0)))


def _become_sleeper(spec: dict[str, Any], *, keep_output: bool) -> None:
    """Replace this process by one with nothing of it but the program: no environment, no descriptors."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0,) if keep_output else (0, 1, 2):
        os.dup2(null, fd)
    arguments = [str(spec.get("seconds", 60)), str(spec.get("hops", 0)), str(spec.get("pid_file", ""))]
    os.execve(sys.executable, [sys.executable, "-I", "-S", os.path.abspath(__file__), *arguments], {})  # noqa: S606 (the fault itself)


def _sleep(seconds: str, hops: str, pid_file: str) -> None:
    """Hop from pid to pid, then sleep."""
    _leave_pid(pid_file)
    for _ in range(int(hops)):
        time.sleep(_HOP_S)
        if os.fork():
            os._exit(0)
        os.setsid()
        _leave_pid(pid_file)
    time.sleep(float(seconds))


def _leave_pid(pid_file: str) -> None:
    if pid_file:
        line = f"{os.getpid()}\n".encode()
        fd = os.open(pid_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(fd, line)
        os.close(fd)


def _wait_for_pids(spec: dict[str, Any], count: int) -> None:
    path, deadline = spec.get("pid_file"), time.monotonic() + _PID_FILE_S
    while path and _lines(path) < count and time.monotonic() < deadline:
        time.sleep(0.005)


def _lines(path: str) -> int:
    try:
        with open(path, "rb") as file:
            return file.read().count(b"\n")
    except FileNotFoundError:
        return 0


STEPS: dict[str, Callable[[Any], object]] = {
    "crash": crash,
    "hang": hang,
    "ignore_term": ignore_term,
    "flood": flood,
    "binary": binary,
    "spawn_children": spawn_children,
    "daemonise": daemonise,
    "hold_output": hold_output,
}

if __name__ == "__main__":
    _sleep(*sys.argv[1:])
