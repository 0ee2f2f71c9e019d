"""The queue of questions by itself: what counts as the same request, and what an answer may be."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from orchestrator.clock import SystemClock
from orchestrator.core.approvals import Answer, Approvals, Asker, digest_of, read_answer
from orchestrator.model.request import Decision, Level, PermissionRequest, Tool, Verdict

ASKER = Asker(worker_id="a", attempt=1, agent="claude")
ASKED = Decision(verdict=Verdict.ASK, level=Level.CAUTION, rule="shell-asks", reason="")
REQUEST: dict[str, Any] = {
    "id": "1",
    "tool": Tool.SHELL,
    "command": "make",
    "arguments": {"command": "make", "description": "build it", "cwd": "/w"},
}


async def _published(_: Mapping[str, Any]) -> None:
    return


async def allow_for_run_then(
    asker: Asker = ASKER, decision: Decision = ASKED, timeout_s: float = 0.01, **changes: Any
) -> Decision:
    """Allow REQUEST for the run; then ask a changed one, which nobody answers."""
    approvals = Approvals(timeout_s=timeout_s, clock=SystemClock())

    async def answer(data: Mapping[str, Any]) -> None:
        given = Answer(
            question=data["question"], digest=data["digest"], verdict=Verdict.ALLOW, for_run=True, by="ada"
        )
        assert approvals.answer(given) is None
        assert approvals.answer(given) == "question 1 is not open any more"

    first = await approvals.ask(ASKER, PermissionRequest(**REQUEST), ASKED, answer)
    assert (first.verdict, first.rule, first.by, first.question) == (Verdict.ALLOW, "person", "ada", 1)
    return await approvals.ask(asker, PermissionRequest(**(REQUEST | changes)), decision, _published)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"id": "2"},
        {"asker": Asker(worker_id="b", attempt=2, agent="claude")},
        {"arguments": {"command": "make", "description": "again", "cwd": "/w"}},
    ],
)
def test_the_very_same_is_allowed_for_the_run(changes: dict[str, Any]) -> None:
    again = asyncio.run(allow_for_run_then(**changes))
    assert (again.verdict, again.rule, again.by, again.question) == (Verdict.ALLOW, "person", "ada", None)


@pytest.mark.parametrize(
    "changes",
    [
        {"command": "make install"},
        {"tool": Tool.OTHER},
        {"path": "x"},
        {"arguments": {"command": "make", "description": "build it", "cwd": "/"}},
        {"arguments": {}},
        {"asker": Asker(worker_id="a", attempt=1, agent="codex")},
        {"decision": Decision(verdict=Verdict.ASK, level=Level.DANGEROUS, rule="shell-asks", reason="")},
        {"decision": Decision(verdict=Verdict.ASK, level=Level.CAUTION, rule="other", reason="")},
    ],
)
def test_anything_else_is_asked_again(changes: dict[str, Any]) -> None:
    again = asyncio.run(allow_for_run_then(**changes))
    assert (again.verdict, again.rule, again.question) == (Verdict.DENY, "ask_timeout", 2)


def test_what_became_prohibited_is_denied_although_it_was_allowed() -> None:
    prohibited = Decision(verdict=Verdict.ASK, level=Level.PROHIBITED, rule="shell-asks", reason="")
    again = asyncio.run(allow_for_run_then(decision=prohibited))
    assert (again.verdict, again.by) == (Verdict.DENY, None)


@pytest.mark.parametrize(
    "change",
    [{"id": "2"}, {"command": "make "}, {"arguments": {}}, {"path": ""}, {"tool": Tool.OTHER}],
)
def test_the_digest_holds_every_argument(change: dict[str, Any]) -> None:
    assert digest_of(ASKER, PermissionRequest(**REQUEST)) != digest_of(
        ASKER, PermissionRequest(**(REQUEST | change))
    )


def test_a_waiting_question_goes_with_its_asker() -> None:
    async def cancelled() -> int:
        approvals = Approvals(timeout_s=60, clock=SystemClock())
        asking = asyncio.ensure_future(approvals.ask(ASKER, PermissionRequest(**REQUEST), ASKED, _published))
        await asyncio.sleep(0)
        assert len(approvals.open) == 1
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        return len(approvals.open)

    assert asyncio.run(cancelled()) == 0


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": "ask"},
        {"verdict": None},
        {"question": "1"},
        {"question": None},
        {"digest": 7},
        {"scope": "ever"},
        {"message": ["x"]},
    ],
)
def test_an_answer_of_the_wrong_form_is_refused_in_words(change: dict[str, Any]) -> None:
    data = {"question": 1, "digest": "d", "verdict": "allow", "scope": "once", "message": None}
    assert isinstance(read_answer(data, "ada"), Answer)
    assert isinstance(read_answer(data | change, "ada"), str)
