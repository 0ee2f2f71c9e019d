"""The report of a run as one JSON document, computed from the run's state."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from orchestrator.journal.state import RunState
from orchestrator.journal.worker_state import WorkerState
from orchestrator.model.event import RunStatus
from orchestrator.model.result import PermissionCounts, Status, TaskResult
from orchestrator.report.decisions import decisions, suggested_rules
from orchestrator.report.predictions import predictions
from orchestrator.report.verdict import overlaps


def build_report(state: RunState) -> dict[str, Any]:
    """Return the report. Its form is part of the public contract: extend it, do not change it."""
    results = [(worker, _result(state, worker)) for worker in state.tasks]
    counts = Counter(result.status for _, result in results if result)
    made = decisions(state)
    document: dict[str, Any] = {
        "schema": 1,
        "run_id": state.run_id,
        "repo": state.repo,
        "base_ref": state.base_ref,
        "base_commit": state.base_commit,
        "isolation": state.isolation,
        "boundary": state.boundary,
        "max_workers": state.max_workers,
        "started_at": state.started_at.isoformat() if state.started_at else None,
        "finished_at": state.finished_at.isoformat() if state.finished_at else None,
        "status": state.status.value,
        "resumes": state.resumes,
        "stopping": state.stopping,
        "paused": state.paused,
        "pauses": {reason: round(seconds, 3) for reason, seconds in state.pauses.items()},
        "slept_s": state.slept_s,
        "budget": dict(state.budget) if state.budget else None,
        **_timing(state),
        "counts": {status.value: counts[status] for status in Status},
        "results": [_entry(state, worker, result) for worker, result in results if result],
        "pending": [_pending(state, worker) for worker, result in results if not result],
        "decisions": made,
        "suggested_rules": suggested_rules(made),
        "conflicts": {"target": None, "against_target": [], "resolved": [], "hints": [], **state.conflicts},
        "landing": dict(state.landing),
        "gates": list(state.gates),
    }
    found = document["conflicts"]
    told = {
        (one["a"], one["b"], one["file"]): dict(one) for one in state.overlaps
    }  # a resumed run tells again
    found["overlaps"] = list(told.values())
    found["predictions"] = predictions(state.overlaps, found, document["landing"])
    finite: dict[str, Any] = _finite(document)
    return finite


def slot_intervals(state: RunState, worker: WorkerState) -> list[tuple[float, float]]:
    """Return when `worker` held a slot, in seconds from the run's start; a live attempt lasts until now."""
    return [
        (attempt.start, max(attempt.start, state.elapsed) if attempt.end is None else attempt.end)
        for attempt in worker.attempts
    ]


def _timing(state: RunState) -> dict[str, float | int]:
    """Measured times: only what was spent in slots counts, so that waiting for one is no speed-up."""
    intervals = [slot_intervals(state, worker) for worker in state.workers.values()]
    durations = [_total(of_worker) for of_worker in intervals]
    wall = state.elapsed
    speedup = sum(durations) / wall if wall > 0 else 0.0
    slots = min(state.max_workers, len(durations))
    return {
        "wall_seconds": round(wall, 6),
        "sum_seconds": round(sum(durations), 6),
        "max_seconds": round(max(durations, default=0.0), 6),
        "speedup": round(speedup, 4),
        "efficiency": round(speedup / slots, 4) if slots else 0.0,  # the share of slot time in use
        "max_overlap": overlaps(interval for of_worker in intervals for interval in of_worker),
    }


def _total(intervals: list[tuple[float, float]]) -> float:
    return sum(end - start for start, end in intervals)


def _result(state: RunState, worker: WorkerState) -> TaskResult | None:
    """Return the worker's result; None when the run goes on and may still give one."""
    if worker.result or state.status is RunStatus.RUNNING:
        return worker.result
    ending = "died" if state.status is RunStatus.DIED else "ended"
    verdicts = Counter(
        entry.decision["verdict"] for entry in worker.permissions.values() if entry.decision is not None
    )
    return TaskResult(
        worker_id=worker.id,
        name=worker.name,
        agent=worker.agent,
        status=Status.CANCELLED,
        output=worker.message or "",
        error_kind=f"run_{ending}",
        error_message=f"the run {ending} before this task did, which was {worker.phase.value}",
        duration=_total(slot_intervals(state, worker)),
        queue_wait=state.elapsed if worker.queue_wait is None else worker.queue_wait,
        attempts=len(worker.attempts),
        started_at=worker.attempts[0].started_at if worker.attempts else None,
        branch=worker.branch,
        session_id=worker.session_id,
        permissions=PermissionCounts(
            allowed=verdicts["allow"],
            denied=verdicts["deny"],
            asked=sum(entry.question is not None for entry in worker.permissions.values()),
        ),
        usage=worker.usage,
        log_path=worker.log_path,
    )


def _entry(state: RunState, worker: WorkerState, result: TaskResult) -> dict[str, Any]:
    resources = [attempt.resources for attempt in worker.attempts if attempt.resources]
    return {
        **result.to_json(),
        "intervals": _intervals(state, worker),
        "resources": dict(resources[-1]) if resources else None,
        "waits": {reason: round(seconds, 3) for reason, seconds in worker.waits.items()},
    }


def _pending(state: RunState, worker: WorkerState) -> dict[str, Any]:
    return {
        "worker_id": worker.id,
        "name": worker.name,
        "agent": worker.agent,
        "phase": worker.phase.value,
        "waits": {reason: round(seconds, 3) for reason, seconds in worker.waits.items()},
        "waiting": dict(worker.waiting) if worker.waiting else None,
        "liveness": dict(worker.liveness) if worker.liveness else None,
        "attempts": len(worker.attempts),
        "variants": [
            {"worker_id": one.id, "agent": one.agent, "phase": one.phase.value}
            for one in state.workers.values()
            if one.variant_of == worker.id
        ],
        "branch": worker.branch,
        "log_path": worker.log_path,
        "intervals": _intervals(state, worker),
    }


def _intervals(state: RunState, worker: WorkerState) -> list[dict[str, Any]]:
    return [
        {
            "phase": interval.phase.value,
            "start": round(interval.start, 6),
            "end": round(max(interval.start, state.elapsed) if interval.end is None else interval.end, 6),
        }
        for interval in worker.intervals
    ]


def _finite(value: Any) -> Any:
    """Replace numbers that JSON cannot hold, which an agent may claim, by null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return value
