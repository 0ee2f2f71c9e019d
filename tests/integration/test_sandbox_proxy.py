"""The way out of a sandbox: only to what is listed, through a real proxy, from inside a real sandbox."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from orchestrator.sandbox.hosts import parse_hosts
from orchestrator.sandbox.proxy import ProxyDoor, allowing_proxy
from tests.integration.sandbox_fixtures import Cell, needs_bubblewrap

#: With PORT for the test server's, which listens on loopback. Only 127.0.0.1:PORT is on the list as an
#: address; `localhost` is on it as a name, and a name must not lead inside.
HOSTILE = [
    b"CONNECT 127.0.0.1:1 HTTP/1.1\r\n\r\n",
    b"CONNECT 127.0.0.2:PORT HTTP/1.1\r\n\r\n",
    b"CONNECT localhost:PORT HTTP/1.1\r\n\r\n",
    b"CONNECT LOCALHOST:PORT HTTP/1.1\r\n\r\n",
    b"CONNECT localhost.:PORT HTTP/1.1\r\n\r\n",
    b"CONNECT 127.0.0.1.:PORT HTTP/1.1\r\n\r\n",
    b"CONNECT 127.1:PORT HTTP/1.1\r\n\r\n",
    b"CONNECT 2130706433:PORT HTTP/1.1\r\n\r\n",
    b"CONNECT 0x7f000001:PORT HTTP/1.1\r\n\r\n",
    b"CONNECT 0177.0.0.1:PORT HTTP/1.1\r\n\r\n",
    b"CONNECT 0.0.0.0:PORT HTTP/1.1\r\n\r\n",
    b"CONNECT [::1]:PORT HTTP/1.1\r\n\r\n",
    b"CONNECT [::ffff:127.0.0.1]:PORT HTTP/1.1\r\n\r\n",
    b"CONNECT 169.254.169.254:80 HTTP/1.1\r\n\r\n",
    b"CONNECT evil.org\0.127.0.0.1:PORT HTTP/1.1\r\n\r\n",
    b"CONNECT 127.0.0.1\0:PORT HTTP/1.1\r\n\r\n",
    b"CONNECT 127.0.0.1:PORT@evil.org:443 HTTP/1.1\r\n\r\n",
    b"CONNECT user@127.0.0.1:PORT HTTP/1.1\r\n\r\n",
    b"CONNECT 127.0.0.1:PORT.evil.org:443 HTTP/1.1\r\n\r\n",
    b"CONNECT 127.0.0.1:PORT, HTTP/1.1\r\n\r\n",
    b"CONNECT  127.0.0.1:PORT HTTP/1.1\r\n\r\n",
    b"CONNECT\t127.0.0.1:PORT\tHTTP/1.1\r\n\r\n",
    b"CONNECT 127.0.0.1:PORT HTTP/2\r\n\r\n",
    b"CONNECT 127.0.0.1 HTTP/1.1\r\n\r\n",
    b"CONNECT 127.0.0.1:+PORT HTTP/1.1\r\n\r\n",
    b"CONNECT \xe2\x91\xa027.0.0.1:PORT HTTP/1.1\r\n\r\n",
    b"GET http://localhost:PORT/ HTTP/1.1\r\n\r\n",
    b"GET http://u:p@127.0.0.1:PORT/ HTTP/1.1\r\n\r\n",
    b"GET ftp://127.0.0.1:PORT/ HTTP/1.1\r\n\r\n",
    b"GET https://127.0.0.1:PORT/ HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\n\r\n",
    b"GET http://127.0.0.1:PORT/ HTTP/1.1\r\nX: \0\r\n\r\n",
    b"GET http://127.0.0.1:PORT/ HTTP/1.1\nX: 1\r\n\r\n",
    b"TRACE http://127.0.0.1:PORT/ HTTP/1.1\r\n\r\n",
    b"\x05\x01\x00",
    b"CONNECT 127.0.0.1:PORT HTTP/1.1\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
]


class Scene:
    """A proxy, and a server on loopback that counts its callers and says hello."""

    def __init__(self) -> None:
        self.callers = 0
        self.refused: list[str] = []
        self.port = 0
        self.door = ProxyDoor(socket=Path())

    async def greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.callers += 1
        said = await reader.readline()
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n" if b"HTTP" in said else b"echo " + said
        )
        await writer.drain()
        writer.close()

    async def ask(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_unix_connection(self.door.socket)
        try:
            writer.write(request.replace(b"PORT", str(self.port).encode()))
            if request[:1] == b"\x05":
                writer.write_eof()
            return await asyncio.wait_for(reader.read(65536), 20)
        finally:
            writer.close()


@asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    made = Scene()
    server = await asyncio.start_server(made.greet, "127.0.0.1", 0)
    async with server:
        made.port = server.sockets[0].getsockname()[1]
        allowed = parse_hosts([f"127.0.0.1:{made.port}", f"localhost:{made.port}"])
        async with allowing_proxy(folder / "p.sock", allowed, made.refused.append) as made.door:
            yield made


def in_scene(folder: Path, use: Callable[[Scene], Awaitable[None]]) -> None:
    async def main() -> None:
        async with scene(folder) as made:
            await use(made)

    asyncio.run(main())


def test_hostile_targets_lead_to_no_connection(tmp_path: Path) -> None:
    async def use(made: Scene) -> None:
        for number, request in enumerate(HOSTILE, 1):
            answer = await made.ask(request)
            assert answer.startswith(b"HTTP/1.1 403 "), (request[:80], answer)
            assert len(made.refused) == number
        assert made.callers == 0

    in_scene(tmp_path, use)


def test_a_listed_target_is_reached(tmp_path: Path) -> None:
    async def use(made: Scene) -> None:
        answer = await made.ask(b"CONNECT 127.0.0.1:PORT HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 ")
        answer = await made.ask(b"GET http://127.0.0.1:PORT/a HTTP/1.1\r\nHost: evil.org\r\n\r\n")
        assert answer.endswith(b"hello\n")
        assert (made.callers, made.refused) == (2, [])

    in_scene(tmp_path, use)


INSIDE = """
import os, socket, sys, urllib.request
port = sys.argv[1]
def through(target):
    with socket.create_connection(("127.0.0.1", 3128), 10) as proxy:
        proxy.sendall(f"CONNECT {target} HTTP/1.1\\r\\n\\r\\n".encode())
        head = proxy.recv(4096)
        if b" 200 " not in head:
            return head.split(b"\\r\\n")[0]
        proxy.sendall(b"hi\\n")
        return proxy.makefile("rb").readline()
