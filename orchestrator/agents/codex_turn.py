"""One turn of Codex over its app-server: starts it, hears it, and sees when it is over."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from orchestrator.agents.codex_approvals import Approvals
from orchestrator.agents.codex_end import ended, failed, judge
from orchestrator.agents.codex_items import GATED, RAN, call_text, record_end, record_start
from orchestrator.agents.codex_usage import UsageCount
from orchestrator.agents.json_lines import JsonLines, Message
from orchestrator.errors import AgentProtocolError
from orchestrator.model.event import EventKind
from orchestrator.model.outcome import Outcome, TurnEnd
from orchestrator.model.transcript import Role
from orchestrator.ports import Session

#: A sign that the model's server answers: what went wrong before is over.
_PROGRESS = ("item/started", "item/completed", "item/agentMessage/delta", "thread/tokenUsage/updated")
_NOTICES = ("warning", "configWarning", "deprecationNotice", "model/rerouted")
#: Our policy is asked for every command all the same.
_NONE = "danger-full-access"
_SHOWN = 500
#: A resumed thread may go on in another folder than it began in.
_RESUMED = (
    "You were cut off, and go on now. Your working folder is {workspace}; what you had changed elsewhere"
    " may not be there. The task was:\n\n"
)

Params = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long Codex is waited for before its turn is given up."""

    answer_s: float = 60.0  #: for an answer of the app-server itself, which comes at once
    #: While it tries to reach the model's server again and again. Alone it goes on for minutes, and without a
    #: network for ever.
    retrying_s: float = 180.0
    #: While it says nothing, though neither a command runs nor a question is open. Its own limit for a
    #: stream that has fallen silent is 300 s; then it tries again, and says so.
    silence_s: float = 420.0


