"""Answers what Codex's app-server asks: by our policy, with the reason of a refusal told to the model."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from orchestrator.agents.codex_requests import (
    APPROVALS,
    NO_SUCH_METHOD,
    REFUSALS,
    Params,
    describe,
    permission_requests,
)
from orchestrator.agents.json_lines import JsonLines
from orchestrator.model.request import Verdict
from orchestrator.model.transcript import Role
from orchestrator.ports import Session


class Approvals:
    """What was asked in one turn, and how it was answered. Several may be open at once."""

    def __init__(self, session: Session, lines: JsonLines, group: asyncio.TaskGroup) -> None:
        self._session, self._lines, self._group = session, lines, group
        self.allowed: set[str] = set()  #: ids of items that may run
        self.refused: list[str] = []  #: in words
        self._open: dict[str, asyncio.Task[None]] = {}
        self._told = 0

    @property
    def waiting(self) -> bool:
        """Whether Codex waits for an answer of ours."""
        return bool(self._open)

    async def answer(self, request_id: Any, method: str, params: Params, item: Params | None) -> None:
        """Answer a request, at once or when it is decided."""
        if method in APPROVALS:
            name = repr(request_id)
            deciding = self._group.create_task(self._decide(request_id, method, params, item))
            self._open[name] = deciding
            deciding.add_done_callback(lambda done: self._forget(name, done))
        elif method in REFUSALS:
            self.refused.append(f"`{method}`: nobody is there to answer it")
            self._session.transcribe(Role.NOTICE, f"refused without asking: {method}")
            await self._lines.send({"id": request_id, "result": REFUSALS[method]})
        else:
            await self.reject(request_id, method)

    async def reject(self, request_id: Any, method: str) -> None:
        """Say that a request is not answered here."""
        error = {"code": NO_SUCH_METHOD, "message": f"`{method}` is not answered here"}
        await self._lines.send({"id": request_id, "error": error})

    def withdraw(self, request_id: Any) -> None:
        """Forget a question that Codex needs no answer to any more; an answer would come too late."""
        deciding = self._open.get(repr(request_id))
        if deciding:
            deciding.cancel()

    def close(self) -> None:
        """Answer nothing any more."""
        for deciding in self._open.values():
            deciding.cancel()

    def _forget(self, name: str, done: asyncio.Task[None]) -> None:
        if self._open.get(name) is done:
            del self._open[name]

    async def _decide(self, request_id: Any, method: str, params: Params, item: Params | None) -> None:
        """Have every part of it decided; the first refusal refuses the whole."""
        for request in permission_requests(method, request_id, params, item, self._session.workspace):
            decision = await self._session.decide(request)
            if decision.verdict is not Verdict.ALLOW:
                self.refused.append(f"{describe(request)}: {decision.reason}")
                await self._tell(f"Permission denied for {describe(request)}: {decision.reason}", params)
                await self._lines.send({"id": request_id, "result": {"decision": "decline"}})
                return
        self.allowed.add(str(params.get("itemId")))
        await self._lines.send({"id": request_id, "result": {"decision": "accept"}})

    async def _tell(self, text: str, params: Params) -> None:
        """Say something to the model within its turn, for `decline` carries no reason.

        It is said before the refusal, so that the model reads both in its next request.
        """
        self._told += 1
        message: Mapping[str, Any] = {
            "threadId": params.get("threadId"),
            "expectedTurnId": params.get("turnId"),
            "input": [{"type": "text", "text": text}],
        }
        await self._lines.send({"id": f"reason-{self._told}", "method": "turn/steer", "params": message})
