"""One process tree as the orchestrator sees it: its life line, its streams, its way to the end."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import SpawnError
from orchestrator.model.outcome import ProcessExit
from orchestrator.ports import OnOutput
from orchestrator.sessions import shim
from orchestrator.sessions.ends import Ends
from orchestrator.sessions.output import OutputLog, Tail
from orchestrator.sessions.streams import InputStream, OutputStream
from orchestrator.sessions.terminal import interrupt_foreground

#: Ends the shim by force and then calls back with the pids that outlasted it.
EndShim = Callable[[Callable[[Sequence[int]], None]], None]

_DRAIN_S = 2.0  #: how long output may still come when every process that could write is gone
_INTERRUPT, _TERMINATE, _KILL, _END_SHIM = range(1, 5)  # the rungs of stopping


@dataclass(frozen=True, slots=True, kw_only=True)
class StopGrace:
    """How long a stop waits after each step before it takes the next one."""

    interrupt_s: float = 3.0
    terminate_s: float = 2.0
    kill_s: float = 2.0


class SpawnedProcess:
    """A `ports.Process` under a shim. Belongs to the event loop that made it."""

    def __init__(
        self,
        ends: Ends,
        *,
        program: str,
        log: OutputLog,
        stderr_log: OutputLog | None,
        on_output: OnOutput | None,
        grace: StopGrace,
        end_shim: EndShim,
        on_done: Callable[[SpawnedProcess], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._ends = ends
        self._program = program
        self._log = log
        self._stderr_log = stderr_log
        self._on_output = on_output
        self._grace = grace
        self._end_shim = end_shim
        self._on_done = on_done
        self._pid = 0
        self._last_output = time.monotonic()
        self._tail = Tail()
        self._output_bytes = 0
        self._messages = bytearray()
        self._rung = 0
        self._timer: asyncio.TimerHandle | None = None
        self._exit: dict[str, Any] | None = None
        self._done: asyncio.Future[ProcessExit] = self._loop.create_future()
        self.started: asyncio.Future[None] = self._loop.create_future()  #: fails with SpawnError
        self._input = InputStream(ends.input)
        self._outputs = [OutputStream(ends.output, self._take_output, self._finish_if_complete)]
        if ends.stderr is not None:
            self._outputs.append(OutputStream(ends.stderr, self._take_stderr, self._finish_if_complete))
        self._loop.add_reader(ends.life, self._hear)

    @property
    def pid(self) -> int:
        return self._pid

    @property
    def last_output(self) -> float:
        return self._last_output

    def tail(self) -> bytes:
        return self._tail.last()

    async def write(self, data: bytes) -> None:
        await self._input.write(data)

    async def close_input(self) -> None:
        if self._ends.terminal is None:
            await self._input.finish()

    async def wait(self) -> ProcessExit:
        return await asyncio.shield(self._done)

    async def stop(self, *, now: bool = False) -> ProcessExit:
        """Start, or speed up, the way to the end. It goes on even if the caller is cancelled."""
        self._climb(_KILL if now else _INTERRUPT)
        return await self.wait()

    def _climb(self, rung: int) -> None:
        """Take a step of the stop, and the next one when its time is up."""
        if rung <= self._rung or rung > _END_SHIM or self._exit is not None:
            return
        self._rung = rung
        if rung == _INTERRUPT and self._ends.terminal is not None:
            if self._outputs[0].open:
                interrupt_foreground(self._ends.output)
        elif rung == _END_SHIM:  # it does not answer: stopped by somebody, or stuck
            self._end_shim(self._on_tree_gone)
        else:
            self._command({_INTERRUPT: shim.INTERRUPT, _TERMINATE: shim.TERMINATE, _KILL: shim.KILL}[rung])
        grace = self._grace
        pause = (grace.interrupt_s, grace.terminate_s, grace.kill_s + 1, 0)[rung - 1]
        self._set_timer(pause, self._climb, rung + 1)

    def _command(self, command: bytes) -> None:
        with suppress(BrokenPipeError, ConnectionResetError, BlockingIOError):
            self._ends.life.send(command)

    def _set_timer(self, seconds: float, call: Callable[..., None], *args: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, call, *args)

    def _hear(self) -> None:
        """Read what the shim says on the life line."""
        try:
            data = self._ends.life.recv(4096)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        self._messages += data
        while b"\n" in self._messages:
            line, _, rest = self._messages.partition(b"\n")
            self._messages = rest
            self._take_message(json.loads(line))
        if not data and self._exit is None:
            self._on_shim_lost()

    def _take_message(self, message: Mapping[str, Any]) -> None:
        if "pid" in message:
            self._on_started(message["pid"])
        elif "errno" in message:
            self._fail(_spawn_error(self._program, message["errno"], message["where"]))
        else:
            if message["fault"] is not None:
                self._log.remark(f"the exit file could not be written: {message['fault']}")
            self._on_exit(message["exit"])

    def _on_started(self, pid: int) -> None:
        self._pid = pid
        self._last_output = time.monotonic()
        self._release_held()
        for output in self._outputs:
            output.start()
        if not self.started.done():
            self.started.set_result(None)

    def _release_held(self) -> None:
        for descriptor in self._ends.held:
            os.close(descriptor)
        self._ends.held.clear()

    def _on_shim_lost(self) -> None:
        """The shim was killed. The nursery ends its tree, and only then the process counts as ended."""
        self._loop.remove_reader(self._ends.life)
        if self._pid:
            self._end_shim(self._on_tree_gone)
        else:
            message = f"Cannot start {self._program}: the process that was to start it ended early."
            self._fail(SpawnError(message, hint="Look for a lack of memory or of processes; then try again."))

    def _on_tree_gone(self, survivors: Sequence[int]) -> None:
        if self._exit is None:
            self._on_exit({"exit_code": None, "signal": 9, "survivors": survivors})

    def _fail(self, error: SpawnError) -> None:
        if not self.started.done():
            self.started.set_exception(error)
        self._on_exit({"exit_code": None, "signal": None, "survivors": ()})
        self._give_up_reading()

    def _on_exit(self, exit_: dict[str, Any]) -> None:
        self._exit = exit_
        self._loop.remove_reader(self._ends.life)
        self._ends.life.close()
        self._release_held()
        self._input.close()
        self._set_timer(_DRAIN_S, self._cut_off)
        self._finish_if_complete()

    def _take_output(self, data: bytes) -> None:
        self._count(data)
        self._tail.append(data)
        self._log.write(data)
        if self._on_output is not None:
            self._on_output(data)

    def _take_stderr(self, data: bytes) -> None:
        self._count(data)
        if self._stderr_log is not None:
            self._stderr_log.write(data)

    def _count(self, data: bytes) -> None:
        self._last_output = time.monotonic()
        self._output_bytes += len(data)

    def _cut_off(self) -> None:
        self._log.remark(f"output was still held open {_DRAIN_S:g} s after the end; the rest is not read")
        self._give_up_reading()

    def _give_up_reading(self) -> None:
        for output in self._outputs:
            output.close()
        self._finish_if_complete()

    def _finish_if_complete(self) -> None:
        if self._exit is None or self._done.done() or any(output.open for output in self._outputs):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._done.set_result(
            ProcessExit(
                exit_code=self._exit["exit_code"],
                signal_number=self._exit["signal"],
                survivors=tuple(self._exit["survivors"]),
                output_bytes=self._output_bytes,
            )
        )
        self._on_done(self)


_HINTS = {
    errno.ENOENT: "Check its name, the PATH it is looked up in, and the interpreter its first line names.",
    errno.EACCES: "Make it an executable file (chmod +x), in folders that may be entered.",
    errno.ENOEXEC: "Give it a first line such as #!/bin/sh, or start it through its interpreter.",
    errno.E2BIG: "Arguments and environment are too long; pass the prompt in a file or on standard input.",
    errno.EAGAIN: "The system has no room for more processes; lower max_workers.",
    errno.ENOMEM: "The system has no memory left; lower max_workers.",
}


def _spawn_error(program: str, number: int, where: str) -> SpawnError:
    reason = os.strerror(number)
    if where == "cwd":
        return SpawnError(
            f"Cannot start {program}: its working directory cannot be entered: {reason}.",
            hint="Check that the workspace is still there.",
        )
    return SpawnError(f"Cannot start {program}: {reason}.", hint=_HINTS.get(number))