class CodexTurn:
    """A conversation from `initialize` to the end of one turn."""

    def __init__(self, session: Session, lines: JsonLines, patience: Patience) -> None:
        self._session, self._lines, self._patience = session, lines, patience
        self.thread_id: str | None = None
        self.usage = UsageCount()
        self.over = False  #: whether Codex itself ended the turn
        self._loop = asyncio.get_running_loop()
        self._turn_id: str | None = None
        self._calls = 0
        self._answers: dict[int, Message] = {}
        self._items: dict[str, Params] = {}  #: what has begun and not ended
        self._said = ""
        self._trouble: Params | None = None  #: an error that Codex means to get over by itself
        self._troubled_at = 0.0
        self._end: Outcome | None = None

    async def carry_out(self) -> Outcome:
        """Do the task."""
        async with asyncio.TaskGroup() as group:
            self._approvals = Approvals(self._session, self._lines, group)
            try:
                return await self._converse()
            except AgentProtocolError as err:
                said = f"{err.message}; {err.hint}" if err.hint else err.message
                return ended(TurnEnd.PROTOCOL, said, self._said)
            finally:
                self._approvals.close()

    async def _converse(self) -> Outcome:
        mode = await self._open()
        if self._end is None:
            await self._start(mode)
        while self._end is None:
            await self._step(self._due())
        return self._end

    async def _open(self) -> str:
        """Greet; return the sandbox of its own that Codex shall use."""
        client = {"name": "orchestrator", "title": "orchestrator", "version": "1"}
        await self._call("initialize", {"clientInfo": client, "capabilities": {"experimentalApi": True}})
        await self._lines.send({"method": "initialized"})
        # A login is lent to a worker that is in our sandbox. Another one within would let nobody commit.
        if self._session.login_dir is not None or self._end:
            return _NONE
        if await self._sandbox_works():
            return "workspace-write"
        self._session.transcribe(Role.NOTICE, "Codex's own sandbox does not work here and is left out")
        return _NONE

    async def _sandbox_works(self) -> bool:
        """Try it: where it cannot work, as in many containers, every command would fail in it.

        It keeps harm small, but is no boundary for what the policy allowed: some of what it stops, Codex
        runs once more outside of it, on the same permission.
        """
        trial = {
            "command": ["/bin/sh", "-c", ":"],
            "cwd": str(self._session.workspace),
            "sandboxPolicy": {"type": "workspaceWrite"},
            "timeoutMs": int(self._patience.answer_s * 500),
        }
        answer = await self._call("command/exec", trial, or_end=False)
        return answer.get("exitCode") == 0

    async def _start(self, mode: str) -> None:
        """Open the thread, new or old, and give it the task."""
        task, resume_id = self._session.task, self._session.resume_id
        thread = {"cwd": str(self._session.workspace), "approvalPolicy": "untrusted", "sandbox": mode}
        thread |= {"model": task.model} if task.model else {}
        answer: Params = {}
        if resume_id:
            answer = await self._call("thread/resume", {**thread, "threadId": resume_id}, or_end=False)
        resumed = "thread" in answer
        if not resumed and self._end is None:  # a thread that never came to a turn is not kept
            answer = await self._call("thread/start", thread)
        if self._end:
            return
        self._begin(answer)
        prompt = task.prompt
        if resumed and not self._session.follow_up:
            prompt = _RESUMED.format(workspace=self._session.workspace) + prompt
        self._session.transcribe(Role.PROMPT, prompt)
        message = {"threadId": self.thread_id, "input": [{"type": "text", "text": prompt}]}
        answer = await self._call("turn/start", message)
        self._turn_id = self._turn_id or _id_in(answer, "turn")

    def _begin(self, answer: Params) -> None:
        self.thread_id = _id_in(answer, "thread")
        if self.thread_id is None:
            raise AgentProtocolError("the agent broke its protocol: its thread has no id")
        if answer.get("approvalPolicy") != "untrusted":
            raise AgentProtocolError(
                "Codex would not ask before it runs commands",
                hint="use a version of Codex that `orchestrator agents` calls tested",
            )
        self._session.emit(EventKind.AGENT_SESSION, session_id=self.thread_id)

    async def _call(self, method: str, params: Params, *, or_end: bool = True) -> Params:
        """Call a method; return its result. A refusal ends the turn, or else gives an empty result."""
        self._calls += 1
        number, due = self._calls, self._loop.time() + self._patience.answer_s
        await self._lines.send({"id": number, "method": method, "params": params})
        while number not in self._answers and self._end is None:
            await self._step(due)
        answer = self._answers.pop(number, {})
        error, result = answer.get("error"), answer.get("result")
        if isinstance(error, dict) and or_end and self._end is None:
            self._end = self._failed(error, f"Codex refused `{method}`")
        return result if isinstance(result, dict) else {}

    async def _step(self, due: float) -> None:
        """Take one message in, or give up at `due`."""
        try:
            message = await asyncio.wait_for(self._lines.next(), max(due - self._loop.time(), 0.0))
        except TimeoutError:
            self._out_of_patience()
            return
        if message is None:
            end = self._lines.exit
            said = f"Codex {end.describe() if end else 'ended'} before its turn was over"
            self._end = ended(TurnEnd.CRASHED, said, self._said)
        elif not isinstance(message.get("method"), str):
            if isinstance(message.get("id"), int):
                self._answers[message["id"]] = message
        else:
            params = message.get("params")
            await self._hear(message, message["method"], params if isinstance(params, dict) else {})

    def _due(self) -> float:
        if self._trouble is not None:
            return self._troubled_at + self._patience.retrying_s
        return self._loop.time() + self._patience.silence_s

    def _out_of_patience(self) -> None:
        """Give the turn up, unless Codex waits for us or for a command: that may take any time."""
        if self._trouble is not None:
            self._end = self._failed(self._trouble, "Codex could not reach the model's server again")
        elif self._turn_id is None or not (self._approvals.waiting or self._runs_something()):
            said = "Codex runs, but has said nothing for too long"
            self._end = ended(TurnEnd.NO_RESPONSE, said, self._said)

    def _runs_something(self) -> bool:
        return any(item.get("type") in GATED for item in self._items.values())

    async def _hear(self, message: Message, method: str, params: Params) -> None:
        if "id" in message:
            item = self._items.get(str(params.get("itemId")))
            await self._approvals.answer(message["id"], method, params, item)
        elif method == "serverRequest/resolved":
            self._approvals.withdraw(params.get("requestId"))
        elif method in _NOTICES:
            said = params.get("message") or params.get("summary") or method
            self._session.transcribe(Role.NOTICE, str(said))
        else:
            self._told(method, params)

    def _told(self, method: str, params: Params) -> None:
        if method in _PROGRESS:
            self._trouble = None
        item = params.get("item")
        if method == "item/started" and isinstance(item, dict):
            self._items[str(item.get("id"))] = item
            record_start(self._session, item)
        elif method == "item/completed" and isinstance(item, dict):
            self._completed(item)
        elif method == "error" and isinstance(params.get("error"), dict):
            self._error(params["error"])
        elif params.get("threadId") == self.thread_id:
            self._of_the_turn(method, params)

    def _completed(self, item: Params) -> None:
        self._items.pop(str(item.get("id")), None)
        record_end(self._session, item)
        if item.get("type") == "agentMessage":
            self._said = str(item.get("text", ""))
        ran = item.get("type") in GATED and item.get("status") in RAN
        if ran and str(item.get("id")) not in self._approvals.allowed:
            said = f"stopped: Codex did this without asking: {call_text(item)[:_SHOWN]}"
            self._end = ended(TurnEnd.PROTOCOL, said, self._said)

    def _error(self, error: Params) -> None:
        """Remember trouble with the model's server; its first sign counts for our patience."""
        if self._trouble is None:
            self._troubled_at = self._loop.time()
        self._trouble = error
        said = f"{error.get('message')} {error.get('additionalDetails') or ''}"
        self._session.transcribe(Role.NOTICE, said.strip())

    def _of_the_turn(self, method: str, params: Params) -> None:
        if method == "thread/tokenUsage/updated":
            ours = self._turn_id is not None and params.get("turnId") == self._turn_id
            self.usage.add(params, ours=ours)
        elif method == "turn/started":
            self._turn_id = _id_in(params, "turn")
        elif method == "turn/completed":
            turn, self.over = params.get("turn"), True
            self._end = self._judged(turn if isinstance(turn, dict) else {})

    def _judged(self, turn: Params) -> Outcome:
        refused = self._approvals.refused
        return judge(turn, output=self._said, refused=refused, now=datetime.now(UTC))

    def _failed(self, error: Params, said: str) -> Outcome:
        return failed(error, output=self._said, now=datetime.now(UTC), said=said)


def _id_in(params: Params, name: str) -> str | None:
    value = params.get(name)
    found = value.get("id") if isinstance(value, dict) else None
    return found if isinstance(found, str) else None
