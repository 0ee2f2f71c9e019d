"""The state of a run: a fold over its events. Status, progress and report are drawn from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrator.errors import JournalError
from orchestrator.journal.runs import is_live, journal_path
from orchestrator.journal.store import read_events
from orchestrator.journal.worker_state import WORKER_EVENTS, Interval, WorkerState, cut_off, start_again
from orchestrator.model.event import Event, EventKind, Phase, RunStatus


@dataclass(slots=True)
class RunState:
    """How a run stands: facts of its start, then its workers in spawn order."""

    run_id: str = ""
    repo: str = ""
    base_ref: str = ""
    base_commit: str | None = None
    isolation: str = ""
    boundary: str = ""
    max_workers: int = 0
    timeout_s: float | None = None
    pid: int | None = None
    version: str = ""
    status: RunStatus = RunStatus.RUNNING
    started_at: datetime | None = None
    finished_at: datetime | None = None
    budget: Mapping[str, Any] | None = None  #: what is gone of it, at the run's end
    wall_seconds: float | None = None  #: None until the run's end; without the time it was down
    resumed_at: datetime | None = None  #: last
    resumes: int = 0
    elapsed_before: float = 0.0  #: seconds until it was resumed last
    stopping: str | None = None  #: why the run is being stopped
    stopping_detail: str | None = None
    paused: str | None = None  #: why nothing new starts at present
    paused_detail: str | None = None
    pauses: dict[str, float] = field(default_factory=dict)  #: seconds of those that are over, by reason
    slept_s: float = 0.0  #: the machine was suspended during the run
    seen_at: datetime | None = None  #: until when this state is known to hold
    conflicts: Mapping[str, Any] = field(
        default_factory=lambda: {"pairs": [], "order": [], "conflicting": []}
    )
    overlaps: list[Mapping[str, Any]] = field(default_factory=list)  #: conflicts seen while workers ran
    landing: Mapping[str, Any] = field(
        default_factory=lambda: {"branch": None, "commit": None, "landed": [], "held": []}
    )
    gates: list[Mapping[str, Any]] = field(default_factory=list)  #: those on no worker's own tree
    last_seq: int = 0
    workers: dict[str, WorkerState] = field(default_factory=dict)

    @property
    def tasks(self) -> list[WorkerState]:
        """The workers that give a task its result: all but variants."""
        return [worker for worker in self.workers.values() if worker.variant_of is None]

    @property
    def elapsed(self) -> float:
        """Seconds from the run's start to its end, or to the last that is known of it."""
        if self.wall_seconds is not None:
            return self.wall_seconds
        return self.elapsed_at(self.seen_at) if self.seen_at else 0.0

    def elapsed_at(self, now: datetime) -> float:
        """As `elapsed`, of a run that goes on until `now`. The time that it was down does not count."""
        since = self.resumed_at or self.started_at
        return self.elapsed_before + max(0.0, (now - since).total_seconds()) if since else 0.0

    @property
    def done(self) -> int:
        """How many workers have a result."""
        return sum(worker.result is not None for worker in self.workers.values())


def fold(events: Iterable[Event]) -> RunState:
    """Return the state after `events`."""
    state = RunState()
    for event in events:
        apply(state, event)
    return state


def load_state(folder: Path) -> RunState:
    """Read the state of the run in `folder`. A run without an end and without a process has died."""
    live = is_live(folder)  # asked first: a run that ends in between is then read with its end
    path = journal_path(folder)
    events = read_events(path)
    if not events:
        raise JournalError(f"the journal {path} is empty", hint="the run died before it started anything")
    try:
        state = fold(events)
    except (LookupError, TypeError, ValueError, AttributeError) as err:
        raise JournalError(
            f"the journal {path} does not fit together: {err!r}", hint="another version may have written it"
        ) from err
    if state.status is RunStatus.RUNNING:
        if live:
            state.seen_at = max(state.seen_at or datetime.now(UTC), datetime.now(UTC))
        else:
            state.status = RunStatus.DIED
    return state


def apply(state: RunState, event: Event) -> None:
    """Take one more event into `state`."""
    state.last_seq = event.seq
    state.seen_at = event.at
    if event.worker_id is None:
        _RUN_EVENTS[event.kind](state, event)
    else:
        WORKER_EVENTS[event.kind](state.workers[event.worker_id], event)


