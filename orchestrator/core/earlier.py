"""What a run that is resumed or tried again had come to: which results stay, and what starts again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.attempt.attempt import STOPPED
from orchestrator.core.conditions import ledger_of, opening_state
from orchestrator.core.plan import RunPlan
from orchestrator.core.results import GoingOn, Worker
from orchestrator.core.scheduler import SchedulerState
from orchestrator.journal.runs import RunLock
from orchestrator.journal.state import RunState
from orchestrator.journal.worker_state import WorkerState
from orchestrator.model.event import Event
from orchestrator.model.outcome import TurnEnd
from orchestrator.model.result import PermissionCounts, Status, TaskResult

RESUME, RETRY = "resume", "retry"


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """How a run stood when its last process ended."""

    folder: Path
    lock: RunLock
    reason: str  #: `resume` or `retry`
    events: tuple[Event, ...]  #: all that was journalled
    state: RunState  #: after them
    again: tuple[str, ...]  #: the workers that start again, in spawn order
    attempts: Mapping[str, int]  #: how many each of them has had

    @property
    def run_id(self) -> str:
        return self.folder.name

    @property
    def elapsed_s(self) -> float:
        """Seconds that the run has taken so far, without the time it was down."""
        return self.state.elapsed

    @property
    def kept(self) -> dict[str, TaskResult]:
        """The results that stay."""
        workers = self.state.workers.values()
        return {
            worker.id: worker.result for worker in workers if worker.result and worker.id not in self.again
        }

    @property
    def asked(self) -> int:
        """The highest number a question to people had."""
        entries = [entry for worker in self.state.workers.values() for entry in worker.permissions.values()]
        return max((entry.question["question"] for entry in entries if entry.question), default=0)

    def opening_state(self, plan: RunPlan) -> SchedulerState:
        """Return the scheduler's state to go on from. What was spent counts; retries count anew."""
        ended = {worker_id: result.status for worker_id, result in self.kept.items()}
        ledger = ledger_of(plan.config, plan.tasks, self.state)
        return opening_state(plan, ended=ended, attempts=self.attempts, ledger=ledger)

    def remind(self, worker: Worker) -> None:
        """Let the worker know what was before."""
        state = self.state.workers[worker.task.id]
        worker.attempts = self.attempts.get(state.id, 0)
        worker.earlier = state.result or _unfinished(state)
        worker.spent_before = sum(attempt_seconds(state, self.elapsed_s))
        worker.permissions = worker.earlier.permissions
        worker.going_on = going_on(state) if self.reason == RESUME else None


def attempt_seconds(worker: WorkerState, elapsed_s: float) -> list[float]:
    """How long each attempt held its slot; one without an end was cut off with the run."""
    ends = [elapsed_s if attempt.end is None else attempt.end for attempt in worker.attempts]
    return [max(0.0, end - attempt.start) for attempt, end in zip(worker.attempts, ends, strict=True)]


def going_on(worker: WorkerState) -> GoingOn | None:
    """Say where an agent can go on that was cut off; without a session of its own it remembers nothing."""
    if not worker.attempts:
        return None
    last = worker.attempts[-1]
    failed = last.status not in {None, Status.CANCELLED, Status.PARKED, Status.SUCCEEDED}
    if last.session_id is None or (failed and last.error_kind not in {*STOPPED, TurnEnd.RATE_LIMITED}):
        return None
    return GoingOn(last.session_id, last.workspace)


def cut_short(state: RunState) -> tuple[str, ...]:
    """The workers that did not come to an end of their own, in spawn order."""
    return _with_dependents(
        state,
        {
            worker.id
            for worker in _unsettled(state)
            if worker.result is None
            or worker.result.status is Status.PARKED
            or worker.result.error_kind in STOPPED
        },
    )


def unsuccessful(state: RunState, named: Collection[str] = ()) -> tuple[str, ...]:
    """The workers to try again: all without success, or those named; and what was skipped for their sake."""
    failed = {worker.id for worker in _unsettled(state) if worker.result is None or not worker.result.success}
    return _with_dependents(state, _with_variants(state, set(named)) or failed)


def _unsettled(state: RunState) -> list[WorkerState]:
    """All workers but variants of a task that has succeeded: what became of them is over."""
    settled = {worker.id for worker in state.tasks if worker.result and worker.result.success}
    return [worker for worker in state.workers.values() if worker.variant_of not in settled]


def _with_variants(state: RunState, named: set[str]) -> set[str]:
    """Add the variants of the tasks that are named: all of them where the task had succeeded."""
    left = {worker.id for worker in _unsettled(state)}
    variants = {
        worker.id
        for worker in state.workers.values()
        if worker.variant_of in named
        and (worker.id not in left or worker.result is None or not worker.result.success)
    }
    return named | variants


def _with_dependents(state: RunState, chosen: set[str]) -> tuple[str, ...]:
    """Add those that were skipped because one of the chosen had failed, and who chooses among variants."""
    chosen = chosen | {task for name in chosen if (task := state.workers[name].variant_of)}
    grown = True
    while grown:
        skipped = {
            worker.id
            for worker in state.workers.values()
            if worker.result and worker.result.error_kind == "need_failed" and chosen & set(worker.needs)
        }
        grown = not skipped <= chosen
        chosen = chosen | skipped
    return tuple(worker_id for worker_id in state.workers if worker_id in chosen)


def _unfinished(worker: WorkerState) -> TaskResult:
    """What is known of a worker that the run's death cut off."""
    verdicts = Counter(
        entry.decision["verdict"] for entry in worker.permissions.values() if entry.decision is not None
    )
    return TaskResult(
        worker_id=worker.id,
        name=worker.name,
        agent=worker.agent,
        status=Status.CANCELLED,
        output=worker.message or "",
        queue_wait=worker.queue_wait or 0.0,
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
