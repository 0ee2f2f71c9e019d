"""How long a run will still take, by the estimates of its tasks."""

from __future__ import annotations

from datetime import datetime
from heapq import heapify, heappop, heappush

from orchestrator.journal.state import RunState
from orchestrator.journal.worker_state import WorkerState
from orchestrator.model.event import Phase


def remaining(state: RunState, now: datetime) -> float | None:
    """Seconds still to go; None when a task that is not done has no estimate."""
    left = [worker for worker in state.workers.values() if worker.result is None]
    if not left or any(worker.estimate_s is None for worker in left):
        return None
    ends: dict[str, float] = {}
    queued = []
    for worker in left:
        if worker.phase is Phase.QUEUED:
            queued.append(worker)
        else:
            ends[worker.id] = _rest(worker, now)
    slots = [*ends.values(), *[0.0] * (max(1, state.max_workers) - len(ends))]
    heapify(slots)
    while queued:
        ready = [
            worker
            for worker in queued
            if all(need in ends or _has_ended(state, need) for need in worker.needs)
        ]
        if not ready:
            return None
        for worker in ready:
            start = max([heappop(slots), *(ends.get(need, 0.0) for need in worker.needs)])
            ends[worker.id] = start + (worker.estimate_s or 0.0)
            heappush(slots, ends[worker.id])
        queued = [worker for worker in queued if worker.id not in ends]
    return max(ends.values())


def _rest(worker: WorkerState, now: datetime) -> float:
    spent = (now - worker.attempts[-1].started_at).total_seconds() if worker.attempts else 0.0
    return max(0.0, (worker.estimate_s or 0.0) - spent)


def _has_ended(state: RunState, worker_id: str) -> bool:
    return worker_id not in state.workers or state.workers[worker_id].result is not None
