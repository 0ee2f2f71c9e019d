"""The terminals an ACP agent has: commands that we start for it, inside the attempt's own confinement."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Mapping
from itertools import count
from typing import Any

from orchestrator.agents.acp_rpc import INVALID_PARAMS, NOT_FOUND, RpcError
from orchestrator.errors import SpawnError
from orchestrator.model.outcome import ProcessExit
from orchestrator.ports import Process, Session

#: Output that is kept of one terminal, whatever the agent asks for.
_KEPT = 1024 * 1024
#: Goes to the folder, then becomes a shell with exactly the line that was judged.
_START = 'cd -- "$1" && exec /bin/sh -c "$2"'


def command_line(params: Mapping[str, Any]) -> str:
    """Return the shell line that `terminal/create` asks for. Raises RpcError.

    Without arguments the command is a shell line already; variables become part of what is judged.
    """
    command, args, env = params.get("command"), params.get("args") or [], params.get("env") or []
    if not isinstance(command, str) or not command.strip() or "\0" in command:
        raise RpcError(INVALID_PARAMS, "terminal/create names no command")
    if not isinstance(args, list) or not all(isinstance(arg, str) and "\0" not in arg for arg in args):
        raise RpcError(INVALID_PARAMS, "the arguments of a command are strings")
    line = shlex.join([command, *args]) if args else command
    assignments = " ".join(_assignment(variable) for variable in env)
    if not assignments:
        return line
    return f"{assignments} {line if args else shlex.join(['sh', '-c', line])}"


def _assignment(variable: object) -> str:
    if isinstance(variable, Mapping):
        name, value = variable.get("name"), variable.get("value")
        if isinstance(name, str) and isinstance(value, str) and name.isidentifier() and "\0" not in value:
            return f"{name}={shlex.quote(value)}"
    raise RpcError(INVALID_PARAMS, "a variable of a command has a name and a value")


class Terminals:
    """The terminals of one attempt, by the ids that we gave them."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._ids = count(1)
        self._terminals: dict[str, _Terminal] = {}

    async def create(self, line: str, folder: str, byte_limit: object) -> str:
        """Start a line that was allowed; return the terminal's id. Raises RpcError."""
        limit = byte_limit if isinstance(byte_limit, int) and 0 <= byte_limit < _KEPT else _KEPT
        terminal = _Terminal(limit)
        argv = ["/bin/sh", "-c", _START, "sh", folder, line]
        try:
            terminal.process = await self._session.spawn(argv, on_output=terminal.receive)
        except SpawnError as err:
            raise RpcError(INVALID_PARAMS, err.message) from err
        await terminal.process.close_input()
        terminal.ended = asyncio.ensure_future(terminal.process.wait())
        terminal_id = f"terminal-{next(self._ids)}"
        self._terminals[terminal_id] = terminal
        return terminal_id

    async def output(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the command has written so far, and how it ended if it did."""
        terminal = self._find(params)
        answer: dict[str, Any] = {"output": terminal.text(), "truncated": terminal.truncated}
        if terminal.ended.done():
            answer["exitStatus"] = _status(terminal.ended.result())
        return answer

    async def wait(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return how the command ended, once it did."""
        return _status(await asyncio.shield(self._find(params).ended))

    async def kill(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Stop the command; its terminal stays."""
        terminal = self._find(params)
        if not terminal.ended.done():
            await terminal.process.stop()
        return {}

    async def release(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Stop the command and forget its terminal."""
        await self.kill(params)
        self._terminals.pop(params["terminalId"], None)
        return {}

    def close(self) -> None:
        """Wait for nothing any more; the caller of the adapter stops what is left running."""
        for terminal in self._terminals.values():
            terminal.ended.cancel()

    def _find(self, params: Mapping[str, Any]) -> _Terminal:
        terminal_id = params.get("terminalId")
        terminal = self._terminals.get(terminal_id) if isinstance(terminal_id, str) else None
        if terminal is None:
            raise RpcError(NOT_FOUND, f"there is no terminal {terminal_id!r:.60}")
        return terminal


class _Terminal:
    process: Process
    ended: asyncio.Future[ProcessExit]

    def __init__(self, limit: int) -> None:
        self._limit, self._kept, self.truncated = limit, bytearray(), False

    def receive(self, chunk: bytes) -> None:
        self._kept += chunk
        if len(self._kept) > self._limit:
            del self._kept[: len(self._kept) - self._limit]
            self.truncated = True

    def text(self) -> str:
        data = bytes(self._kept)
        if self.truncated:  # the cut may have gone through a character
            data = data.lstrip(bytes(range(0x80, 0xC0)))
        return data.decode("utf-8", "replace")


def _status(end: ProcessExit) -> dict[str, Any]:
    return {"exitCode": end.exit_code, "signal": end.signal}
