"""The orchestrator's ends of a process's streams: non-blocking descriptors in the event loop."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable

_READ_BYTES = 64 * 1024


class OutputStream:
    """Reads a pipe or terminal to its end, one read per turn of the loop so that none starves another."""

    def __init__(
        self, descriptor: int, on_bytes: Callable[[bytes], None], on_end: Callable[[], None]
    ) -> None:
        self._descriptor = descriptor
        self._on_bytes = on_bytes
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self.open = True
        os.set_blocking(descriptor, False)

    def start(self) -> None:
        self._loop.add_reader(self._descriptor, self._read)

    def close(self) -> None:
        """Stop reading, whether or not the end was reached."""
        if self.open:
            self.open = False
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)

    def _read(self) -> None:
        try:
            data = os.read(self._descriptor, _READ_BYTES)
        except BlockingIOError:
            return
        except OSError as err:
            if err.errno != errno.EIO:  # how a terminal says that its last user is gone
                raise
            data = b""
        if data:
            self._on_bytes(data)
        else:
            self.close()
            self._on_end()


class InputStream:
    """Writes to a pipe or terminal as fast as the process reads. A reader that is gone is not an error."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._loop = asyncio.get_running_loop()
        self._turn = asyncio.Lock()
        self._writable: asyncio.Future[None] | None = None
        self.open = True
        os.set_blocking(descriptor, False)

    async def write(self, data: bytes) -> None:
        """Return when all is written, or nobody is left to read it."""
        async with self._turn:
            view = memoryview(data)
            while view and self.open:
                try:
                    view = view[os.write(self._descriptor, view) :]
                except BlockingIOError:
                    await self._until_writable()
                except OSError as err:
                    if err.errno not in (errno.EPIPE, errno.EIO):
                        raise
                    return

    async def finish(self) -> None:
        """End the stream after what is still being written."""
        async with self._turn:
            self.close()

    def close(self) -> None:
        """Let go at once; a write that waits returns."""
        if self.open:
            self.open = False
            self._loop.remove_writer(self._descriptor)
            os.close(self._descriptor)
            self._wake()

    async def _until_writable(self) -> None:
        self._writable = self._loop.create_future()
        self._loop.add_writer(self._descriptor, self._wake)
        try:
            await self._writable
        finally:
            if self.open:
                self._loop.remove_writer(self._descriptor)

    def _wake(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
