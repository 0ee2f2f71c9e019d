"""One conversation with a program on a terminal: hand the task over, answer what is known, see its end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.agents.demo_dialog import waits_for_a_person
from orchestrator.agents.terminal_keys import LINE_LIMIT, answer, one_line, submit
from orchestrator.agents.terminal_page import Page
from orchestrator.agents.terminal_reader import Asked, View, idles, works
from orchestrator.agents.terminal_records import Records, confirmed, read_records
from orchestrator.model.outcome import ProcessExit, TurnEnd
from orchestrator.model.request import Decision, PermissionRequest, Tool, Verdict
from orchestrator.model.transcript import Role
from orchestrator.ports import Process, Session

#: The page is looked at so often although nothing was drawn.
_LOOK_S = 1.0
#: A main prompt that stays so long is the end of the turn.
_IDLE_S = 0.8
#: A program may take so long to begin: to show its prompt, and to show that it took its task.
_START_S = 45.0
#: A page that shows nothing known for so long is a question that nobody knows.
_UNKNOWN_S = 4.0
#: An answer that changes nothing for so long was none.
_STUCK_S = 8.0
#: An agent that is refused so often and still asks does not find another way.
_REFUSALS = 30


class Stop(Exception):  # noqa: N818 (no fault, but the end of a conversation)
    """The conversation cannot go on."""

    def __init__(self, kind: TurnEnd, message: str) -> None:
        super().__init__(message)
        self.kind, self.message = kind, message


@dataclass(slots=True, kw_only=True)
class Turn:
    """What is known of one conversation."""

    session: Session
    process: Process
    page: Page
    ended: asyncio.Future[ProcessExit]
    records_dir: Path
    typed: bool  #: whether the task has yet to be typed
    refused: list[str] = field(default_factory=list)
    begun: bool = False  #: whether the main prompt, or work, was ever seen
    _untold: list[str] = field(default_factory=list)
    _finished_rows: int = 0
    _number: int = 0
    _since: float = 0.0

    async def converse(self) -> None:
        """Return when the turn is over, by the main prompt or by the program's end. Raises Stop."""
        self._since = asyncio.get_running_loop().time()
        while not self.ended.done():
            await self.page.news(_LOOK_S)
            view = await self.page.still()
            if self.ended.done():
                return
            asked = self.page.prompt()
            self.page.went_on(asked)
            if asked is not None:
                await self._on_prompt(asked)
            elif idles(self.page.signature, view):
                if await self._on_idle(view):
                    return
            elif works(self.page.signature, view):
                self.begun = True
            else:
                self._on_silence(view)

    async def _on_prompt(self, asked: Asked) -> None:
        """Have it decided; answer only if exactly this prompt still stands there."""
        if asked.same_question(self.page.answered):
            if self.page.still_s > _STUCK_S:
                raise Stop(TurnEnd.UNKNOWN_PROMPT, "the agent's question stays, although it was answered")
            return
        self.begun = self.page.worked = True
        if asked.prompt.settled:
            await self._answer(asked, allow=asked.prompt.settled == "allow", reason="")
            return
        exact = await self._exactly(asked)
        decision = await self.session.decide(self._request(exact))
        allowed = decision.verdict is Verdict.ALLOW
        await self.page.still()
        if self.ended.done() or not asked.same_question(self.page.prompt()):
            return
        if (await self._exactly(asked)) != exact:
            return
        await self._answer(asked, allow=allowed, reason=decision.reason)
        if not allowed:
            self._refuse(exact, decision)

    async def _answer(self, asked: Asked, *, allow: bool, reason: str) -> None:
        self.page.answered = asked
        if not await answer(self.page, self.process, asked, allow=allow, reason=reason):
            raise Stop(TurnEnd.UNKNOWN_PROMPT, "the agent's question did not take its answer")

    async def _exactly(self, asked: Asked) -> Asked:
        return confirmed(asked, await self.records()) if self.page.signature.records else asked

    async def records(self) -> Records:
        """Read what the program's own session file tells."""
        return await asyncio.to_thread(read_records, self.page.signature.records, self.records_dir)

    def _request(self, asked: Asked) -> PermissionRequest:
        """Say what is asked; with a doubt it is something that nobody can judge as safe."""
        self._number += 1
        number, name = str(self._number), asked.prompt.name
        if asked.doubt or asked.prompt.tool is Tool.OTHER:
            shown = "\n".join(asked.rows)
            told: Mapping[str, Any] = {"prompt": name, "screen": shown}
            told = {**told, "doubt": asked.doubt} if asked.doubt else told
            return PermissionRequest(id=number, tool=Tool.OTHER, arguments=told)
        more = {"url": asked.url} if asked.url else {}
        return PermissionRequest(
            id=number,
            tool=asked.prompt.tool,
            command=asked.command,
            path=asked.path,
            arguments={"prompt": name, **more},
        )

    def _refuse(self, asked: Asked, decision: Decision) -> None:
        what = asked.command or asked.path or asked.url or asked.prompt.name
        self.refused.append(f"{asked.prompt.tool.value} `{what}`: {decision.reason}")
        if len(self.refused) > _REFUSALS:
            raise Stop(TurnEnd.DENIED, f"refused {len(self.refused)} times, and asked again")
        if not any("{reason}" in key for key in asked.prompt.deny_keys):
            doubt = f" ({asked.doubt})" if asked.doubt else ""
            self._untold.append(f"`{one_line(what)[:200]}` was not allowed: {decision.reason}{doubt}")

    async def _on_idle(self, view: View) -> bool:
        """Hand over what is to be said; return whether the turn is over."""
        if self.typed:
            self.typed = False
            await self._say(self.session.task.prompt, view)
            return False
        if self.page.still_s < _IDLE_S:
            return False
        if not self.page.worked and self._finished(view) == self._finished_rows:
            self._give_up_late()
            return False
        if not self._untold:
            return True
        reasons = "; ".join(self._untold)[: LINE_LIMIT - 100]
        self._untold.clear()
        await self._say(
            f"{reasons}. Find another way that needs no such permission, or end without it.", view
        )
        return False

    async def _say(self, text: str, view: View) -> None:
        self.page.worked, self._finished_rows = False, self._finished(view)
        self._since = asyncio.get_running_loop().time()
        if self.begun:
            self.session.transcribe(Role.PROMPT, text)
        if not await submit(self.page, self.process, text):
            raise Stop(TurnEnd.NO_RESPONSE, "the agent's input box did not take what was typed")
        self.begun = True

    def _finished(self, view: View) -> int:
        patterns = self.page.signature.finished
        return sum(any(pattern.fullmatch(line) for pattern in patterns) for line in view.lines)

    def _give_up_late(self) -> None:
        if asyncio.get_running_loop().time() - self._since > _START_S:
            raise Stop(TurnEnd.NO_RESPONSE, "the agent waits at its prompt, and did not begin its task")

    def _on_silence(self, view: View) -> None:
        """What stands still and is not known is a question that must not be answered."""
        if not any(view.lines):
            return
        limit = _UNKNOWN_S if self.begun or waits_for_a_person(view.lines, view.cursor) else _START_S
        knows_silence = not self.page.signature.working
        if knows_silence and not waits_for_a_person(view.lines, view.cursor):
            return
        if self.page.still_s > limit:
            raise Stop(TurnEnd.UNKNOWN_PROMPT, "the agent asks something that cannot be answered for you")
