"""The orchestrator's connection to one nursery: starting it, sending requests, seeing it off."""

from __future__ import annotations

import array
import asyncio
import json
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from orchestrator.errors import SpawnError
from orchestrator.sessions.nursery import HEADER

OnEnded = Callable[[Sequence[int]], None]

_FAREWELL_S = 10.0  #: the nursery goes within 7 s of its own accord
_PROGRAM = "import sys; sys.path.append(sys.argv[1]); from orchestrator.sessions.nursery import main; main()"


class NurseryLink:
    """Belongs to the event loop that made it."""

    def __init__(self, descriptor_limit: int) -> None:
        """Start the nursery: outside our process group, so that no Ctrl-C reaches it."""
        self._loop = asyncio.get_running_loop()
        self._control, theirs = socket.socketpair()
        self._control.setblocking(False)
        with theirs:
            try:
                self._nursery = _start(theirs.fileno(), descriptor_limit)
            except OSError as err:
                self._control.close()
                message = f"Cannot start {sys.executable}: {err.strerror}."
                raise SpawnError(message, hint="Check the Python that runs orchestrator.") from err
        self._outbox: deque[tuple[memoryview, list[int]]] = deque()
        self._inbox = bytearray()
        self._on_ended: dict[int, list[OnEnded]] = {}
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(self._control, self._receive)

    @property
    def pid(self) -> int:
        return self._nursery.pid

    @property
    def alive(self) -> bool:
        return not self._closed.done()

    def request(self, number: int, body: bytes, descriptors: list[int]) -> None:
        """Send a request; the descriptors are closed here once they are on their way."""
        frame = memoryview(HEADER.pack(len(body), number, len(descriptors)) + body)
        self._outbox.append((frame, descriptors))
        self._flush()

    def end(self, number: int, on_ended: OnEnded) -> None:
        """Kill shim `number` and what is below it; then call back with the pids that outlasted it."""
        if not self.alive:
            on_ended(())
            return
        self._on_ended.setdefault(number, []).append(on_ended)
        self.request(number, b"", [])

    async def aclose(self) -> None:
        """Let the nursery go, and with it whatever it still has; at once, when cancelled."""
        try:
            if self.alive:
                with suppress(OSError):
                    self._control.shutdown(socket.SHUT_WR)
                with suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.shield(self._closed), _FAREWELL_S)
        finally:
            if self.alive:
                self._nursery.kill()
                self._on_closed()
            self._nursery.wait()

    def _flush(self) -> None:
        """Send until the socket is full, and go on when it has room again."""
        self._loop.remove_writer(self._control)
        while self._outbox and self.alive:
            frame, descriptors = self._outbox[0]
            try:
                sent = self._send(frame, descriptors)
            except BlockingIOError:
                self._loop.add_writer(self._control, self._flush)
                return
            except (BrokenPipeError, ConnectionResetError):
                self._on_closed()
                return
            _close(descriptors)
            if sent == len(frame):
                self._outbox.popleft()
            else:
                self._outbox[0] = (frame[sent:], [])
        for _, descriptors in self._outbox:
            _close(descriptors)
        self._outbox.clear()

    def _send(self, frame: memoryview, descriptors: list[int]) -> int:
        if not descriptors:
            return self._control.send(frame)
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))
        return self._control.sendmsg([frame], [rights])

    def _receive(self) -> None:
        try:
            data = self._control.recv(65536)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        if not data:
            self._on_closed()
            return
        self._inbox += data
        while b"\n" in self._inbox:
            line, _, rest = self._inbox.partition(b"\n")
            self._inbox = rest
            message = json.loads(line)
            for on_ended in self._on_ended.pop(message["ended"], ()):
                on_ended(message["survivors"])

    def _on_closed(self) -> None:
        """The nursery is gone. What it had not yet forked never starts: its life line closes here."""
        if not self.alive:
            return
        self._closed.set_result(None)
        self._loop.remove_reader(self._control)
        self._loop.remove_writer(self._control)
        self._control.close()
        self._flush_nothing()
        for waiting in self._on_ended.values():
            for on_ended in waiting:
                on_ended(())
        self._on_ended.clear()

    def _flush_nothing(self) -> None:
        for _, descriptors in self._outbox:
            _close(descriptors)
        self._outbox.clear()


def _start(control: int, descriptor_limit: int) -> subprocess.Popen[bytes]:
    """`-I -S`: nothing of the user's Python set-up runs in it, and it stays small."""
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _PROGRAM, str(root), str(descriptor_limit), str(control)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=[control],
        start_new_session=True,
        cwd="/",
        env=os.environ | {"LD_BIND_NOW": "1"},  # symbols are looked up once, not again in every fork
    )


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
    descriptors.clear()
