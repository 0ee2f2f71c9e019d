"""Hands a person's answer to a run in another process, and waits until that run has taken it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from orchestrator.cli.question_text import OpenQuestion, exact
from orchestrator.errors import InputError, OrchestratorError
from orchestrator.journal.runs import is_live, journal_path
from orchestrator.journal.state import RunState
from orchestrator.journal.store import add_request, read_events, this_process
from orchestrator.model.event import Event, EventKind
from orchestrator.secrets import user_mask

_WAIT_S = 10.0
_POLL_S = 0.02


def refuse_agents() -> None:
    """An agent must not answer its own questions. This stops the honest ones; the sandbox stops others."""
    if worker_id := os.environ.get("ORCHESTRATOR_WORKER_ID"):
        raise InputError(
            f"worker {exact(worker_id)} cannot answer questions: only a person can",
            hint="answer from a terminal outside the run",
        )


def give_answer(
    folder: Path,
    state: RunState,
    question: OpenQuestion,
    verdict: str,
    *,
    for_run: bool,
    message: str | None,
) -> dict[str, Any]:
    """Leave the answer in the journal; return what the run made of it, InputError when it is refused."""
    data = {
        "question": question.number,
        "digest": question.asked["digest"],
        "verdict": verdict,
        "scope": "run" if for_run else "once",
        "message": message and user_mask().text(message),
    }
    path = journal_path(folder)
    request = add_request(path, "answer", data)
    deadline = time.monotonic() + _WAIT_S
    after = state.last_seq
    while True:
        live = is_live(folder)  # asked first: what the run wrote before it ended is then read as well
        events = read_events(path, after)
        after = events[-1].seq if events else after
        for event in events:
            if taken := _made_of_it(event, question.number, request):
                return taken
        if not live:
            raise InputError(f"run {folder.name} ended before it took the answer")
        if time.monotonic() > deadline:
            raise OrchestratorError(
                f"run {folder.name} has not taken the answer within {_WAIT_S:.0f} s",
                hint="it may be stopped or busy; `orchestrator answer` shows whether the question is open",
            )
        time.sleep(_POLL_S)


def _made_of_it(event: Event, number: int, request: int) -> dict[str, Any] | None:
    data = event.data
    if event.kind is EventKind.ANSWER_REFUSED and data["request"] == request:
        raise InputError(
            f"the answer was refused: {data['reason']}", hint="`orchestrator answer` shows what is open"
        )
    mine = data.get("question") == number and data.get("by") == this_process()
    if event.kind is EventKind.PERMISSION_DECIDED and mine:
        return {
            "verdict": data["verdict"],
            "rule": data["rule"],
            "reason": exact(str(data["reason"])),
            "by": data["by"],
            "at": event.at.isoformat(),
        }
    return None
