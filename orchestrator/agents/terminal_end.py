"""The end of a conversation on a terminal: what came of it, as screen, records and exit tell together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from orchestrator.agents.terminal_keys import leave
from orchestrator.agents.terminal_page import Page
from orchestrator.agents.terminal_records import Records
from orchestrator.agents.terminal_signatures import Signature
from orchestrator.agents.terminal_turn import Stop, Turn
from orchestrator.model.event import EventKind
from orchestrator.model.outcome import Outcome, ProcessExit, TurnEnd
from orchestrator.model.result import Status, Usage
from orchestrator.model.transcript import Role
from orchestrator.ports import Session
from orchestrator.safe_text import final_text, safe_text

#: How long a program may take to end after it was asked to.
_LEAVE_S = 5.0
#: Failures are looked for in so many of the last rows.
_FAILURE_ROWS = 15
_PARKED_ROWS = 24


async def carried_out(turn: Turn) -> Outcome:
    """Hold the conversation; say what came of it."""
    try:
        await turn.converse()
    except Stop as stop:
        return await _stopped(turn, stop)
    records = await turn.records()
    shown = safe_text(turn.page.screen.text())
    failure = _failure(turn.page)
    message = records.message or _message(turn.page) or shown
    at_prompt = not turn.ended.done()
    end = await _left(turn)
    told = safe_text(turn.process.tail().decode("utf-8", "replace"))
    outcome = Outcome(
        status=Status.SUCCEEDED,
        output=message if at_prompt or records.message else final_text(turn.process.tail()),
        exit=end,
        session_id=_told(turn, records, told),
        usage=_usage(turn.page.signature, told),
    )
    _emit(turn.session, outcome)
    return _judged(turn, outcome, failure, at_prompt=at_prompt)


def _judged(turn: Turn, outcome: Outcome, failure: tuple[TurnEnd, str] | None, *, at_prompt: bool) -> Outcome:
    if not at_prompt and not _ended_well(turn.page, outcome.exit):
        how = outcome.exit.describe() if outcome.exit else "ended"
        failure = TurnEnd.CRASHED, f"the agent's program {how} before its turn was over"
    if failure:
        return replace(outcome, status=Status.FAILED, error_kind=failure[0], error_message=failure[1])
    if turn.refused:
        message = f"refused: {'; '.join(turn.refused)}"
        return replace(outcome, status=Status.REJECTED, error_kind=TurnEnd.DENIED, error_message=message)
    return outcome


def _ended_well(page: Page, end: ProcessExit | None) -> bool:
    """Whether a program that ended by itself was meant to: it has no main prompt, or shows a whole turn."""
    if end is None or end.exit_code != 0:
        return False
    return page.signature.idle is None or _shows_finished(page)


def _shows_finished(page: Page) -> bool:
    finished = page.signature.finished
    return any(pattern.fullmatch(line) for line in page.screen.lines() for pattern in finished)


async def _stopped(turn: Turn, stop: Stop) -> Outcome:
    """End the program where it stands, and show what it showed."""
    shown = safe_text(turn.page.screen.text())
    turn.session.transcribe(Role.SCREEN, shown)
    records = await turn.records()
    end = await turn.process.stop()
    rows = "\n".join(shown.split("\n")[-_PARKED_ROWS:])
    message = f"{stop.message}:\n{rows}"
    status = {TurnEnd.UNKNOWN_PROMPT: Status.PARKED, TurnEnd.DENIED: Status.REJECTED}.get(
        stop.kind, Status.FAILED
    )
    if records.session_id:
        turn.session.emit(EventKind.AGENT_SESSION, session_id=records.session_id)
    return Outcome(
        status=status,
        output=shown,
        error_kind=stop.kind,
        error_message=message,
        exit=end,
        session_id=records.session_id,
    )


async def _left(turn: Turn) -> ProcessExit | None:
    """Let the program end by itself, so that it saves its session."""
    if not turn.ended.done():
        await leave(turn.page, turn.process)
    done, _ = await asyncio.wait({turn.ended}, timeout=_LEAVE_S)
    return turn.ended.result() if done else None


def _failure(page: Page) -> tuple[TurnEnd, str] | None:
    rows = [line for line in page.screen.lines() if line][-_FAILURE_ROWS:]
    for row in reversed(rows):
        for failure in page.signature.failures:
            if failure.row.fullmatch(row):
                return failure.kind, safe_text(row.strip())
    return None


def _message(page: Page) -> str | None:
    """Return the agent's last message, from its first row to the next one that is none of it."""
    pattern, lines = page.signature.message, page.screen.lines()
    if pattern is None:
        return None
    for row in range(len(lines) - 1, -1, -1):
        if found := pattern.fullmatch(lines[row]):
            return safe_text("\n".join([found["text"], *_until_end(page, lines[row + 1 :])]).strip())
    return None


def _until_end(page: Page, rows: Sequence[str]) -> list[str]:
    """A turn's own last row ends the message; so do two blank rows, below which the input box stands."""
    taken: list[str] = []
    for row in rows:
        if not row and taken and not taken[-1]:
            break
        if any(pattern.fullmatch(row) for pattern in page.signature.finished):
            break
        taken.append(row.strip())
    return taken


def _told(turn: Turn, records: Records, told: str) -> str | None:
    pattern = turn.page.signature.session
    found = (pattern.search(turn.page.screen.text()) or pattern.search(told)) if pattern else None
    return found["id"] if found else records.session_id


def _usage(signature: Signature, told: str) -> Usage:
    found = next(reversed(list(signature.usage.finditer(told))), None) if signature.usage else None
    if found is None:
        return Usage()
    tokens = {name: int(found[name].replace(",", "")) for name in ("input", "output")}
    return Usage(input_tokens=tokens["input"], output_tokens=tokens["output"])


def _emit(session: Session, outcome: Outcome) -> None:
    if outcome.session_id:
        session.emit(EventKind.AGENT_SESSION, session_id=outcome.session_id)
    session.emit(EventKind.AGENT_MESSAGE, text=outcome.output)
    session.transcribe(Role.AGENT, outcome.output)
    if outcome.usage.input_tokens is not None:
        session.emit(
            EventKind.AGENT_USAGE,
            input_tokens=outcome.usage.input_tokens,
            output_tokens=outcome.usage.output_tokens,
            cost_usd=None,
            turns=None,
        )