def _run_started(state: RunState, event: Event) -> None:
    data = event.data
    state.started_at = event.at
    state.run_id = data["run_id"]
    state.repo = str(data.get("repo") or "")
    state.base_ref = str(data.get("base_ref") or "")
    state.base_commit = data.get("base_commit")
    state.isolation = str(data.get("isolation") or "")
    state.boundary = str(data.get("boundary") or "")
    state.max_workers = data.get("max_workers") or 0
    state.timeout_s = data.get("timeout_s")
    state.pid = data.get("pid")
    state.version = str(data.get("version") or "")
    for task in data["tasks"]:
        state.workers[task["id"]] = WorkerState(
            id=task["id"],
            name=task["name"],
            agent=task["agent"],
            needs=tuple(task.get("needs") or ()),
            variant_of=task.get("variant_of"),
            estimate_s=task.get("estimate_s"),
            digest=task.get("digest"),
            phase_since=event.at,
            intervals=[Interval(Phase.QUEUED, 0.0)],
        )


def _run_resumed(state: RunState, event: Event) -> None:
    data = event.data
    state.status = RunStatus.RUNNING
    state.resumed_at, state.elapsed_before = event.at, float(data["elapsed_s"])
    state.resumes += 1
    state.pid, state.version = data.get("pid"), str(data.get("version") or "")
    state.boundary = str(data.get("boundary") or state.boundary)
    state.max_workers = data.get("max_workers") or state.max_workers
    state.timeout_s = data.get("timeout_s")
    state.finished_at = state.wall_seconds = None
    state.stopping = state.stopping_detail = state.paused = state.paused_detail = None
    again = set(data["again"])
    for worker in state.workers.values():
        cut_off(worker, state.elapsed_before)
        if worker.id in again:
            start_again(worker, state.elapsed_before, event.at)


def _run_stopping(state: RunState, event: Event) -> None:
    state.stopping = event.data["reason"]
    state.stopping_detail = event.data.get("detail")


def _run_paused(state: RunState, event: Event) -> None:
    state.paused = event.data["reason"]
    state.paused_detail = event.data.get("detail")


def _run_unpaused(state: RunState, event: Event) -> None:
    reason = event.data["reason"]
    state.pauses[reason] = state.pauses.get(reason, 0.0) + event.data["paused_s"]
    state.paused = state.paused_detail = None


def _run_woke(state: RunState, event: Event) -> None:
    state.slept_s += event.data["slept_s"]


def _conflicts_overlap(state: RunState, event: Event) -> None:
    state.overlaps.append(event.data)


def _conflicts_found(state: RunState, event: Event) -> None:
    state.conflicts = event.data


def _gate_finished(state: RunState, event: Event) -> None:
    state.gates.append(event.data)


def _landing_started(state: RunState, event: Event) -> None:
    state.landing = {
        **state.landing,
        "branch": event.data["branch"],
        "held": [],
        "resolved": [],
        "stopped": "it goes on, or died",
    }


def _landing_stepped(state: RunState, event: Event) -> None:
    landed = [worker["worker_id"] for worker in event.data["workers"]]
    known = [name for name in state.landing["landed"] if name not in landed]
    state.landing = {**state.landing, "commit": event.data["new"], "landed": [*known, *landed]}


def _landing_held(state: RunState, event: Event) -> None:
    state.landing = {**state.landing, "held": [*state.landing["held"], event.data]}


def _landing_resolved(state: RunState, event: Event) -> None:
    if event.data["fault"] is None:
        state.landing = {**state.landing, "resolved": [*state.landing.get("resolved", ()), event.data]}


def _landing_finished(state: RunState, event: Event) -> None:
    state.landing = event.data


def _run_finished(state: RunState, event: Event) -> None:
    state.status = RunStatus(event.data["status"])
    state.wall_seconds = event.data["wall_seconds"]
    state.budget = event.data.get("budget")
    state.finished_at = event.at


_RUN_EVENTS: dict[EventKind, Callable[[RunState, Event], None]] = {
    EventKind.RUN_STARTED: _run_started,
    EventKind.RUN_RESUMED: _run_resumed,
    EventKind.RUN_STOPPING: _run_stopping,
    EventKind.RUN_PAUSED: _run_paused,
    EventKind.RUN_UNPAUSED: _run_unpaused,
    EventKind.RUN_WOKE: _run_woke,
    EventKind.CONFLICTS_OVERLAP: _conflicts_overlap,
    EventKind.CONFLICTS_FOUND: _conflicts_found,
    EventKind.GATE_FINISHED: _gate_finished,
    EventKind.LANDING_STARTED: _landing_started,
    EventKind.LANDING_STEPPED: _landing_stepped,
    EventKind.LANDING_HELD: _landing_held,
    EventKind.LANDING_RESOLVING: lambda _state, _event: None,
    EventKind.LANDING_RESOLVED: _landing_resolved,
    EventKind.LANDING_FINISHED: _landing_finished,
    EventKind.RUN_FINISHED: _run_finished,
    EventKind.ANSWER_REFUSED: lambda _state, _event: None,
}
