"""What we do for an ACP agent while it works: permissions, files and terminals, each one judged first."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from itertools import count
from typing import Any, TypeVar

from orchestrator.agents.acp_files import read_text, resolve_inside, write_text
from orchestrator.agents.acp_requests import option_of, permission_requests, written_texts
from orchestrator.agents.acp_rpc import INTERNAL, INVALID_PARAMS, METHOD_NOT_FOUND, NOT_FOUND, RpcError
from orchestrator.agents.acp_terminals import Terminals, command_line
from orchestrator.agents.acp_updates import Updates
from orchestrator.model.request import PermissionRequest, Tool, Verdict
from orchestrator.ports import Session

#: Of a refused request, as much as a message can bear.
_SUBJECT = 200
Params = Mapping[str, Any]
_T = TypeVar("_T")


class Client:
    """Answers the agent's requests of one turn; keeps what was refused."""

    def __init__(
        self,
        session: Session,
        updates: Updates,
        *,
        cancel: Callable[[], Awaitable[None]],
        command_in_title: bool,
    ) -> None:
        self._session, self._updates, self._cancel = session, updates, cancel
        self._command_in_title = command_in_title
        self._ids = count(1)
        self._granted: list[tuple[object, ...]] = []
        self.terminals = Terminals(session)
        self.refused: list[str] = []

    async def answer(self, method: str, params: Params) -> Mapping[str, Any]:
        """Do what the agent asks. Raises RpcError."""
        answers = {
            "session/request_permission": self._permission,
            "fs/read_text_file": self._read,
            "fs/write_text_file": self._write,
            "terminal/create": self._start,
            "terminal/output": self.terminals.output,
            "terminal/wait_for_exit": self.terminals.wait,
            "terminal/kill": self.terminals.kill,
            "terminal/release": self.terminals.release,
        }
        if method not in answers:
            raise RpcError(METHOD_NOT_FOUND, f"there is no method {method[:_SUBJECT]}")
        return await answers[method](params)

    async def _permission(self, params: Params) -> Mapping[str, Any]:
        told, options = params.get("toolCall"), params.get("options")
        if not isinstance(told, Mapping):
            raise RpcError(INVALID_PARAMS, "a permission is asked for a tool call")
        call = self._updates.call(told)
        requests = permission_requests(self._id(), call, command_in_title=self._command_in_title)
        for request in requests:
            if reason := await self._refusal(request):
                self._updates.forget(told)
                return await self._reject(options, reason)
        chosen = option_of(options, "allow_once")
        if chosen is None:
            reason = "the agent offers no way to allow this once"
            self._refuse(requests[0], reason)
            return await self._reject(options, reason)
        for request in requests:
            self._grant(request, call)
        return {"outcome": {"outcome": "selected", "optionId": chosen}}

    async def _refusal(self, request: PermissionRequest) -> str | None:
        decision = await self._session.decide(request)
        if decision.verdict is Verdict.ALLOW:
            return None
        self._refuse(request, decision.reason)
        return decision.reason

    def _refuse(self, request: PermissionRequest, reason: str) -> None:
        subject = request.path or request.command or str(request.arguments.get("title", "something"))
        self.refused.append(f"{request.tool.value} `{subject[:_SUBJECT]}`: {reason}")

    async def _reject(self, options: object, reason: str) -> Mapping[str, Any]:
        """Refuse this once; where the agent has no such option, cut its turn off rather than allow."""
        meta = {"reason": reason}
        chosen = option_of(options, "reject_once")
        if chosen is not None:
            return {"outcome": {"outcome": "selected", "optionId": chosen}, "_meta": meta}
        self._updates.notice("the agent offers no way to refuse: its turn is cancelled")
        await self._cancel()
        return {"outcome": {"outcome": "cancelled"}, "_meta": meta}

    def _grant(self, request: PermissionRequest, call: Params) -> None:
        """Remember what was just allowed, to the last character, so that it is not asked again."""
        if request.tool is Tool.SHELL:
            self._granted.append((Tool.SHELL, request.command, self._folder(request.arguments.get("cwd"))))
        text = written_texts(call).get(request.path or "")
        if request.tool is Tool.WRITE and request.path and text is not None:
            self._granted.append((Tool.WRITE, resolve_inside(self._session.workspace, request.path), text))

    def _use_grant(self, *grant: object) -> bool:
        if grant not in self._granted:
            return False
        self._granted.remove(grant)
        return True

    def _inside(self, params: Params, tool: Tool) -> tuple[str, ...]:
        path = params.get("path")
        if not isinstance(path, str):
            raise RpcError(INVALID_PARAMS, "a path is a string")
        parts = resolve_inside(self._session.workspace, path)
        if parts is None:
            reason = "it is outside the workspace"
            self._updates.notice(f"{tool.value} `{path[:_SUBJECT]}` was refused: {reason}")
            if tool is Tool.WRITE:
                self.refused.append(f"write `{path[:_SUBJECT]}`: {reason}")
            raise RpcError(INVALID_PARAMS, f"{path[:_SUBJECT]} cannot be used: {reason}")
        return parts

    async def _read(self, params: Params) -> Mapping[str, Any]:
        parts = self._inside(params, Tool.READ)
        line, limit = _number(params.get("line")), _number(params.get("limit"))
        await self._require(PermissionRequest(id=self._id(), tool=Tool.READ, path="/".join(parts)))
        read = partial(read_text, self._session.workspace, parts, line=line or 1, limit=limit)
        return {"content": await _with_files(read, "/".join(parts))}

    async def _write(self, params: Params) -> Mapping[str, Any]:
        text = params.get("content")
        if not isinstance(text, str):
            raise RpcError(INVALID_PARAMS, "a file's content is a string")
        parts = self._inside(params, Tool.WRITE)
        path = "/".join(parts)
        if not self._use_grant(Tool.WRITE, parts, text):
            arguments = {"characters": len(text)}
            await self._require(
                PermissionRequest(id=self._id(), tool=Tool.WRITE, path=path, arguments=arguments)
            )
        await _with_files(partial(write_text, self._session.workspace, parts, text), path)
        return {}

    async def _start(self, params: Params) -> Mapping[str, Any]:
        line, folder = command_line(params), self._folder(params.get("cwd"))
        if not self._use_grant(Tool.SHELL, line, folder):
            await self._require(
                PermissionRequest(id=self._id(), tool=Tool.SHELL, command=line, arguments={"cwd": folder})
            )
        limit = params.get("outputByteLimit")
        return {"terminalId": await self.terminals.create(line, folder, limit)}

    def _folder(self, given: object) -> str:
        """Return the folder of a command; the policy refuses one that is outside."""
        root = os.path.realpath(self._session.workspace)
        if not given:
            return root
        if not isinstance(given, str) or "\0" in given:
            raise RpcError(INVALID_PARAMS, "a folder is a string")
        return os.path.realpath(os.path.join(root, given))  # noqa: PTH118 (given may be absolute)

    def _id(self) -> str:
        return f"acp-{next(self._ids)}"

    async def _require(self, request: PermissionRequest) -> None:
        if reason := await self._refusal(request):
            raise RpcError(INTERNAL, f"refused: {reason}")


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


async def _with_files(work: Callable[[], _T], path: str) -> _T:
    try:
        return await asyncio.to_thread(work)
    except FileNotFoundError as err:
        raise RpcError(NOT_FOUND, f"Resource not found: {path}: No such file") from err
    except (OSError, ValueError) as err:
        raise RpcError(INTERNAL, f"{path} cannot be used: {err}") from err
