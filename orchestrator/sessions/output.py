"""What a process wrote: a file with a cap, and the last bytes in memory."""

from __future__ import annotations

import os
from pathlib import Path

from orchestrator.secrets import Mask, StreamMask

TAIL_BYTES = 64 * 1024


class Tail:
    """The last bytes of a stream. Uses at most twice `size` bytes of memory."""

    def __init__(self, size: int = TAIL_BYTES) -> None:
        self._size = size
        self._kept = bytearray()

    def append(self, data: bytes) -> None:
        self._kept += data[-self._size :]
        if len(self._kept) > 2 * self._size:
            del self._kept[: -self._size]

    def last(self) -> bytes:
        return bytes(self._kept[-self._size :])


class OutputLog:
    """An append-only file of bytes that keeps the first `limit` of them, and at its close the last ones.

    With a mask no secret reaches it; a word, or a line that speaks of one, is then written once it is whole.

    Several processes may write to one log in turn; whoever made the log closes it. When the file cannot
    be written, `error` says why and bytes are only counted: neither the run nor the process is held up.
    Once it can be written again, a line says how many are missing there.
    """

    def __init__(self, path: Path, limit: int, mask: Mask | None = None) -> None:
        self.path = path
        self.limit = limit
        self.bytes_seen = 0
        self.error: OSError | None = None
        self._missing = 0
        self._tail = Tail()
        self._mask = StreamMask(mask) if mask else None
        self._descriptor: int | None = None
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as err:
            self.error = err

    def write(self, data: bytes) -> None:
        self._keep(self._mask.feed(data) if self._mask else data)

    def _keep(self, data: bytes) -> None:
        room = max(0, self.limit - self.bytes_seen)
        self.bytes_seen += len(data)
        if room:
            self._put(data[:room])
        if len(data) > room:
            self._tail.append(data[room:])

    def remark(self, text: str) -> None:
        """Add a line of our own, which no cap holds back."""
        self._keep_held()
        self._put(f"\n[orchestrator: {text}]\n".encode())

    def close(self) -> None:
        """Write what mask and cap held back, as far as it was kept. May be called again."""
        self._keep_held()
        self._put(b"")
        beyond = self.bytes_seen - self.limit
        if beyond > 0 and self._descriptor is not None:
            last = self._tail.last()
            self.remark(
                f"output beyond {self.limit} bytes is not kept here; "
                f"{beyond - len(last)} bytes left out, the last {len(last)} follow"
            )
            self._put(last)
        self._release()

    def _keep_held(self) -> None:
        if self._mask:
            self._keep(self._mask.rest())

    def _put(self, data: bytes) -> None:
        gap = self._gap() if self._missing else b""
        if self._written(gap) == len(gap):
            self._missing = 0
        self._missing += len(data) - (0 if self._missing else self._written(data))

    def _gap(self) -> bytes:
        why = self.error.strerror if self.error else "?"
        return f"\n[orchestrator: {self._missing} bytes are missing here: {why}]\n".encode()

    def _written(self, data: bytes) -> int:
        """Write what can be written; return how much that was."""
        view, done = memoryview(data), 0
        try:
            while done < len(data) and self._descriptor is not None:
                done += os.write(self._descriptor, view[done:])
        except OSError as err:
            self.error = err
        return done

    def _release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
