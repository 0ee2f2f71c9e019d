"""Turns what came of a worker's attempts into its one result."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from orchestrator.attempt.spec import AttemptReport
from orchestrator.attempt.stop import StopSignal
from orchestrator.core.scheduler import EndWorker
from orchestrator.model.result import PermissionCounts, TaskResult
from orchestrator.model.task import Task


@dataclass(slots=True)
class Worker:
    """What the run remembers of one worker. Instants are monotonic."""

    task: Task
    agent: str
    stop: StopSignal = field(default_factory=StopSignal)
    attempts: int = 0
    started: float | None = None
    started_at: datetime | None = None
    ended: float | None = None  #: end of the newest attempt
    ended_at: datetime | None = None
    log_path: Path | None = None
    transcript_path: Path | None = None
    report: AttemptReport | None = None  #: of the newest attempt
    permissions: PermissionCounts = field(default_factory=PermissionCounts)  #: of all attempts


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
        return replace(
            result,
            error_kind=end.kind,
            error_message=end.message,
            queue_wait=round(now - run_started, 6),
        )
    result = replace(
        result,
        duration=round(worker.ended - worker.started, 6),
        queue_wait=round(worker.started - run_started, 6),
        attempts=worker.attempts,
        started_at=worker.started_at,
        finished_at=worker.ended_at,
        log_path=str(worker.log_path) if worker.log_path else None,
        transcript_path=_if_there(worker.transcript_path),
        permissions=worker.permissions,
    )
    return _with_report(result, worker.report, end) if worker.report else result


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
    )
