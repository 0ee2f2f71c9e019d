"""What a case is judged by: the worker's result, its events, and what the model was asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

import psutil

from orchestrator.conformance.model_server import Seen
from orchestrator.model.event import Event, EventKind
from orchestrator.model.request import Tool
from orchestrator.model.result import TaskResult


class Grade(StrEnum):
    """How an agent did in one case."""

    PASSED = "passed"
    FAILED = "failed"
    UNSUPPORTED = "not supported"  #: it goes without, and nothing untrue is reported


class Judgement(NamedTuple):
    """The grade, and why it is not better."""

    grade: Grade
    why: str = ""


PASSED = Judgement(Grade.PASSED)


def failed(why: str) -> Judgement:
    """The agent did what it must not, or did not what it must."""
    return Judgement(Grade.FAILED, why)


def unsupported(why: str) -> Judgement:
    """The agent cannot do it."""
    return Judgement(Grade.UNSUPPORTED, why)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that is known about one worker after its run."""

    result: TaskResult
    events: Sequence[Event]
    requests: Sequence[Seen]  #: to the model, of this worker's conversations
    left: Sequence[str] = ()  #: processes that are still there
    stop_s: float | None = None  #: from the stop that was asked for to the end of the run

    def asked(self, tool: Tool) -> list[Mapping[str, Any]]:
        """What it asked permission for."""
        return [
            event.data
            for event in self.events
            if event.kind is EventKind.PERMISSION_REQUESTED and event.data["tool"] == tool
        ]

    def sessions(self) -> set[str]:
        """The sessions that it told of."""
        kind = EventKind.AGENT_SESSION
        return {str(event.data["session_id"]) for event in self.events if event.kind is kind}

    def heard(self) -> str:
        """All that the model was told, by its tools or beside them."""
        return "\n".join(item.text for seen in self.requests for item in seen.request.items)

    def end(self) -> str:
        """How it ended, in words."""
        result = self.result
        kind = f" ({result.error_kind})" if result.error_kind else ""
        return f"it ended as {result.status.value}{kind}" + (
            f": {result.error_message}" if result.error_message else ""
        )


def processes_of(run_id: str) -> list[str]:
    """Processes of a run, wherever in the system they hang: its id is in their environment."""
    found = []
    for process in psutil.process_iter(["name"]):
        try:
            if process.environ().get("ORCHESTRATOR_RUN_ID") == run_id:
                found.append(f"{process.info['name']} ({process.pid})")
        except (psutil.Error, OSError):
            continue  # not ours, or gone
    return found
