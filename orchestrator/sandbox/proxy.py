"""The way out for sandboxed agents: an allow-list proxy on a Unix socket, outside the sandbox.

Speaks CONNECT, and plain HTTP by absolute address for one request a connection. Whatever it does not
understand completely it refuses.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from orchestrator.sandbox.hosts import RefusedError, Target, parse_target, resolve_allowed
from orchestrator.sandbox.profile import Access, Mount

_LOG = logging.getLogger("orchestrator")
MOST_CONNECTIONS = 256
_MOST_HEAD = 32 * 1024
_HEAD_S = 30.0
_CONNECT_S = 30.0
_CHUNK = 64 * 1024
#: Where the forwarder listens inside; the sandbox has a network of its own.
INNER_PORT = 3128
_INNER_SOCKET = Path("/run/orchestrator-proxy.sock")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyDoor:
    """What a sandbox needs so that its processes find the proxy."""

    socket: Path

    @property
    def mounts(self) -> tuple[Mount, ...]:
        return (Mount(_INNER_SOCKET, Access.READ, self.socket),)

    @property
    def variables(self) -> Mapping[str, str]:
        names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
        url = f"http://127.0.0.1:{INNER_PORT}"
        proxies = {spelled: url for name in names for spelled in (name, name.lower())}
        inner = "localhost,127.0.0.1,::1"
        return {**proxies, "NO_PROXY": inner, "no_proxy": inner, "NODE_USE_ENV_PROXY": "1"}

    @property
    def launcher(self) -> tuple[str, ...]:
        forward = str(Path(__file__).with_name("forward.py"))
        return (sys.executable, "-I", "-S", forward, str(INNER_PORT), str(_INNER_SOCKET))


@asynccontextmanager
async def allowing_proxy(
    socket: Path, allowed: frozenset[Target], on_refused: Callable[[str], None] | None = None
) -> AsyncIterator[ProxyDoor]:
    """Serve on `socket`, in a folder of the user's alone, while inside; `on_refused` hears of refusals."""
    gate = _Gate(allowed, on_refused or (lambda reason: _LOG.warning("a connection was refused: %s", reason)))
    server = await asyncio.start_unix_server(gate.serve, socket, limit=_MOST_HEAD)
    try:
        yield ProxyDoor(socket=socket)
    finally:
        server.close()
        await gate.end()


class _Gate:
    def __init__(self, allowed: frozenset[Target], on_refused: Callable[[str], None]) -> None:
        self._allowed = allowed
        self._on_refused = on_refused
        self._serving: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.CancelledError):
            return  # the other side went, or the run ends
        finally:
            self._serving.discard(task)
            writer.transport.abort()

    async def end(self) -> None:
        """Cut every connection."""
        for task in list(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self._check_room()
            target, first = _read_head(await _head(reader))
            onward_reader, onward_writer = await self._connect(target)
        except RefusedError as err:
            self._on_refused(str(err))
            await _answer(writer, "403 Forbidden", f"refused by the sandbox: {err}\n")
            return
        except (OSError, TimeoutError) as err:
            await _answer(writer, "502 Bad Gateway", f"cannot connect: {err}\n")
            return
        try:
            if first:
                onward_writer.write(first)
            else:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await _join(_copy(reader, onward_writer), _copy(onward_reader, writer))
        finally:
            onward_writer.transport.abort()

    def _check_room(self) -> None:
        if len(self._serving) > MOST_CONNECTIONS:
            raise RefusedError("too many connections")

    async def _connect(self, target: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            family, address = await resolve_allowed(target, self._allowed)
        except RefusedError as err:
            raise RefusedError(f"{target}: {err}") from err
        return await asyncio.wait_for(
            asyncio.open_connection(address, target.port, family=family), _CONNECT_S
        )


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _HEAD_S)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError) as err:
        raise RefusedError("no proper request") from err


def _read_head(head: bytes) -> tuple[Target, bytes]:
    """Return the target, and for plain HTTP the request to pass on. Raises RefusedError."""
    try:
        text = head.decode("ascii")
    except UnicodeDecodeError as err:
        raise RefusedError("not a plain request") from err
    line, _, rest = text.partition("\r\n")
    words = line.split(" ")
    if len(words) != 3 or words[2] not in ("HTTP/1.0", "HTTP/1.1"):
        raise RefusedError("not a plain request")
    method, address, _ = words
    if any(char < " " and char not in "\r\n\t" for char in text) or "\n" in rest.replace("\r\n", ""):
        raise RefusedError("control characters in the request")
    if method == "CONNECT":
        return parse_target(address), b""
    return _plain_http(method, address, rest)


def _plain_http(method: str, address: str, headers: str) -> tuple[Target, bytes]:
    """The Host header is ours, and the connection ends with the answer: nothing else can ride along."""
    scheme, separator, beyond = address.partition("://")
    if method not in _METHODS or scheme != "http" or not separator:
        raise RefusedError("neither CONNECT nor plain HTTP")
    host, slash, path = beyond.partition("/")
    target = parse_target(host if ":" in host else f"{host}:80")
    dropped = ("host:", "connection:", "proxy-", "keep-alive:", "upgrade:")
    kept = [line for line in headers.split("\r\n") if line and not line.lower().startswith(dropped)]
    lines = [f"{method} {slash or '/'}{path} HTTP/1.1", f"Host: {host}", "Connection: close", *kept, "", ""]
    return target, "\r\n".join(lines).encode("ascii")


async def _answer(writer: asyncio.StreamWriter, status: str, text: str) -> None:
    body = text.encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n"
    writer.write(f"{head}Connection: close\r\n\r\n".encode() + body)
    with suppress(OSError):
        writer.write_eof()
        await writer.drain()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


async def _join(*copies: Coroutine[None, None, None]) -> None:
    """Both directions to their ends; a fault of one ends the other."""
    tasks = [asyncio.ensure_future(copy) for copy in copies]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
