"""The state of one worker, and what each kind of event changes in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from orchestrator.model.event import Event, EventKind, Phase
from orchestrator.model.result import TaskResult, Usage


@dataclass(slots=True)
class Interval:
    """A stretch of a worker's time, in seconds from the run's start; `end` is None while it lasts."""

    phase: Phase
    start: float
    end: float | None = None


@dataclass(slots=True)
class AttemptState:
    """One attempt: when it held its slot, in seconds from the run's start, and what came of it."""

    number: int
    start: float
    started_at: datetime
    end: float | None = None
    status: str | None = None
    error_kind: str | None = None
    error_message: str | None = None
    resources: Mapping[str, Any] | None = None
    told: tuple[float | None, int | None] = (None, None)  #: what it cost, in US dollars and in tokens
    session_id: str | None = None  #: the agent's own
    workspace: int = 1  #: the attempt whose workspace it works in


@dataclass(slots=True)
class PermissionState:
    """One permission request and its answer, which is None until there is one."""

    request: Mapping[str, Any]
    attempt: int = 1
    asked_at: datetime | None = None
    question: Mapping[str, Any] | None = None  #: the policy's decision to ask, when it was put to people
    decision: Mapping[str, Any] | None = None  #: the final one
    decided_at: datetime | None = None


@dataclass(slots=True)
class WorkerState:
    """How one worker stands."""

    id: str
    name: str
    agent: str
    needs: tuple[str, ...] = ()
    variant_of: str | None = None  #: the task that it is one of several attempts at
    estimate_s: float | None = None
    digest: str | None = None  #: of what it is to do
    phase: Phase = Phase.QUEUED
    phase_since: datetime | None = None
    attempt: int = 0
    attempts: list[AttemptState] = field(default_factory=list)
    intervals: list[Interval] = field(default_factory=list)
    queue_wait: float | None = None  #: None until it had a slot
    branch: str | None = None
    start_commit: str | None = None  #: that the newest attempt built on
    workspace: str | None = None
    kept: Mapping[str, Any] | None = None  #: the workspace that stays, and why
    salvaged: Mapping[str, Any] | None = None  #: what was kept of a workspace that went, and where
    log_path: str | None = None
    pids: list[int] = field(default_factory=list)  #: of the attempt that goes on
    permissions: dict[str, PermissionState] = field(default_factory=dict)
    waiting: Mapping[str, Any] | None = None  #: why it does not start: reason, detail, until
    waiting_since: datetime | None = None
    waits: dict[str, float] = field(default_factory=dict)  #: seconds that it waited, by reason
    liveness: Mapping[str, Any] | None = None  #: of a running one, once it was not simply alive
    session_id: str | None = None
    message: str | None = None  #: the last thing its agent said
    usage: Usage = field(default_factory=Usage)
    result: TaskResult | None = None

    @property
    def open_questions(self) -> list[PermissionState]:
        """What waits for a person's answer, oldest first."""
        if self.phase is Phase.FINISHED or not self.attempts or self.attempts[-1].end is not None:
            return []
        return [
            entry
            for entry in self.permissions.values()
            if entry.question and entry.decision is None and entry.attempt == self.attempt
        ]


def _attempt_started(worker: WorkerState, event: Event) -> None:
    start = float(event.data["queue_wait"])
    worker.attempt = event.attempt or worker.attempt + 1
    attempt = AttemptState(worker.attempt, start, event.at)
    attempt.session_id = event.data.get("session_id")
    attempt.workspace = event.data.get("continues") or worker.attempt
    worker.attempts.append(attempt)
    worker.log_path = event.data.get("log_path")
    worker.agent = event.data.get("agent") or worker.agent
    worker.pids = []
    worker.liveness = None
    worker.kept = None if event.data.get("continues") else worker.kept
    _wait_for(worker, None, event.at)
    if worker.queue_wait is None:
        worker.queue_wait = start
    _enter(worker, Phase.PREPARING, start, event.at)


def _workspace_created(worker: WorkerState, event: Event) -> None:
    worker.workspace = event.data["path"]
    worker.branch = event.data.get("branch")
    worker.start_commit = event.data.get("start_commit")
    if worker.attempts:
        worker.attempts[-1].workspace = event.data.get("of_attempt") or worker.attempt


def _attempt_phase(worker: WorkerState, event: Event) -> None:
    phase = Phase(event.data["phase"])
    if phase is not worker.phase and worker.attempts:
        attempt = worker.attempts[-1]
        _enter(worker, phase, attempt.start + (event.at - attempt.started_at).total_seconds(), event.at)


def _attempt_finished(worker: WorkerState, event: Event) -> None:
    attempt = worker.attempts[-1]
    attempt.end = attempt.start + event.data["duration"]
    attempt.status = event.data["status"]
    attempt.error_kind = event.data.get("error_kind")
    attempt.error_message = event.data.get("error_message")
    attempt.resources = event.data.get("resources")
    attempt.told = (event.data.get("cost_usd"), event.data.get("tokens"))
    worker.pids = []
    worker.liveness = None
    _end_at(worker, attempt.start, attempt.end)


def _process_started(worker: WorkerState, event: Event) -> None:
    worker.pids.append(event.data["pid"])


def _permission_requested(worker: WorkerState, event: Event) -> None:
    request_id = event.data["request_id"]
    if earlier := worker.permissions.pop(request_id, None):  # agents count anew in each attempt
        worker.permissions[f"{request_id} (earlier, {len(worker.permissions)})"] = earlier
    worker.permissions[request_id] = PermissionState(event.data, worker.attempt, event.at)


