"""JSON-RPC 2.0 with an ACP agent: our requests and their answers, its requests and ours."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from orchestrator.agents.json_lines import JsonLines, Message
from orchestrator.errors import AgentProtocolError, OrchestratorError

METHOD_NOT_FOUND, INVALID_REQUEST, INVALID_PARAMS, INTERNAL = -32601, -32600, -32602, -32603
AUTH_REQUIRED, NOT_FOUND = -32000, -32002
#: An agent that asks more at once than this is answered with errors.
_OPEN_LIMIT = 256
_BUSY = -32005


class RpcError(OrchestratorError):
    """One side answered a request with an error."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.code, self.data = code, data


class AgentEndedError(OrchestratorError):
    """The agent's program ended before it answered."""


class AgentSilentError(OrchestratorError):
    """The agent's program runs and does not answer."""


#: Answers the agent's request (method, params) with its result. Raises RpcError.
Answer = Callable[[str, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
#: Takes the agent's notification (method, params).
Hear = Callable[[str, Mapping[str, Any]], None]


class Connection:
    """One conversation. Requests of the agent are answered side by side, each in its own time."""

    def __init__(self, lines: JsonLines, answer: Answer, hear: Hear) -> None:
        self._lines, self._answer, self._hear = lines, answer, hear
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._open: set[asyncio.Task[None]] = set()
        self._last_id = 0
        self._over = False
        self._final: int | None = None
        self._loop = asyncio.get_running_loop()
        self.last_exchange = self._loop.time()
        self.reading = asyncio.ensure_future(self._read())

    async def request(
        self, method: str, params: Mapping[str, Any], *, limit_s: float | None = None, final: bool = False
    ) -> Mapping[str, Any]:
        """Ask the agent; return its result. With the answer to a `final` request the turn is over.

        Raises RpcError, AgentEndedError, AgentSilentError (after `limit_s`), AgentProtocolError.
        """
        self._last_id += 1
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._waiting[self._last_id] = answer
        if final:
            self._final = self._last_id
        message = {"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params}
        sending = asyncio.ensure_future(self._lines.send(message))
        try:
            # A program that does not read may hold up the sending for ever, and one that ended the answer.
            await asyncio.wait({answer, self.reading}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
            return self._result(method, answer, limit_s)
        finally:
            self._waiting.pop(self._last_id, None)
            sending.cancel()
            answer.cancel()

    def _result(self, method: str, answer: asyncio.Future[Any], limit_s: float | None) -> Mapping[str, Any]:
        if answer.done():
            result = answer.result()
            if isinstance(result, Mapping):
                return result
            if result is None:
                return {}
            raise AgentProtocolError(f"the agent broke its protocol: its answer to {method} is no object")
        if self.reading.done():
            self.reading.result()
            raise AgentEndedError(f"the agent's program ended before it answered {method}")
        raise AgentSilentError(f"the agent did not answer {method} within {limit_s:g} s")

    @property
    def busy(self) -> bool:
        """Whether we owe the agent an answer."""
        return bool(self._open)

    async def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Tell the agent something."""
        await self._lines.send({"jsonrpc": "2.0", "method": method, "params": params})

    def end_turn(self) -> None:
        """From here on nothing is done for the agent any more: what it still asks gets an error."""
        self._over = True
        for task in self._open:
            task.cancel()

    async def close(self) -> None:
        """End the conversation on our side."""
        self.end_turn()
        self.reading.cancel()
        await asyncio.gather(self.reading, *self._open, return_exceptions=True)
        self._lines.close()

    async def _read(self) -> None:
        while (message := await self._lines.next()) is not None:
            self.last_exchange = self._loop.time()
            if "method" in message:
                self._take(message)
            elif "id" in message:
                self._settle(message)
            else:
                raise AgentProtocolError("the agent broke its protocol: a message has no method and no id")

    def _take(self, message: Message) -> None:
        method, params = message["method"], message.get("params")
        if "id" not in message:
            if isinstance(method, str) and isinstance(params, Mapping):
                self._hear(method, params)
            return
        task = asyncio.ensure_future(self._reply(message["id"], method, params))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _reply(self, request_id: object, method: object, params: object) -> None:
        reply: dict[str, Any] = {"jsonrpc": "2.0", "id": request_id}
        try:
            reply["result"] = await self._answered(method, params)
        except RpcError as err:
            reply["error"] = {"code": err.code, "message": err.message}
        except asyncio.CancelledError:
            if not self._over:
                raise
            reply["error"] = {"code": INVALID_REQUEST, "message": "the turn is over"}
        await self._lines.send(reply)
        self.last_exchange = self._loop.time()

    async def _answered(self, method: object, params: object) -> Mapping[str, Any]:
        if not isinstance(method, str):
            raise RpcError(INVALID_REQUEST, "a method is a string")
        if not isinstance(params, Mapping):
            raise RpcError(INVALID_PARAMS, "the parameters are an object")
        if self._over:
            raise RpcError(INVALID_REQUEST, "the turn is over")
        if len(self._open) > _OPEN_LIMIT:
            raise RpcError(_BUSY, "too many requests at once")
        return await self._answer(method, params)

    def _settle(self, message: Message) -> None:
        number = message["id"]
        known = isinstance(number, (int, float)) and not isinstance(number, bool)
        future = self._waiting.get(int(number)) if known and number == int(number) else None
        if future is None or future.done():
            if self._over:
                return
            raise AgentProtocolError(
                f"the agent broke its protocol: it answered a request that was not made ({number!r:.60})"
            )
        if number == self._final:
            self.end_turn()  # at once: the next message may lie in the same chunk
        error = message.get("error")
        if error is not None:
            future.set_exception(_error(error))
        elif "result" in message:
            future.set_result(message["result"])
        else:
            raise AgentProtocolError("the agent broke its protocol: an answer has no result and no error")


def _error(error: object) -> RpcError | AgentProtocolError:
    if not isinstance(error, Mapping) or not isinstance(error.get("code"), int):
        return AgentProtocolError("the agent broke its protocol: an error has no code")
    return RpcError(error["code"], str(error.get("message") or "no reason given"), error.get("data"))
