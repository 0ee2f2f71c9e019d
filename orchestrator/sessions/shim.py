"""The shim: one small process per attempt that starts the program, watches it and ends its whole tree.

It is forked by the nursery and holds one end of a socket pair, its life line. The other end is the
orchestrator's alone: when that closes, for whatever reason, the shim ends everything below it.
Whatever can be prepared is prepared before the fork, because every page touched after it must be copied.
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
import select
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from orchestrator.sessions.tree import become_subreaper, end_tree, reap, signal_tree

INTERRUPT, TERMINATE, KILL = b"I", b"T", b"K"

_DEFAULTED = tuple(map(int, signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}))
_SIGTERM = int(signal.SIGTERM)


class CannotStartError(Exception):
    """The program, or its working directory, is not to be had."""

    def __init__(self, number: int, where: str) -> None:
        super().__init__(number, where)
        self.message = b'{"errno": %d, "where": "%s"}\n' % (number, where.encode())


class Shim:
    """Made in the nursery; `run` belongs to the fork, `release` to the nursery."""

    def __init__(self, request: Mapping[str, Any], life: socket.socket, stdio: Sequence[int]) -> None:
        """Raises CannotStartError."""
        self._argv = [_bytes(argument) for argument in request["argv"]]
        self._env = {_bytes(name): _bytes(value) for name, value in request["env"].items()}
        self._cwd = _bytes(request["cwd"])
        self._program = _find(self._argv[0], self._env.get(b"PATH", os.defpath.encode()), self._cwd)
        self._file_actions = _standard_streams(request["terminal"], stdio)
        self._exit_file: str | None = request["exit_file"]
        self._kill_s: float = request["kill_s"]
        self._life = life
        self._stdio = stdio
        self._pid = 0
        self._status: int | None = None
        self._ordered_to_kill = False
        self._orchestrator_gone = False
        self._wake, self.wake_writing = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(self.wake_writing, False)
        self._poll = select.poll()
        self._poll.register(self._wake, select.POLLIN)
        self._poll.register(life, select.POLLIN)

    def release(self) -> None:
        """Let go of the descriptors that are the fork's now."""
        os.close(self._wake)
        os.close(self.wake_writing)

    def run(self) -> int:
        """Carry the process from its start to the end of its tree; return the shim's own exit status."""
        become_subreaper()
        try:
            self._start()
        except CannotStartError as err:
            self._tell(err.message)
            return 0
        for descriptor in self._stdio:
            os.close(descriptor)
        os.chdir("/")  # the workspace must be free to be removed or unmounted
        self._tell(b'{"pid": %d}\n' % self._pid)
        self._watch()
        self._poll.unregister(self._life)
        survivors = end_tree(self._pause, self._on_reaped, within_s=self._kill_s, group=self._pid)
        self._report(survivors)
        return 1 if survivors else 0

    def _start(self) -> None:
        try:
            os.chdir(self._cwd)
        except OSError as err:
            raise CannotStartError(err.errno or 0, "cwd") from err
        try:
            self._pid = os.posix_spawn(
                self._program,
                self._argv,
                self._env,
                file_actions=self._file_actions,
                setsid=True,
                setsigmask=(),
                setsigdef=_DEFAULTED,
            )
        except OSError as err:
            raise CannotStartError(err.errno or 0, "program") from err

    def _watch(self) -> None:
        """Return when the program has ended, or its tree is to be killed."""
        while self._status is None and not self._ordered_to_kill:
            for descriptor, _ in self._poll.poll():
                if descriptor == self._wake:
                    self._hear_signals()
                else:
                    self._obey()
            reap(self._on_reaped)

    def _hear_signals(self) -> None:
        if _SIGTERM in os.read(self._wake, 512):
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
        code = -9 if self._status is None else os.waitstatus_to_exitcode(self._status)
        exit_code, number = (b"%d" % code, b"null") if code >= 0 else (b"null", b"%d" % -code)
        exit_ = b'{"pid": %d, "exit_code": %s, "signal": %s, "finished_at": %.6f, "survivors": %s}' % (
            self._pid,
            exit_code,
            number,
            time.time(),
            str(survivors).encode(),
        )
        fault = self._leave_exit_file(exit_)
        if self._orchestrator_gone:
            return
        if not self._tell(b'{"exit": %s, "fault": %s}\n' % (exit_, fault)):
            self._orchestrator_gone = True
            self._leave_exit_file(exit_)

    def _leave_exit_file(self, exit_: bytes) -> bytes:
        """Write it durably only if the orchestrator is gone, whose journal otherwise keeps the result."""
        if self._exit_file is not None:
            try:
                _write_whole(_bytes(self._exit_file), exit_, durable=self._orchestrator_gone)
            except OSError as err:
                return json.dumps(str(err)).encode()
        return b"null"

    def _tell(self, message: bytes) -> bool:
        try:
            self._life.sendall(message)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True


def _bytes(text: str) -> bytes:
    """Bytes travel through JSON as Latin-1, which keeps every one of them whatever the locale."""
    return text.encode("latin-1")


def _standard_streams(terminal: str | None, stdio: Sequence[int]) -> list[tuple[Any, ...]]:
    if terminal is None:
        return [(os.POSIX_SPAWN_DUP2, descriptor, number) for number, descriptor in enumerate(stdio)]
    # Opened by name after setsid, so that it becomes the controlling terminal.
    return [
        (os.POSIX_SPAWN_OPEN, 0, terminal, os.O_RDWR, 0),
        (os.POSIX_SPAWN_DUP2, 0, 1),
        (os.POSIX_SPAWN_DUP2, 0, 2),
    ]


def _find(program: bytes, path: bytes, cwd: bytes) -> bytes:
    """Look a program up as execvp does, in the PATH of the environment it will have."""
    if b"/" in program:
        return program
    refused = False
    for folder in path.split(b":"):
        candidate = os.path.join(cwd, folder, program)
        if os.path.isfile(candidate):
            if os.access(candidate, os.X_OK):
                return candidate
            refused = True
    raise CannotStartError(errno.EACCES if refused else errno.ENOENT, "program")


def _write_whole(path: bytes, data: bytes, *, durable: bool) -> None:
    draft = b"%s.%d.tmp" % (path, os.getpid())
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        while data:  # on a disk that is nearly full a write takes a part and says nothing
            data = data[os.write(descriptor, data) :]
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(draft, path)
    if durable:
        folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