print(through("127.0.0.1:" + port), through("localhost:" + port))
del os.environ["no_proxy"], os.environ["NO_PROXY"]
print(urllib.request.urlopen(f"http://127.0.0.1:{port}/").read())
try:
    socket.create_connection(("127.0.0.1", int(port)), 5)
except OSError as err:
    print("direct:", err)
print(sorted(name for name in os.environ if name.endswith("PROXY")))
try:
    os.wait()
except ChildProcessError:
    print("no child")
"""


@needs_bubblewrap
def test_from_inside_the_list_is_all_there_is(tmp_path: Path) -> None:
    async def use(made: Scene) -> None:
        cell = Cell(tmp_path / "cell", door=made.door)
        done = await asyncio.to_thread(
            subprocess.run,
            cell.python(INSIDE, str(made.port)),
            cwd=cell.workspace,
            env=cell.env,
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert done.stdout.splitlines() == [
            "b'echo hi\\n' b'HTTP/1.1 403 Forbidden'",
            "b'hello\\n'",
            "direct: [Errno 111] Connection refused",
            "['ALL_PROXY', 'HTTPS_PROXY', 'HTTP_PROXY', 'NODE_USE_ENV_PROXY']",
            "no child",
        ], done.stderr
        assert made.callers == 2

    (tmp_path / "s").mkdir()
    in_scene(tmp_path / "s", use)


@needs_bubblewrap
@pytest.mark.parametrize(("argv", "status"), [(["sh", "-c", "exit 7"], 7), (["sh", "-c", "kill -9 $$"], 137)])
def test_the_forwarder_does_not_outlast_the_agent(tmp_path: Path, argv: list[str], status: int) -> None:
    async def use(made: Scene) -> None:
        cell = Cell(tmp_path / "cell", door=made.door)
        done = await asyncio.to_thread(
            subprocess.run, cell.wrap(argv), cwd=cell.workspace, env=cell.env, timeout=30
        )
        assert done.returncode == status

    (tmp_path / "s").mkdir()
    in_scene(tmp_path / "s", use)
