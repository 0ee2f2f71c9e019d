"""The queue of questions for people: many workers may ask at once, an answer fits one exact question."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from orchestrator.model.request import Decision, Level, PermissionRequest, Verdict
from orchestrator.ports import Clock

#: Arguments in which agents tell people what a request is for; they change nothing of what it does.
_REMARKS = frozenset({"description", "justification", "reason"})
#: What identifies a question for `allow for this run`.
_Shape = tuple[str | None, ...]
#: Makes it known, durably, that a question waits.
Publish = Callable[[Mapping[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Whose agent asks."""

    worker_id: str
    attempt: int
    agent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One request that waits for a person; `decision` is the policy's, with its level and rule."""

    number: int
    asker: Asker
    request: PermissionRequest
    decision: Decision
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a person said to the question with this number, whose digest they were shown."""

    question: int
    digest: str
    verdict: Verdict
    for_run: bool = False  #: also to the same request later in this run, by any worker with this agent
    message: str | None = None  #: for the agent
    by: str


@dataclass(frozen=True, slots=True)
class _Open:
    question: Question
    answered: asyncio.Future[Decision]


class Approvals:
    """The open questions of one run. Lives in the run's event loop."""

    def __init__(self, *, timeout_s: float, clock: Clock, asked: int = 0) -> None:
        """`asked`: so many questions there were before; numbers go on from there."""
        self._timeout_s, self._clock = timeout_s, clock
        self._open: dict[int, _Open] = {}
        self._asked = asked
        self._allowed: dict[_Shape, str] = {}  # what was allowed for the run, and by whom

    @property
    def open(self) -> Mapping[int, Question]:
        """What waits for an answer, oldest first."""
        return {number: entry.question for number, entry in self._open.items()}

    async def ask(
        self, asker: Asker, request: PermissionRequest, decision: Decision, publish: Publish
    ) -> Decision:
        """Wait for a person's answer; at the deadline it is no. `decision` says why it is asked."""
        if decision.level is Level.PROHIBITED:
            return replace(decision, verdict=Verdict.DENY)
        if by := self._allowed.get(_shape(asker, request, decision)):
            return _decision(decision, Verdict.ALLOW, "allowed by a person for this run", by)
        entry = self._enter(asker, request, decision)
        number = entry.question.number
        try:
            deadline = asyncio.get_running_loop().time() + self._timeout_s
            await publish(self._opening(entry.question))
            left = max(0.0, deadline - asyncio.get_running_loop().time())
            await asyncio.wait([entry.answered], timeout=left)
        finally:
            self._open.pop(number, None)
        if entry.answered.done():
            return entry.answered.result()
        reason = f"denied: nobody answered within {self._timeout_s:g} s"
        return replace(decision, verdict=Verdict.DENY, rule="ask_timeout", reason=reason, question=number)

    def answer(self, answer: Answer) -> str | None:
        """Give an answer to its question; say why not when it does not fit."""
        entry = self._open.get(answer.question)
        if entry is None:
            if 0 < answer.question <= self._asked:
                return f"question {answer.question} is not open any more"
            return f"there is no question {answer.question}"
        if answer.digest != entry.question.digest:
            return f"question {answer.question} does not ask what was answered: the digests differ"
        if answer.verdict is Verdict.ASK:
            return "an answer is `allow` or `deny`"
        self._settle(entry, answer)
        return None

    def _settle(self, entry: _Open, answer: Answer) -> None:
        question = entry.question
        if answer.verdict is Verdict.DENY:
            message = f": {answer.message}" if answer.message else ""
            self._close(
                entry, _decision(question.decision, Verdict.DENY, f"denied by a person{message}", answer.by)
            )
            return
        reason = "allowed by a person for this run" if answer.for_run else "allowed by a person, this once"
        self._close(entry, _decision(question.decision, Verdict.ALLOW, reason, answer.by))
        if answer.for_run:
            shape = _shape(question.asker, question.request, question.decision)
            self._allowed[shape] = answer.by
            for other in list(self._open.values()):
                if _shape(other.question.asker, other.question.request, other.question.decision) == shape:
                    self._close(other, _decision(other.question.decision, Verdict.ALLOW, reason, answer.by))

    def _close(self, entry: _Open, decision: Decision) -> None:
        number = entry.question.number
        del self._open[number]
        entry.answered.set_result(replace(decision, question=number))

    def _enter(self, asker: Asker, request: PermissionRequest, decision: Decision) -> _Open:
        self._asked += 1
        question = Question(
            number=self._asked,
            asker=asker,
            request=request,
            decision=decision,
            digest=digest_of(asker, request),
        )
        entry = _Open(question, asyncio.get_running_loop().create_future())
        self._open[question.number] = entry
        return entry

    def _opening(self, question: Question) -> dict[str, Any]:
        decision = question.decision
        return {
            "request_id": question.request.id,
            "verdict": Verdict.ASK.value,
            "level": decision.level.value,
            "rule": decision.rule,
            "reason": decision.reason,
            "question": question.number,
            "digest": question.digest,
            "deadline": (self._clock.now() + timedelta(seconds=self._timeout_s)).isoformat(),
        }


def digest_of(asker: Asker, request: PermissionRequest) -> str:
    """What an answer is bound to: who asks, and every argument exactly."""
    parts = [asker.worker_id, asker.attempt, request.id, request.tool, request.path, request.command]
    exact = json.dumps([*parts, request.arguments], sort_keys=True, default=_plain)
    return hashlib.sha256(exact.encode("utf-8", "surrogatepass")).hexdigest()


def read_answer(data: Mapping[str, Any], by: str) -> Answer | str:
    """Read what another process left in the requests table; say what is wrong with it."""
    question, digest, message = data.get("question"), data.get("digest"), data.get("message")
    scope = data.get("scope", "once")
    if not isinstance(question, int) or not isinstance(digest, str) or scope not in {"once", "run"}:
        return "the answer names no question, no digest or an unknown scope"
    if data.get("verdict") not in {"allow", "deny"} or not isinstance(message, str | None):
        return "an answer is `allow` or `deny`, and its message is text"
    return Answer(
        question=question,
        digest=digest,
        verdict=Verdict(data["verdict"]),
        for_run=scope == "run",
        message=message,
        by=by,
    )


def _decision(asked: Decision, verdict: Verdict, reason: str, by: str) -> Decision:
    return replace(asked, verdict=verdict, rule="person", reason=reason, by=by)


def _shape(asker: Asker, request: PermissionRequest, decision: Decision) -> _Shape:
    """The same agent asks the same for the same reason of the policy; only remarks may differ."""
    arguments = {key: value for key, value in request.arguments.items() if key not in _REMARKS}
    exact = json.dumps(arguments, sort_keys=True, default=_plain)
    return (
        asker.agent,
        request.tool,
        request.path,
        request.command,
        exact,
        decision.level,
        decision.rule,
    )


def _plain(value: object) -> object:
    """Nested mappings need not be dicts."""
    return dict(value) if isinstance(value, Mapping) else repr(value)
