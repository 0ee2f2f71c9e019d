"""Turns what came of a worker's attempts into its one result."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from orchestrator.attempt.spec import AttemptReport, AttemptSpec
from orchestrator.attempt.stop import StopSignal
from orchestrator.core.scheduler import AccountLimited, AttemptEnded, EndWorker, StartAttempt
from orchestrator.model.outcome import Outcome, TurnEnd
from orchestrator.model.result import PermissionCounts, TaskResult
from orchestrator.model.task import Task
from orchestrator.ports import Clock


@dataclass(frozen=True, slots=True)
class GoingOn:
    """What an attempt that was cut off left to go on with."""

    session_id: str | None  #: the agent's own; None: another agent, or one that remembers nothing
    workspace: int  #: the attempt whose workspace it is


@dataclass(slots=True)
class Worker:
    """What the run remembers of one worker. Instants are monotonic."""

    task: Task
    agent: str
    stop: StopSignal = field(default_factory=StopSignal)
    attempts: int = 0
    choice: int = 0  #: which of its agents the newest attempt has; 0: the task's own
    max_cost: float | None = None  #: of the newest attempt, as the budget leaves it
    began: float | None = None  #: start of the attempt that goes on
    earlier: TaskResult | None = None  #: from before the run was resumed
    going_on: GoingOn | None = None  #: for the next attempt
    spent_before: float = 0.0  #: seconds in slots before the run was resumed
    started: float | None = None
    started_at: datetime | None = None
    ended: float | None = None  #: end of the newest attempt
    ended_at: datetime | None = None
    log_path: Path | None = None
    transcript_path: Path | None = None
    start_commit: str | None = None  #: that the newest attempt built on
    report: AttemptReport | None = None  #: of the newest attempt
    permissions: PermissionCounts = field(default_factory=PermissionCounts)  #: of all attempts


#: Ends of attempts in which no agent ran, so that nothing was spent.
_NO_AGENT = frozenset({"workspace", "setup_failed", "spawn_failed"})


def begin_attempt(worker: Worker, start: StartAttempt, agent: str) -> None:
    """Make the worker ready for its next attempt, with this agent."""
    if worker.going_on and start.choice != worker.choice:
        worker.going_on = replace(worker.going_on, session_id=None)
    worker.agent, worker.began = agent, None
    worker.choice, worker.max_cost = start.choice, start.max_cost
    if worker.stop.reason == "task_timeout":  # it was for the attempt before; a stop of the run stays
        worker.stop = StopSignal()


def config_name(worker: Worker) -> str:
    """Name the folder for the agent's own settings and sessions; one that it fell over to has another."""
    return worker.task.id if worker.choice == 0 else f"{worker.task.id}@{worker.agent}"


def ended_event(
    worker_id: str, outcome: Outcome, clock: Clock, left_s: float | None, duration_s: float
) -> AttemptEnded:
    """Tell the scheduler how an attempt ended, what it cost, and how long a limit it met still holds."""
    cost, tokens = told_cost(outcome)
    wait_s = (outcome.retry_at - clock.now()).total_seconds() if outcome.retry_at else 0.0
    return AttemptEnded(
        worker_id,
        outcome.status,
        outcome.error_kind,
        wait_s=max(1.0, wait_s) if outcome.retry_at else 0.0,
        at=clock.monotonic(),
        left_s=left_s,
        duration_s=duration_s,
        cost=cost,
        tokens=tokens,
    )


def limited_event(worker_id: str, until: str, clock: Clock, left_s: float | None) -> AccountLimited:
    """Tell the scheduler of a limit that an agent heard of while it works."""
    wait_s = (datetime.fromisoformat(until) - clock.now()).total_seconds()
    return AccountLimited(worker_id, max(1.0, wait_s), clock.monotonic(), left_s)


def told_cost(outcome: Outcome) -> tuple[float | None, int | None]:
    """Return what an attempt cost in US dollars and tokens, None where its agent did not tell.

    An agent may claim anything: what is no amount counts as not told.
    """
    if outcome.error_kind in _NO_AGENT:
        return 0.0, 0
    usage = outcome.usage
    counts = [count for count in (usage.input_tokens, usage.output_tokens) if count is not None]
    cost = usage.cost_usd
    sound = cost is not None and math.isfinite(cost) and cost >= 0
    return cost if sound else None, sum(counts) if counts and min(counts) >= 0 else None


def parked_at(spec: AttemptSpec, outcome: Outcome) -> GoingOn | None:
    """Say where to go on once the account's limit is over; None for an attempt that met no limit."""
    if outcome.error_kind != TurnEnd.RATE_LIMITED:
        return None
    return GoingOn(outcome.session_id or spec.resume_id, spec.continues or spec.attempt)


def peak_memory(worker: Worker) -> int:
    """Return the most that the newest attempt's processes used at once; 0 when that was not measured."""
    resources = worker.report.resources if worker.report else None
    return int(resources["peak_rss_bytes"]) if resources else 0


def take_report(worker: Worker, report: AttemptReport) -> None:
    """Remember the newest attempt's report; permissions add up over attempts."""
    worker.report = report
    worker.permissions = PermissionCounts(
        allowed=worker.permissions.allowed + report.permissions.allowed,
        denied=worker.permissions.denied + report.permissions.denied,
        asked=worker.permissions.asked + report.permissions.asked,
    )


def final_result(worker: Worker, end: EndWorker, *, run_started: float, now: float) -> TaskResult:
    """Say how the worker ended. A message of `end` counts before the last attempt's own."""
    result = TaskResult(
        worker_id=worker.task.id, name=worker.task.name, agent=worker.agent, status=end.status
    )
    if worker.started is None or worker.ended is None:
        if worker.earlier is not None:
            return replace(worker.earlier, status=end.status, error_kind=end.kind, error_message=end.message)
        return replace(
            result,
            error_kind=end.kind,
            error_message=end.message,
            queue_wait=round(now - run_started, 6),
        )
    result = replace(
        result,
        duration=round(worker.spent_before + worker.ended - worker.started, 6),
        queue_wait=(
            worker.earlier.queue_wait
            if worker.earlier and worker.earlier.attempts
            else round(worker.started - run_started, 6)
        ),
        attempts=worker.attempts,
        started_at=worker.started_at,
        finished_at=worker.ended_at,
        log_path=str(worker.log_path) if worker.log_path else None,
        transcript_path=_if_there(worker.transcript_path),
        permissions=worker.permissions,
    )
    return _with_report(result, worker.report, end) if worker.report else result


def _notes(result: TaskResult, report: AttemptReport) -> tuple[str, ...]:
    """A coding agent that ends well without changing a file may have done nothing at all."""
    idle = result.success and report.branch is not None and not report.files_changed
    return ("no_changes",) if idle and result.agent != "command" else ()


def _if_there(path: Path | None) -> str | None:
    return str(path) if path and path.exists() else None


def _with_report(result: TaskResult, report: AttemptReport, end: EndWorker) -> TaskResult:
    outcome = report.outcome
    return replace(
        result,
        output=outcome.output,
        error_message=end.message or outcome.error_message,
        error_kind=end.kind or outcome.error_kind,
        exit_code=outcome.exit.exit_code if outcome.exit else None,
        signal=outcome.exit.signal if outcome.exit else None,
        session_id=outcome.session_id,
        usage=outcome.usage,
        retry_at=outcome.retry_at,
        branch=report.branch,
        commit=report.commit,
        files_changed=report.files_changed,
        verify=report.verify,
        variants=report.variants,
        fix_rounds_used=report.fix_rounds_used,
        notes=_notes(result, report),
    )
