"""The agent `claude`: Claude Code, driven through its control protocol on standard input and output."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace

from orchestrator.agents.claude_end import judge, usage_of
from orchestrator.agents.claude_program import INSTALL, find_program, look
from orchestrator.agents.claude_setup import (
    command_line,
    environment,
    is_saved,
    prepare_folder,
    variables,
)
from orchestrator.agents.claude_turn import ClaudeTurn, KeyRefused, NoAnswer
from orchestrator.agents.json_lines import JsonLines
from orchestrator.agents.logins import CLAUDE, shared_login
from orchestrator.errors import AgentProtocolError, SpawnError
from orchestrator.model.event import EventKind
from orchestrator.model.installation import Installation
from orchestrator.model.outcome import Outcome, ProcessExit, TurnEnd
from orchestrator.model.result import Status, Usage
from orchestrator.model.task import Task
from orchestrator.ports import Session


class ClaudeAgent:
    """Drives Claude Code. Every call of a tool that could do harm is put to the policy."""

    name = "claude"

    @property
    def variables(self) -> Sequence[str]:
        """Names of the user's variables that it needs: keys and endpoints of the provider in use."""
        return variables(os.environ)

    def fault(self, task: Task) -> str | None:
        """Say that the program is missing."""
        if task.command:
            return "agent `claude` has a command of its own: leave out the task's `command`"
        return None if find_program(os.environ) else f"agent `claude`: {INSTALL}"

    def look(self, env: Mapping[str, str]) -> Installation:
        """Say what there is of it on this machine."""
        return look(env)

    async def run(self, session: Session) -> Outcome:
        """Carry the task out in one turn, of a new session or of one that is resumed."""
        program = find_program(session.env)
        if program is None:
            raise SpawnError("`claude` was not started: it is not on the PATH", hint=INSTALL)
        session_id = session.resume_id or str(uuid.uuid4())
        folder = prepare_folder(session)
        resumed = is_saved(folder, session_id)
        argv = command_line(program, session, session_id, resumed=resumed)
        lines = JsonLines()
        try:
            async with shared_login(session, CLAUDE) as login:
                await lines.start(session, argv, environment(session, folder, login))
                session.emit(EventKind.AGENT_SESSION, session_id=session_id)
                return replace(await _turn(session, lines, resumed=resumed), session_id=session_id)
        finally:
            lines.close()


async def _turn(session: Session, lines: JsonLines, *, resumed: bool) -> Outcome:
    turn = ClaudeTurn(session, lines)
    outcome: Outcome | None = None
    try:
        await turn.converse(_prompt(session, resumed=resumed))
    except* AgentProtocolError as group:
        outcome = _failed(TurnEnd.PROTOCOL, str(_first(group)))
    except* KeyRefused as group:
        outcome = _failed(TurnEnd.AUTH, f"the model's server refused the login (HTTP {_first(group)})")
    except* NoAnswer:
        outcome = _failed(TurnEnd.NO_RESPONSE, "Claude Code was started and answered nothing")
    usage = usage_of(turn.results, resumed=resumed)
    if turn.results:
        _emit_usage(session, usage)
    if outcome is None:
        end = await turn.leave()
        outcome = replace(_judged(turn) if turn.results else _crashed(end), exit=end)
    return replace(outcome, usage=usage)


def _prompt(session: Session, *, resumed: bool) -> str:
    """A resumed session may go on in another folder than it began in."""
    if not resumed or session.follow_up:
        return session.task.prompt
    return (
        f"You were cut off, and go on now. Your working folder is {session.workspace}; what you had changed"
        f" elsewhere may not be there. The task was:\n\n{session.task.prompt}"
    )


def _judged(turn: ClaudeTurn) -> Outcome:
    return judge(turn.results[-1], error=turn.error, refused=turn.refused(), retry_at=turn.retry_at)


def _emit_usage(session: Session, usage: Usage) -> None:
    session.emit(
        EventKind.AGENT_USAGE,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cost_usd=usage.cost_usd,
        turns=usage.turns,
    )


def _crashed(end: ProcessExit | None) -> Outcome:
    how = end.describe() if end else "fell silent"
    return _failed(
        TurnEnd.CRASHED,
        f"Claude Code {how} before the end of its turn; what it said of that is in the attempt's errors.log",
    )


def _failed(kind: TurnEnd, message: str) -> Outcome:
    return Outcome(status=Status.FAILED, error_kind=kind.value, error_message=message)


def _first(group: BaseExceptionGroup[Exception]) -> BaseException:
    found = group.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found
