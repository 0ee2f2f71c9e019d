"""One turn of Claude Code over its control protocol: the prompt, its questions, our answers, the result."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from orchestrator.agents.claude_end import reset_time
from orchestrator.agents.claude_tools import has_to_be_asked, permission_request
from orchestrator.agents.claude_transcript import transcribe
from orchestrator.agents.json_lines import JsonLines, Message
from orchestrator.errors import AgentProtocolError
from orchestrator.model.event import EventKind
from orchestrator.model.outcome import ProcessExit
from orchestrator.model.request import PermissionRequest, Verdict
from orchestrator.model.transcript import Role
from orchestrator.ports import Session

#: It answers within a second; this is for a machine that is very busy.
_START_S = 60.0
#: How long it may take to save its session and go, once its input is closed.
_EXIT_S = 10.0

_OPENING = "opening"
_HOOK = "every-call"


#: Claude Code asks ten times, for minutes, with a key that is refused; three leave room for a new token.
_KEY_TRIALS = 3


class KeyRefused(Exception):  # noqa: N818 (an end of the turn, not a fault of ours)
    """The model's server does not accept the login."""


class NoAnswer(Exception):  # noqa: N818 (an end of the turn, not a fault of ours)
    """The program runs, and does not answer."""


class ClaudeTurn:
    """Talks to a program that has just been started; remembers what its end is judged by."""

    def __init__(self, session: Session, lines: JsonLines) -> None:
        self.results: list[Message] = []
        self.error: str | None = None  #: the program's word for what the model's server answered last
        self.retry_at: datetime | None = None
        self._session, self._lines = session, lines
        self._state: str | None = None
        self._refused: dict[str, str] = {}
        self._folders: dict[str, str] = {}
        self._open: dict[str, asyncio.Task[None]] = {}
        self._background: list[str] = []  # tasks that outlast the turn, such as a server

    async def converse(self, prompt: str) -> None:
        """Hold the conversation until its last result, or the program's end.

        Raises AgentProtocolError, NoAnswer and KeyRefused.
        """
        async with asyncio.TaskGroup() as answers:
            try:
                await self._start(prompt)
                while not self._over() and (message := await self._next()) is not None:
                    await self._take(message, answers)
            finally:
                for answer in self._open.values():
                    answer.cancel()

    async def leave(self) -> ProcessExit | None:
        """Let the program save its session and end; None when it does not."""
        process = self._lines.process
        if process is None:
            return None
        for task_id in self._background:
            await self._request(f"stop-{task_id}", {"subtype": "stop_task", "task_id": task_id})
        await process.close_input()
        try:
            async with asyncio.timeout(_EXIT_S):
                return await process.wait()
        except TimeoutError:
            self._session.transcribe(Role.NOTICE, f"it had not ended {_EXIT_S:g} s after its last result")
            return None

    def refused(self) -> list[str]:
        """What was refused, by us or by the program itself, each as a few words."""
        told = [denial for result in self.results for denial in _list(result, "permission_denials")]
        for denial in told:
            by_itself = f"{denial.get('tool_name')}: refused by Claude Code itself"
            self._refused.setdefault(str(denial.get("tool_use_id")), by_itself)
        return list(self._refused.values())

    async def _start(self, prompt: str) -> None:
        matchers = {"PreToolUse": [{"matcher": None, "hookCallbackIds": [_HOOK], "onFailure": "block"}]}
        await self._request(_OPENING, {"subtype": "initialize", "hooks": matchers})
        said = {"role": "user", "content": prompt}
        # Composed by a client: a prompt that begins with a slash is no command.
        user = {"type": "user", "message": said, "parent_tool_use_id": None, "client_composed": True}
        await self._lines.send(user)
        self._session.transcribe(Role.PROMPT, prompt)

    async def _request(self, request_id: str, request: Message) -> None:
        await self._lines.send({"type": "control_request", "request_id": request_id, "request": request})

    async def _next(self) -> Message | None:
        """Return the next message. How long the program may work is the task's own limit."""
        if self._state is not None:
            return await self._lines.next()
        try:
            return await asyncio.wait_for(self._lines.next(), _START_S)
        except TimeoutError as err:
            raise NoAnswer from err

    def _over(self) -> bool:
        """Whether nothing is to come: work in the background leads to another turn, unless one failed."""
        if not self.results:
            return False
        return self._state in {"opened", "idle"} or self.results[-1].get("is_error") is True

    async def _take(self, message: Message, answers: asyncio.TaskGroup) -> None:
        match message.get("type"):
            case "control_request":
                await self._asked(message, answers)
            case "control_cancel_request":
                if answer := self._open.pop(str(message.get("request_id")), None):
                    answer.cancel()
            case "control_response":
                self._answered(message)
            case "result":
                self.results.append(message)
            case _:
                self._note(message)

    def _answered(self, message: Message) -> None:
        response = _mapping(message, "response")
        if response.get("request_id") != _OPENING:
            return
        if response.get("subtype") != "success":
            raise AgentProtocolError(f"Claude Code refused to begin: {response.get('error')}")
        self._state = self._state or "opened"

    def _note(self, message: Message) -> None:
        if message.get("subtype") == "session_state_changed":
            self._state = str(message.get("state"))
        elif message.get("subtype") == "background_tasks_changed":
            self._background = [str(task.get("task_id")) for task in _list(message, "tasks")]
        elif message.get("subtype") == "api_retry":
            attempt = message.get("attempt")
            trials = attempt if isinstance(attempt, int) else 0
            if message.get("error_status") in {401, 403} and trials >= _KEY_TRIALS:
                raise KeyRefused(str(message.get("error_status")))
        elif message.get("type") == "rate_limit_event":
            self._note_limit(reset_time(message))
        elif message.get("type") == "assistant" and not message.get("parent_tool_use_id"):
            error = message.get("error")
            self.error = error if isinstance(error, str) else None
        transcribe(self._session, message)

    def _note_limit(self, until: datetime | None) -> None:
        if until is not None and until != self.retry_at:
            self.retry_at = until
            self._session.emit(EventKind.AGENT_LIMITED, until=until.isoformat())

    async def _asked(self, message: Message, answers: asyncio.TaskGroup) -> None:
        request_id, request = message.get("request_id"), _mapping(message, "request")
        if not isinstance(request_id, str):
            raise AgentProtocolError("Claude Code broke its protocol: a request has no id")
        match request.get("subtype"):
            case "can_use_tool":
                self._open[request_id] = answers.create_task(self._decide(request_id, request))
            case "hook_callback":
                await self._answer(request_id, self._before_call(_mapping(request, "input")))
            case other:
                error = {"subtype": "error", "request_id": request_id, "error": f"{other}: not supported"}
                await self._lines.send({"type": "control_response", "response": error})

    def _before_call(self, call: Message) -> Message:
        """Have Claude Code ask also about calls that it would let pass by itself."""
        cwd = str(call.get("cwd") or self._session.workspace)
        self._folders[str(call.get("tool_use_id"))] = cwd
        name = str(call.get("tool_name"))
        if not has_to_be_asked(name, _mapping(call, "tool_input"), cwd, self._session.workspace):
            return {}
        reason = "the policy of this run decides"
        decision = {"permissionDecision": "ask", "permissionDecisionReason": reason}
        return {"hookSpecificOutput": {"hookEventName": "PreToolUse", **decision}}

    async def _decide(self, request_id: str, asked: Message) -> None:
        call_id, given = str(asked.get("tool_use_id")), _mapping(asked, "input")
        name, cwd = str(asked.get("tool_name")), self._folders.pop(call_id, None)
        request = permission_request(request_id, name, given, cwd)
        decision = await self._session.decide(request)
        if decision.verdict is Verdict.ALLOW:
            answer: Message = {"behavior": "allow", "updatedInput": given}
        else:
            self._refused[call_id] = f"{_what(name, request)}: {decision.reason}"
            answer = {"behavior": "deny", "message": decision.reason}
        self._open.pop(request_id, None)
        await self._answer(request_id, answer)

    async def _answer(self, request_id: str, answer: Message) -> None:
        response = {"subtype": "success", "request_id": request_id, "response": answer}
        await self._lines.send({"type": "control_response", "response": response})


def _what(name: str, request: PermissionRequest) -> str:
    about = request.command or request.path
    return f"{name} `{about}`" if about else name


def _mapping(message: Message, key: str) -> Mapping[str, Any]:
    """Return a part that must be an object. Raises AgentProtocolError."""
    part = message.get(key)
    if not isinstance(part, Mapping):
        raise AgentProtocolError(f"Claude Code broke its protocol: `{key}` of a message is no object")
    return part


def _list(message: Message, key: str) -> list[Mapping[str, Any]]:
    found = message.get(key)
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []
