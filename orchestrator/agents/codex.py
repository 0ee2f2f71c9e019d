"""The agent `codex`: OpenAI's Codex, driven through its app-server, which asks before it acts."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from orchestrator.agents.codex_end import ended
from orchestrator.agents.codex_home import make_home
from orchestrator.agents.codex_program import INSTALL, KEYS, LOG_IN, find_program, is_logged_in, look
from orchestrator.agents.codex_turn import CodexTurn, Patience
from orchestrator.agents.json_lines import JsonLines
from orchestrator.agents.logins import CODEX, shared_login
from orchestrator.errors import SpawnError
from orchestrator.model.event import EventKind
from orchestrator.model.installation import Installation
from orchestrator.model.outcome import Outcome, ProcessExit, TurnEnd
from orchestrator.model.result import Usage
from orchestrator.model.task import Task
from orchestrator.ports import Process, Session

#: After its turn Codex may take this long to put its session away.
END_S = 5.0


class CodexAgent:
    """Drives the user's own `codex`; needs a key in the environment, or a login."""

    name = "codex"
    variables = (*KEYS, "OPENAI_BASE_URL")

    def __init__(self, patience: Patience | None = None) -> None:
        self._patience = patience or Patience()

    def look(self, env: Mapping[str, str]) -> Installation:
        """Say what there is of Codex on this machine."""
        return look(env)

    def fault(self, task: Task) -> str | None:
        """Say that the program is missing."""
        if task.command:
            return "agent `codex` has a command of its own: leave out the task's `command`"
        return None if find_program(os.environ) else f"agent `codex`: {INSTALL}"

    async def run(self, session: Session) -> Outcome:
        """Carry the task out in one turn, of a new thread or of one that is resumed."""
        program = find_program(session.env)
        if program is None:
            raise SpawnError("`codex` was not started: it is not on the PATH", hint=INSTALL)
        async with shared_login(session, CODEX) as login:
            if not is_logged_in(session.env, login):
                return ended(TurnEnd.AUTH, f"Codex is not logged in; {LOG_IN}", "")
            home = make_home(session.config_dir, session.workspace, session.env, login)
            return await self._turn(session, [str(program), "app-server"], home)

    async def _turn(self, session: Session, argv: Sequence[str], home: Path) -> Outcome:
        lines = JsonLines()
        turn = CodexTurn(session, lines, self._patience)
        try:
            process = await lines.start(session, argv, {"CODEX_HOME": str(home)})
            outcome = await turn.carry_out()
            end = await _left(process) if turn.over else None
        finally:
            lines.close()
        usage = turn.usage.usage()
        _emit_usage(session, usage)
        return replace(outcome, exit=end or lines.exit, session_id=turn.thread_id, usage=usage)


async def _left(process: Process) -> ProcessExit | None:
    """Let Codex put its thread away and end."""
    await process.close_input()
    try:
        async with asyncio.timeout(END_S):
            return await process.wait()
    except TimeoutError:
        return None


def _emit_usage(session: Session, usage: Usage) -> None:
    if usage.input_tokens is not None:
        session.emit(
            EventKind.AGENT_USAGE,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cost_usd=None,
            turns=None,
        )
