"""How questions of agents are written for the person who answers: exactly, and harmless for the terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchestrator.journal.state import RunState
from orchestrator.journal.worker_state import PermissionState, WorkerState
from orchestrator.report.words import duration

_SHOWN_ABOVE = ("command", "path")


@dataclass(frozen=True, slots=True)
class OpenQuestion:
    """A question that waits for a person, as the journal tells it."""

    worker: WorkerState
    entry: PermissionState
    asked: Mapping[str, Any]  #: what the policy said when it left it to a person

    @property
    def number(self) -> int:
        """Its number in the run."""
        return int(self.asked["question"])

    def seconds_left(self, now: datetime) -> float:
        """How long it still waits before it is denied."""
        return max(0.0, (datetime.fromisoformat(self.asked["deadline"]) - now).total_seconds())

    def age(self, now: datetime) -> float:
        """How long it has waited."""
        return max(0.0, (now - self.entry.asked_at).total_seconds()) if self.entry.asked_at else 0.0


def open_questions(state: RunState) -> list[OpenQuestion]:
    """Everything that waits for a person in the run, oldest first."""
    found = [
        OpenQuestion(worker, entry, entry.question)
        for worker in state.workers.values()
        for entry in worker.open_questions
        if entry.question
    ]
    return sorted(found, key=lambda question: question.number)


def exact(text: str) -> str:
    """Write every character that does not show, or would steer the terminal, as its escape."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text.encode("utf-8", "backslashreplace").decode("utf-8")
    )


def request_lines(request: Mapping[str, Any]) -> list[str]:
    """The whole request, nothing left out: what it wants, then all other arguments."""
    lines = []
    for name in _SHOWN_ABOVE:
        if value := request.get(name):
            lines += _labelled(name, str(value))
    for name, value in (request.get("arguments") or {}).items():
        if request.get(name) != value or name not in _SHOWN_ABOVE:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            lines += _labelled(str(name), text)
    return lines


def _labelled(name: str, text: str) -> list[str]:
    first, *rest = text.split("\n")
    label = f"{exact(name):<9} "
    return [f"{label}{exact(first)}", *(f"{' ' * len(label)}{exact(line)}" for line in rest)]


def question_document(run_id: str, question: OpenQuestion, now: datetime) -> dict[str, Any]:
    """The question as a JSON object."""
    request, asked = question.entry.request, question.asked
    return {
        "run_id": run_id,
        "id": question.number,
        "worker_id": question.worker.id,
        "attempt": question.entry.attempt,
        "agent": question.worker.agent,
        "request_id": request.get("request_id"),
        "tool": request.get("tool"),
        "path": request.get("path"),
        "command": request.get("command"),
        "arguments": request.get("arguments"),
        "digest": asked["digest"],
        "level": asked["level"],
        "rule": asked["rule"],
        "reason": asked["reason"],
        "asked_at": question.entry.asked_at.isoformat() if question.entry.asked_at else None,
        "waited_seconds": round(question.age(now), 3),
        "deadline": asked["deadline"],
        "seconds_left": round(question.seconds_left(now), 3),
    }


def whole_question(run_id: str, question: OpenQuestion, now: datetime) -> list[str]:
    """Everything there is to know before answering, as lines."""
    asked, worker = question.asked, question.worker
    left = duration(question.seconds_left(now))
    return [
        f"question {question.number} of run {run_id}",
        f"  worker    {exact(worker.id)} (attempt {question.entry.attempt}, agent {exact(worker.agent)})",
        f"  tool      {question.entry.request.get('tool')}",
        *(f"  {line}" for line in request_lines(question.entry.request)),
        f"  policy    {asked['level']}, rule {exact(asked['rule'])}: {exact(asked['reason'])}",
        f"  waits     {duration(question.age(now))}; denied in {left} unless answered",
        f"  digest    {asked['digest']}",
        "",
        f"answer with: orchestrator answer {run_id} {question.number} --allow | --allow-run | --deny -m TEXT",
    ]
