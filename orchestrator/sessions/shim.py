"""The shim: one small process per attempt that starts the program, watches it and ends its whole tree.

It is forked by the nursery and holds one end of a socket pair, its life line. The other end is the
orchestrator's alone: when that closes, for whatever reason, the shim ends everything below it.
Standard library only.

On the life line, from the orchestrator: one byte per command, see INTERRUPT, TERMINATE, KILL.
To the orchestrator: one JSON object a line, `{"pid"}` or `{"errno", "where"}`, and at the end `{"exit"}`.
"""

# pathlib, with all that it imports, would make every fork dearer.
# ruff: noqa: PTH105, PTH113, PTH118, PTH120

from __future__ import annotations

import errno
import json
import os
import resource
import select
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from orchestrator.sessions.tree import become_subreaper, end_tree, reap, signal_tree

INTERRUPT, TERMINATE, KILL = b"I", b"T", b"K"

_DEFAULTED = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}


def run(request: Mapping[str, Any], life: socket.socket, stdio: Sequence[int]) -> int:
    """Carry one process from its start to the end of its tree; return the shim's own exit status."""
    become_subreaper()
    wake = _wake_on_signals()
    if _orchestrator_gone(life):
        return 0
    try:
        pid = _start(request, stdio)
    except _StartError as err:
        _tell(life, {"errno": err.number, "where": err.where})
        return 0
    for descriptor in stdio:
        os.close(descriptor)
    os.chdir("/")  # the workspace must be free to be removed or unmounted
    _tell(life, {"pid": pid})
    return _Watch(request, life, wake, pid).until_the_end()


class _Watch:
    """What the shim knows about its one process."""

    def __init__(self, request: Mapping[str, Any], life: socket.socket, wake: int, pid: int) -> None:
        self._request = request
        self._life = life
        self._wake = wake
        self._pid = pid
        self._status: int | None = None
        self._ordered_to_kill = False
        self._orchestrator_gone = False
        self._poll = select.poll()
        self._poll.register(wake, select.POLLIN)

    def until_the_end(self) -> int:
        self._poll.register(self._life, select.POLLIN)
        while self._status is None and not self._ordered_to_kill:
            for descriptor, _ in self._poll.poll():
                if descriptor == self._wake:
                    self._hear_signals()
                else:
                    self._obey()
            reap(self._on_reaped)
        self._poll.unregister(self._life)
        survivors = end_tree(self._pause, self._on_reaped, within_s=self._request["kill_s"], group=self._pid)
        self._report(survivors)
        return 1 if survivors else 0

    def _hear_signals(self) -> None:
        if signal.SIGTERM in os.read(self._wake, 512):
            self._ordered_to_kill = True

    def _obey(self) -> None:
        try:
            commands = self._life.recv(64)
        except ConnectionResetError:
            commands = b""
        if not commands:
            self._orchestrator_gone = True
        if KILL in commands or not commands:
            self._ordered_to_kill = True
        elif TERMINATE in commands:
            signal_tree(signal.SIGTERM, group=self._pid)
            signal_tree(signal.SIGCONT, group=self._pid)  # a stopped process hears nothing
        elif INTERRUPT in commands:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._pid, signal.SIGINT)

    def _on_reaped(self, pid: int, status: int) -> None:
        if pid == self._pid:
            self._status = status

    def _pause(self, seconds: float) -> None:
        if self._poll.poll(seconds * 1000):
            self._hear_signals()

    def _report(self, survivors: list[int]) -> None:
        """Leave the exit file first: once the orchestrator has the message it may look for the file."""
        code = signal.SIGKILL * -1 if self._status is None else os.waitstatus_to_exitcode(self._status)
        exit_ = {
            "pid": self._pid,
            "exit_code": code if code >= 0 else None,
            "signal": -code if code < 0 else None,
            "finished_at": time.time(),
            "survivors": survivors,
        }
        fault = self._leave_exit_file(exit_)
        if not self._orchestrator_gone and not _tell(self._life, {"exit": exit_, "fault": fault}):
            self._orchestrator_gone = True
            self._leave_exit_file(exit_)

    def _leave_exit_file(self, exit_: Mapping[str, Any]) -> str | None:
        """Write it durably only if the orchestrator is gone, whose journal otherwise keeps the result."""
        path = self._request["exit_file"]
        if path is None:
            return None
        try:
            _write_whole(path, json.dumps(exit_).encode(), durable=self._orchestrator_gone)
        except OSError as err:
            return f"{path}: {err.strerror}"
        return None


class _StartError(Exception):
    def __init__(self, number: int, where: str) -> None:
        super().__init__(number, where)
        self.number = number
        self.where = where


def _start(request: Mapping[str, Any], stdio: Sequence[int]) -> int:
    argv = [_bytes(argument) for argument in request["argv"]]
    env = {_bytes(name): _bytes(value) for name, value in request["env"].items()}
    try:
        os.chdir(_bytes(request["cwd"]))
    except OSError as err:
        raise _StartError(err.errno or 0, "cwd") from err
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (request["descriptors"], hard))
    try:
        return os.posix_spawn(
            _find(argv[0], env.get(b"PATH", os.defpath.encode())),
            argv,
            env,
            file_actions=_standard_streams(request["terminal"], stdio),
            setsid=True,
            setsigmask=(),
            setsigdef=_DEFAULTED,
        )
    except OSError as err:
        raise _StartError(err.errno or 0, "program") from err


def _bytes(text: str) -> bytes:
    """Bytes travel through JSON as Latin-1, which keeps every one of them whatever the locale."""
    return text.encode("latin-1")


def _standard_streams(terminal: str | None, stdio: Sequence[int]) -> list[tuple[Any, ...]]:
    if terminal is None:
        source, out, err = stdio
        return [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate((source, out, err))]
    # Opened by name after setsid, so that it becomes the controlling terminal.
    return [
        (os.POSIX_SPAWN_OPEN, 0, terminal, os.O_RDWR, 0),
        (os.POSIX_SPAWN_DUP2, 0, 1),
        (os.POSIX_SPAWN_DUP2, 0, 2),
    ]


def _find(program: bytes, path: bytes) -> bytes:
    """Look a program up as execvp does, in the PATH of the environment it will have."""
    if b"/" in program:
        return program
    refused = False
    for folder in path.split(b":"):
        candidate = os.path.join(folder or b".", program)
        if os.path.isfile(candidate):
            if os.access(candidate, os.X_OK):
                return candidate
            refused = True
    raise _StartError(errno.EACCES if refused else errno.ENOENT, "program")


def _wake_on_signals() -> int:
    """Return a descriptor that receives the number of every signal that the shim listens to."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    return reading


def _orchestrator_gone(life: socket.socket) -> bool:
    """Look without taking: a command that is already there is for later."""
    try:
        return life.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False


def _tell(life: socket.socket, message: Mapping[str, Any]) -> bool:
    try:
        life.sendall(json.dumps(message).encode() + b"\n")
    except (BrokenPipeError, ConnectionResetError):
        return False
    return True


def _write_whole(path: str, data: bytes, *, durable: bool) -> None:
    draft = f"{path}.{os.getpid()}.tmp"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, data)
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(draft, path)
    if durable:
        folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
