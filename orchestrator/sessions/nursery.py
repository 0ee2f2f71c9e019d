"""The nursery: a small process that forks the shims of a run, and cleans up if a shim is killed.

It has a single thread and little memory, so a fork costs well under a millisecond however large the
orchestrator is. It is a subreaper above the shims: the orphans of a shim that was killed fall to it.
It goes when the orchestrator does, after the last shim. Standard library only.

From the orchestrator: frames of HEADER and a body; with descriptors it is a request to start something
(life line first, then the standard streams), without any an order to end the shim of that number.
To the orchestrator: one JSON object a line, `{"ended": number, "survivors": [pids]}`.
"""

from __future__ import annotations

import array
import gc
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import time
from collections import deque
from contextlib import suppress

from orchestrator.sessions.shim import CannotStartError, Shim
from orchestrator.sessions.tree import become_subreaper, descendants, reap, signal_tree

HEADER = struct.Struct("!IIB")  #: length of the body, number of the shim, descriptors that come with it

_ORPHANS_S = 2.0  #: how long orphans are hunted before they are reported as survivors
_SHIMS_S = 5.0  #: how long shims may take to go once the orchestrator has gone
_MOST_DESCRIPTORS = 16


class Nursery:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._buffer = bytearray()
        self._descriptors: deque[int] = deque()
        self._shims: dict[int, int] = {}  # pid -> number
        self._asked: set[int] = set()  # numbers whose end the orchestrator waits for
        self._hunt_until: float | None = None
        self._leave_by: float | None = None
        self._child_ended = False
        self._wake, writing = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(writing, False)
        self._wake_writing = writing
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, self._on_sigchld)
        signal.signal(signal.SIGTERM, self._on_sigterm)
        self._poll = select.poll()
        self._poll.register(self._wake, select.POLLIN)
        self._poll.register(control, select.POLLIN)

    def run(self) -> None:
        """Serve until the orchestrator and every process below are gone."""
        while True:
            for descriptor, _ in self._poll.poll(self._patience()):
                if descriptor == self._wake:
                    os.read(self._wake, 4096)
                else:
                    self._receive()
            if self._child_ended or self._patience() is not None:
                self._child_ended = False
                childless = reap(self._on_reaped)
                if self._leave_by is not None and (childless or self._out_of_time()):
                    return
            if self._leave_by is not None:
                signal_tree(signal.SIGKILL, spare=self._shims)
            elif self._hunt_until is not None:
                self._hunt(self._hunt_until)

    def _patience(self) -> float | None:
        """Milliseconds to wait for something to happen."""
        return 5 if self._hunt_until is not None or self._leave_by is not None else None

    def _on_sigchld(self, *_: object) -> None:
        self._child_ended = True

    def _on_sigterm(self, *_: object) -> None:
        self._close()
        self._signal_shims(signal.SIGTERM)

    def _signal_shims(self, number: int) -> None:
        for pid in self._shims:
            os.kill(pid, number)

    def _receive(self) -> None:
        """Take what came. Descriptors arrive with the first byte of their frame at the latest."""
        space = socket.CMSG_SPACE(_MOST_DESCRIPTORS * array.array("i").itemsize)
        flags = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
        data, ancillary, _, _ = self._control.recvmsg(65536, space, flags)
        for level, kind, payload in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                self._take_descriptors(payload)
        if not data:
            self._close()
            return
        self._buffer += data
        while self._serve_one():
            pass

    def _take_descriptors(self, payload: bytes) -> None:
        received = array.array("i")
        received.frombytes(payload[: len(payload) - len(payload) % received.itemsize])
        for descriptor in received:
            os.set_inheritable(descriptor, False)
            self._descriptors.append(descriptor)

    def _serve_one(self) -> bool:
        if len(self._buffer) < HEADER.size:
            return False
        length, number, count = HEADER.unpack_from(self._buffer)
        if len(self._buffer) < HEADER.size + length:
            return False
        body = bytes(self._buffer[HEADER.size : HEADER.size + length])
        del self._buffer[: HEADER.size + length]
        if count:
            self._start(number, body, [self._descriptors.popleft() for _ in range(count)])
        else:
            self._end(number)
        return True

    def _start(self, number: int, body: bytes, descriptors: list[int]) -> None:
        life = socket.socket(fileno=descriptors[0])
        stdio = descriptors[1:]
        try:
            if not _hung_up(life):
                self._fork(number, Shim(json.loads(body), life, stdio))
        except CannotStartError as err:
            with suppress(BrokenPipeError, ConnectionResetError):
                life.sendall(err.message)
        finally:
            life.close()
            for descriptor in stdio:
                os.close(descriptor)

    def _fork(self, number: int, shim: Shim) -> None:
        """Signals that arrive around the fork may wake the wrong one of the two, which does no harm:
        here their handlers remember them, and a shim only looks around once more.
        """
        signal.set_wakeup_fd(shim.wake_writing, warn_on_full_buffer=False)
        try:
            pid = os.fork()
            if pid == 0:
                self._be(shim)
            self._shims[pid] = number
        except OSError:
            pass  # the life line closes, which tells the orchestrator
        finally:
            signal.set_wakeup_fd(self._wake_writing, warn_on_full_buffer=False)
            shim.release()

    def _be(self, shim: Shim) -> None:
        status = 70
        try:
            for descriptor in (self._wake, self._wake_writing, *self._descriptors):
                os.close(descriptor)
            self._control.close()
            status = shim.run()
        except BaseException:  # noqa: BLE001 - a fork must never return into the nursery's loop
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(status)

    def _on_reaped(self, pid: int, status: int) -> None:
        """A shim that did not end by itself leaves orphans, and they are our children now."""
        if self._shims.pop(pid, None) is not None and status != 0:
            self._hunt_until = time.monotonic() + _ORPHANS_S

    def _end(self, number: int) -> None:
        self._asked.add(number)
        self._hunt_until = time.monotonic() + _ORPHANS_S
        for pid, owner in self._shims.items():
            if owner == number:
                os.kill(pid, signal.SIGKILL)

    def _hunt(self, until: float) -> None:
        """Kill every child that is not a shim, with all that is below it."""
        orphans = [pid for pid, _ in descendants(spare=self._shims)]
        late = time.monotonic() > until
        if orphans and not late:
            signal_tree(signal.SIGKILL, spare=self._shims)
            return
        ended = self._asked.difference(self._shims.values())
        for number in ended:
            self._tell(number, orphans)
        self._asked -= ended
        if late or not self._asked:
            self._hunt_until = None

    def _tell(self, number: int, survivors: list[int]) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):
            self._control.sendall(json.dumps({"ended": number, "survivors": survivors}).encode() + b"\n")

    def _close(self) -> None:
        if self._leave_by is None:
            self._leave_by = time.monotonic() + _SHIMS_S
            self._poll.unregister(self._control)

    def _out_of_time(self) -> bool:
        """First the shims' time is up, then everybody's."""
        overdue = time.monotonic() - (self._leave_by or 0)
        if overdue > 0 and self._shims:
            self._signal_shims(signal.SIGKILL)
        return overdue > _ORPHANS_S


def _hung_up(life: socket.socket) -> bool:
    """Look without taking: a command that is already there is for the shim."""
    try:
        return life.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False


def main() -> None:
    """Serve on a socket; arguments: the soft limit on descriptors that programs get, and its number."""
    soft, control = map(int, sys.argv[-2:])
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    become_subreaper()
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    gc.collect()
    gc.disable()  # a collection would touch, and so copy, the pages that shims share
    gc.freeze()
    Nursery(socket.socket(fileno=control)).run()
