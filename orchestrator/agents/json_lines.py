"""Messages to and from an agent's program: one JSON object a line on its pipes."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.errors import AgentProtocolError
from orchestrator.model.outcome import ProcessExit
from orchestrator.ports import Process, Session

#: A longer line is a fault. Agents send whole files in one message; 50 MB has been seen.
LINE_LIMIT = 64 * 1024 * 1024
#: How much of a line that is no message is shown to a person.
_SHOWN = 200

Message = Mapping[str, Any]


class JsonLines:
    """One conversation. What does not parse is a fault of the agent, raised where messages are awaited."""

    def __init__(self) -> None:
        self.process: Process | None = None
        self.exit: ProcessExit | None = None
        self._messages: deque[Message | AgentProtocolError] = deque()
        self._parts: list[bytes] = []
        self._length = 0
        self._news = asyncio.Event()
        self._ended: asyncio.Task[None] | None = None

    async def start(self, session: Session, argv: Sequence[str], env: Mapping[str, str]) -> Process:
        """Start the program. Raises SpawnError."""
        self.process = await session.spawn(argv, env=env, errors_apart=True, on_output=self.receive)
        self._ended = asyncio.ensure_future(self._wait(self.process))
        return self.process

    async def _wait(self, process: Process) -> None:
        self.exit = await process.wait()
        self._news.set()

    def receive(self, chunk: bytes) -> None:
        """Take bytes in, cut anywhere."""
        *whole, rest = chunk.split(b"\n")
        for line in whole:
            self._parts.append(line)
            self._take(b"".join(self._parts))
            self._parts, self._length = [], 0
        if rest:
            self._parts.append(rest)
            self._length += len(rest)
            if self._length > LINE_LIMIT:
                self._fail(f"a message is longer than {LINE_LIMIT >> 20} MiB")
                self._parts, self._length = [], 0

    def _take(self, line: bytes) -> None:
        if not line.strip():
            return
        try:
            message = json.loads(line)
        except (ValueError, RecursionError) as err:
            self._fail(f"a line is no JSON ({err}): {_shown(line)}")
            return
        if isinstance(message, dict):
            self._messages.append(message)
            self._news.set()
        else:
            self._fail(f"a message is no JSON object: {_shown(line)}")

    def _fail(self, what: str) -> None:
        self._messages.append(AgentProtocolError(f"the agent broke its protocol: {what}"))
        self._news.set()

    async def next(self) -> Message | None:
        """Return the next message; None once the program has ended and all it said was heard.

        Raises AgentProtocolError for what is no message.
        """
        while not self._messages:
            if self.exit is not None:
                return None
            self._news.clear()
            await self._news.wait()
        message = self._messages.popleft()
        if isinstance(message, AgentProtocolError):
            raise message
        return message

    async def send(self, message: Message) -> None:
        """Send a message. A program that is gone is not an error."""
        if self.process is not None:
            await self.process.write(
                json.dumps(message, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
            )

    def close(self) -> None:
        """Wait for nothing any more."""
        if self._ended:
            self._ended.cancel()


def _shown(line: bytes) -> str:
    return repr(line[:_SHOWN].decode("utf-8", "replace")) + ("…" if len(line) > _SHOWN else "")