def _permission_decided(worker: WorkerState, event: Event) -> None:
    request_id = event.data["request_id"]
    entry = worker.permissions.setdefault(request_id, PermissionState({"request_id": request_id}))
    if event.data.get("verdict") == "ask":
        entry.question = event.data
    else:
        entry.decision, entry.decided_at = event.data, event.at


def _agent_session(worker: WorkerState, event: Event) -> None:
    worker.session_id = event.data["session_id"]
    if worker.attempts:
        worker.attempts[-1].session_id = worker.session_id


def _agent_message(worker: WorkerState, event: Event) -> None:
    worker.message = event.data["text"]


def _agent_usage(worker: WorkerState, event: Event) -> None:
    worker.usage = Usage(
        input_tokens=event.data.get("input_tokens"),
        output_tokens=event.data.get("output_tokens"),
        cost_usd=event.data.get("cost_usd"),
    )


def _workspace_kept(worker: WorkerState, event: Event) -> None:
    worker.kept = event.data


def _workspace_salvaged(worker: WorkerState, event: Event) -> None:
    worker.salvaged = event.data


def _worker_retrying(worker: WorkerState, event: Event) -> None:
    start = worker.attempts[-1].end if worker.attempts else None
    _enter(worker, Phase.QUEUED, start or 0.0, event.at)


def _worker_waiting(worker: WorkerState, event: Event) -> None:
    _wait_for(worker, event.data if event.data.get("reason") else None, event.at)
    if worker.attempts and worker.phase is not Phase.QUEUED:
        _enter(worker, Phase.QUEUED, worker.attempts[-1].end or 0.0, event.at)


def _worker_liveness(worker: WorkerState, event: Event) -> None:
    worker.liveness = event.data


def _worker_finished(worker: WorkerState, event: Event) -> None:
    worker.result = TaskResult.from_json(event.data["result"])
    last = worker.intervals[-1]
    if last.end is None and worker.phase_since:
        last.end = last.start + max(0.0, (event.at - worker.phase_since).total_seconds())
    worker.phase = Phase.FINISHED
    worker.phase_since = event.at
    _wait_for(worker, None, event.at)
    worker.pids = []


def _wait_for(worker: WorkerState, what: Mapping[str, Any] | None, at: datetime) -> None:
    """Count the wait that is over, and begin the next one."""
    if worker.waiting and worker.waiting_since:
        reason = str(worker.waiting["reason"])
        waited = max(0.0, (at - worker.waiting_since).total_seconds())
        worker.waits[reason] = worker.waits.get(reason, 0.0) + waited
    worker.waiting, worker.waiting_since = what, at


def cut_off(worker: WorkerState, at: float) -> None:
    """End what was going on when the run died, `at` seconds after its start."""
    if worker.attempts and worker.attempts[-1].end is None:
        attempt = worker.attempts[-1]
        attempt.end = max(attempt.start, at)
        attempt.status, attempt.error_kind = "cancelled", "run_died"
    if worker.intervals and worker.intervals[-1].end is None:
        worker.intervals[-1].end = max(worker.intervals[-1].start, at)
    worker.pids = []


def start_again(worker: WorkerState, start: float, at: datetime) -> None:
    """Let a worker queue again, whatever came of it before."""
    worker.result = worker.kept = None
    _enter(worker, Phase.QUEUED, start, at)


def _enter(worker: WorkerState, phase: Phase, start: float, at: datetime) -> None:
    """End the interval that lasts and begin the next. A wall clock that was set back makes it empty."""
    if worker.intervals:
        last = worker.intervals[-1]
        start = max(start, last.start if last.end is None else last.end)
        last.end = start if last.end is None else last.end
    worker.intervals.append(Interval(phase, start))
    worker.phase = phase
    worker.phase_since = at


def _end_at(worker: WorkerState, start: float, end: float) -> None:
    """Fit an attempt's intervals into its measured time, which a wall clock knows less well."""
    for interval in reversed(worker.intervals):
        if interval.phase is Phase.QUEUED:
            break
        interval.start = min(max(interval.start, start), end)
        interval.end = end if interval.end is None else min(interval.end, end)


WORKER_EVENTS: Mapping[EventKind, Callable[[WorkerState, Event], None]] = {
    EventKind.ATTEMPT_STARTED: _attempt_started,
    EventKind.WORKSPACE_CREATED: _workspace_created,
    EventKind.ATTEMPT_PHASE: _attempt_phase,
    EventKind.PROCESS_STARTED: _process_started,
    EventKind.PERMISSION_REQUESTED: _permission_requested,
    EventKind.PERMISSION_DECIDED: _permission_decided,
    EventKind.AGENT_SESSION: _agent_session,
    EventKind.AGENT_MESSAGE: _agent_message,
    EventKind.AGENT_USAGE: _agent_usage,
    EventKind.AGENT_LIMITED: lambda _worker, _event: None,
    EventKind.WORKSPACE_KEPT: _workspace_kept,
    EventKind.GATE_GIVEN_BACK: lambda _worker, _event: None,
    EventKind.WORKSPACE_SALVAGED: _workspace_salvaged,
    EventKind.ATTEMPT_FINISHED: _attempt_finished,
    EventKind.WORKER_RETRYING: _worker_retrying,
    EventKind.WORKER_WAITING: _worker_waiting,
    EventKind.WORKER_LIVENESS: _worker_liveness,
    EventKind.WORKER_FINISHED: _worker_finished,
}
