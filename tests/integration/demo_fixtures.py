"""A small session over real processes and ptys, to drive agent adapters without the engine."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.errors import SpawnError
from orchestrator.model.event import EventKind
from orchestrator.model.outcome import ProcessExit
from orchestrator.model.request import Decision, Level, PermissionRequest, Verdict
from orchestrator.model.task import Task
from orchestrator.ports import OnOutput
from orchestrator.sessions.terminal import open_terminal

#: Hermetic, and enough for git and Python.
ENV = {
    "PATH": os.environ["PATH"],
    "LANG": "C.UTF-8",
    "TERM": "xterm-256color",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}


def allow_all(_: PermissionRequest) -> Verdict:
    """Say yes to everything."""
    return Verdict.ALLOW


class SmallProcess:
    """A process with its output read by the loop; ended by SIGKILL of its group."""

    def __init__(self, argv: Sequence[str], cwd: Path, env: Mapping[str, str], *, terminal: bool) -> None:
        self.output = bytearray()
        self.last_output = time.monotonic()
        self._heard: OnOutput | None = None
        if terminal:
            self._read, slave, _ = open_terminal()
            stdio: dict[str, Any] = {"stdin": slave, "stdout": slave, "stderr": slave}
        else:
            self._read, slave = os.pipe()
            stdio = {"stdin": subprocess.PIPE, "stdout": slave, "stderr": slave}
        try:
            self._popen = subprocess.Popen(argv, cwd=cwd, env=env, start_new_session=True, **stdio)
        except OSError as err:
            os.close(self._read)
            raise SpawnError(f"`{argv[0]}` cannot be started: {err}") from err
        finally:
            os.close(slave)
        self._write = self._read if terminal else self._popen.stdin.fileno()  # type: ignore[union-attr]
        self._terminal = terminal
        self._drained = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(self._read, self._on_readable)

    def listen(self, heard: OnOutput | None) -> None:
        self._heard = heard

    def _on_readable(self) -> None:
        try:
            chunk = os.read(self._read, 65536)
        except OSError:  # a terminal whose other side is closed
            chunk = b""
        if chunk:
            self.last_output = time.monotonic()
            self.output += chunk
            if self._heard:
                self._heard(chunk)
            return
        asyncio.get_running_loop().remove_reader(self._read)
        self._drained.set_result(None)

    @property
    def pid(self) -> int:
        return self._popen.pid

    def tail(self) -> bytes:
        return bytes(self.output[-65536:])

    async def write(self, data: bytes) -> None:
        try:
            if len(data) < 512:
                os.write(self._write, data)
            else:
                await asyncio.to_thread(_write_all, self._write, data)
        except OSError:
            return

    async def close_input(self) -> None:
        if self._popen.stdin:
            self._popen.stdin.close()

    async def wait(self) -> ProcessExit:
        await asyncio.shield(self._drained)
        code = self._popen.wait()
        if self._popen.stdin:
            self._popen.stdin.close()
        if self._read >= 0:
            os.close(self._read)
            self._read = -1
        return ProcessExit(
            exit_code=code if code >= 0 else None,
            signal_number=-code if code < 0 else None,
            output_bytes=len(self.output),
        )

    async def stop(self, *, now: bool = False) -> ProcessExit:
        del now
        os.killpg(self.pid, signal.SIGKILL)
        return await self.wait()


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


@dataclass
class SmallSession:
    """A session whose judge is a function; keeps what was emitted and asked."""

    task: Task
    workspace: Path
    prompt_file: Path
    judge: Callable[[PermissionRequest], Verdict] = allow_all
    env: Mapping[str, str] = field(default_factory=lambda: dict(ENV))
    emitted: list[tuple[EventKind, dict[str, Any]]] = field(default_factory=list)
    asked: list[PermissionRequest] = field(default_factory=list)
    process: SmallProcess | None = None

    def emit(self, kind: EventKind, **data: Any) -> None:
        self.emitted.append((kind, data))

    async def decide(self, request: PermissionRequest) -> Decision:
        self.asked.append(request)
        verdict = self.judge(request)
        return Decision(verdict=verdict, level=Level.SAFE, rule="test", reason="the test says so")

    async def spawn(
        self,
        argv: Sequence[str],
        *,
        terminal: bool = False,
        env: Mapping[str, str] | None = None,
        on_output: OnOutput | None = None,
    ) -> SmallProcess:
        self.process = SmallProcess(argv, self.workspace, {**self.env, **(env or {})}, terminal=terminal)
        self.process.listen(on_output)
        return self.process


def session(tmp_path: Path, prompt: str = "", **values: Any) -> SmallSession:
    """A session in a fresh workspace, for a task with this prompt; `judge` and task fields as wanted."""
    judge = values.pop("judge", allow_all)
    workspace = tmp_path / "workspace"
    workspace.mkdir(exist_ok=True)
    prompt_file = tmp_path / "prompt.md"
    prompt_file.write_text(prompt, encoding="utf-8")
    task = Task(id="worker_01", name="a task", prompt=prompt, **values)
    return SmallSession(task=task, workspace=workspace, prompt_file=prompt_file, judge=judge)
