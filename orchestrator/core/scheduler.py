"""Which task may start now, and why not: a pure state machine, (state, event) -> (state, actions).

No clock, no I/O, no randomness: what happens is told by events, what to do is answered by actions.
A task is ready once all it needs have succeeded; there are no level barriers. Of the ready ones the
one at the head of the longest estimated path starts first, then the one given first.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from orchestrator.model.outcome import TurnEnd
from orchestrator.model.result import Status
from orchestrator.model.task import Task

#: Ends that another attempt may mend. A refusal or a person's answer would only be met again.
RETRIED = frozenset({Status.FAILED, Status.TIMED_OUT, Status.SPAWN_FAILED})
#: Kinds of failure that stay whatever is tried: a person has to do something first.
LASTING = frozenset({TurnEnd.AUTH, TurnEnd.BUDGET, TurnEnd.REFUSED, "tripwire"})
FIRST_RETRY_S = 1.0
LONGEST_RETRY_S = 60.0


class Stage(Enum):
    """Where a worker stands."""

    BLOCKED = auto()  #: some need has not succeeded yet
    READY = auto()  #: may start as soon as a slot is free
    RUNNING = auto()  #: holds a slot
    DELAYED = auto()  #: waits before its next attempt, holds no slot
    ENDED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """What the scheduler knows of one task; fixed for the run."""

    id: str
    index: int  #: place in spawn order
    needs: tuple[str, ...]
    dependents: tuple[str, ...]
    retries: int
    path_s: float  #: estimated seconds from its start to the end of all that hangs on it


@dataclass(frozen=True, slots=True, kw_only=True)
class HaltRule:
    """When failures end the run. `fails` None: never."""

    fails: int | None = None
    at_once: bool = False  #: stop running workers too, not only new starts


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerState:
    """Everything the next decision depends on."""

    nodes: Mapping[str, Node]
    max_workers: int
    halt: HaltRule = field(default_factory=HaltRule)
    stages: Mapping[str, Stage]
    attempts: Mapping[str, int] = field(default_factory=dict)
    statuses: Mapping[str, Status] = field(default_factory=dict)  #: of those that ended
    stopping: str | None = None  #: why nothing new starts
    stopping_now: bool = False

    @property
    def done(self) -> bool:
        """Whether every worker has ended."""
        return len(self.statuses) == len(self.nodes)

    def running(self) -> list[str]:
        """Workers that hold a slot, in spawn order."""
        return [worker_id for worker_id, stage in self.stages.items() if stage is Stage.RUNNING]


@dataclass(frozen=True, slots=True)
class Begin:
    """The run begins."""


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """An attempt ended and its slot is free."""

    worker_id: str
    status: Status
    kind: str | None = None  #: of the failure
    wait_s: float = 0.0  #: no next attempt can succeed before that, as the agent was told


@dataclass(frozen=True, slots=True)
class RetryDue:
    """The wait before a worker's next attempt is over."""

    worker_id: str


@dataclass(frozen=True, slots=True)
class StopRequested:
    """Nothing new may start; running workers are stopped, `now`: without grace."""

    reason: str
    now: bool = False


Event = Begin | AttemptEnded | RetryDue | StopRequested


@dataclass(frozen=True, slots=True)
class StartAttempt:
    """Start this attempt; its slot is taken from now on."""

    worker_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class StopAttempt:
    """Stop the running attempt."""

    worker_id: str
    reason: str
    now: bool


@dataclass(frozen=True, slots=True)
class DelayRetry:
    """Send RetryDue after this many seconds."""

    worker_id: str
    attempt: int
    delay_s: float


@dataclass(frozen=True, slots=True)
class EndWorker:
    """The worker has its final status; without an attempt's own result, `kind` and `message` say why."""

    worker_id: str
    status: Status
    kind: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class HaltRun:
    """The halt rule was met."""

    detail: str


Action = StartAttempt | StopAttempt | DelayRetry | EndWorker | HaltRun
Step = tuple[SchedulerState, tuple[Action, ...]]


def initial_state(
    tasks: Sequence[Task], *, max_workers: int, halt: str = "never", retries: int = 0
) -> SchedulerState:
    """Lay out the graph of `tasks`, whose needs are known to exist and to have no cycle."""
    dependents: dict[str, list[str]] = {task.id: [] for task in tasks}
    for task in tasks:
        for need in dict.fromkeys(task.needs):
            dependents[need].append(task.id)
    paths = _paths(tasks, dependents)
    nodes = {
        task.id: Node(
            id=task.id,
            index=index,
            needs=tuple(dict.fromkeys(task.needs)),
            dependents=tuple(dependents[task.id]),
            retries=retries if task.retries is None else task.retries,
            path_s=paths[task.id],
        )
        for index, task in enumerate(tasks)
    }
    stages = {task.id: Stage.BLOCKED if task.needs else Stage.READY for task in tasks}
    return SchedulerState(
        nodes=nodes, max_workers=max_workers, halt=halt_rule(halt, len(tasks)), stages=stages
    )


def halt_rule(text: str, total: int) -> HaltRule:
    """Read `never`, `soon,fail=2`, `now,fail=20%`; a percentage is of all tasks, rounded up."""
    if text == "never":
        return HaltRule()
    when, _, limit = text.partition(",fail=")
    fails = math.ceil(total * int(limit[:-1]) / 100) if limit.endswith("%") else int(limit)
    return HaltRule(fails=max(1, fails), at_once=when == "now")


def step(state: SchedulerState, event: Event) -> Step:
    """Take one event in; return the new state and what to do, in order."""
    match event:
        case Begin():
            return _fill(state)
        case AttemptEnded():
            return _attempt_ended(state, event)
        case RetryDue(worker_id=worker_id):
            if state.stages[worker_id] is not Stage.DELAYED:
                return state, ()
            return _fill(_staged(state, {worker_id: Stage.READY}))
        case StopRequested(reason=reason, now=now):
            return _stop(state, reason, now=now)


def _paths(tasks: Sequence[Task], dependents: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Longest estimated path from each task to the end; a task without an estimate counts as the mean."""
    known = [task.estimate_s for task in tasks if task.estimate_s is not None]
    usual = sum(known) / len(known) if known else 1.0
    own = {task.id: usual if task.estimate_s is None else task.estimate_s for task in tasks}
    open_ends = {task_id: len(after) for task_id, after in dependents.items()}
    needs = {task.id: tuple(dict.fromkeys(task.needs)) for task in tasks}
    paths: dict[str, float] = {}
    last = [task_id for task_id, count in open_ends.items() if not count]
    while last:
        task_id = last.pop()
        paths[task_id] = own[task_id] + max((paths[after] for after in dependents[task_id]), default=0.0)
        for need in needs[task_id]:
            open_ends[need] -= 1
            if not open_ends[need]:
                last.append(need)
    return paths


def _staged(state: SchedulerState, changes: Mapping[str, Stage]) -> SchedulerState:
    return replace(state, stages={**state.stages, **changes})


def _fill(state: SchedulerState, before: tuple[Action, ...] = ()) -> Step:
    """Give free slots to ready workers."""
    stages = list(state.stages.values())
    free = state.max_workers - stages.count(Stage.RUNNING)
    if state.stopping or free < 1 or Stage.READY not in stages:
        return state, before
    ready = [state.nodes[worker_id] for worker_id, stage in state.stages.items() if stage is Stage.READY]
    chosen = heapq.nsmallest(free, ready, key=lambda node: (-node.path_s, node.index))
    numbers = {node.id: state.attempts.get(node.id, 0) + 1 for node in chosen}
    started = replace(
        _staged(state, {node.id: Stage.RUNNING for node in chosen}), attempts={**state.attempts, **numbers}
    )
    return started, (*before, *(StartAttempt(worker_id, number) for worker_id, number in numbers.items()))


def _attempt_ended(state: SchedulerState, event: AttemptEnded) -> Step:
    worker_id, status = event.worker_id, event.status
    node, attempt = state.nodes[worker_id], state.attempts[worker_id]
    hopeful = status in RETRIED and event.kind not in LASTING
    if hopeful and attempt <= node.retries and not state.stopping:
        back_off_s = min(LONGEST_RETRY_S, FIRST_RETRY_S * 2 ** (attempt - 1))
        delay_s = max(back_off_s, event.wait_s)
        delayed = _staged(state, {worker_id: Stage.DELAYED})
        return _fill(delayed, (DelayRetry(worker_id, attempt + 1, delay_s),))
    ended, actions = _end(state, EndWorker(worker_id, status))
    halted, halting = _halt(ended)
    return _fill(halted, actions + halting)


def _end(state: SchedulerState, first: EndWorker) -> Step:
    """End one worker, and with it all that can no longer start; make ready what now can."""
    stages, statuses = dict(state.stages), dict(state.statuses)
    actions: list[Action] = []
    ends = [first]
    for end in ends:
        stages[end.worker_id], statuses[end.worker_id] = Stage.ENDED, end.status
        actions.append(end)
        for dependent in state.nodes[end.worker_id].dependents:
            if stages[dependent] is not Stage.BLOCKED:
                continue
            if end.status is not Status.SUCCEEDED:
                stages[dependent] = Stage.ENDED
                ends.append(_skip(dependent, end.worker_id, end.status))
            elif all(statuses.get(need) is Status.SUCCEEDED for need in state.nodes[dependent].needs):
                stages[dependent] = Stage.READY
    return replace(state, stages=stages, statuses=statuses), tuple(actions)


def _skip(worker_id: str, need: str, status: Status) -> EndWorker:
    words = status.value.replace("_", " ")
    message = f"not started: it needs `{need}`, which ended as {words}"
    return EndWorker(worker_id, Status.CANCELLED, "need_failed", message)


def _halt(state: SchedulerState) -> Step:
    if state.stopping or state.halt.fails is None:
        return state, ()
    failed = sum(status not in {Status.SUCCEEDED, Status.CANCELLED} for status in state.statuses.values())
    if failed < state.halt.fails:
        return state, ()
    detail = f"{failed} of {len(state.nodes)} tasks did not succeed, the limit is {state.halt.fails}"
    if state.halt.at_once:
        halted, actions = _stop(state, "halt", now=False)
    else:
        halted, actions = _cancel(replace(state, stopping="halt"), _unstarted(state), "halt")
    return halted, (HaltRun(detail), *actions)


def _stop(state: SchedulerState, reason: str, *, now: bool) -> Step:
    """Let nothing new start and stop what runs; a second stop can only make it faster."""
    if state.stopping_now:
        return state, ()
    first = state.stopping or reason
    stops = tuple(StopAttempt(worker_id, first, now) for worker_id in state.running())
    stopped, cancelled = _cancel(replace(state, stopping=first, stopping_now=now), _unstarted(state), first)
    return stopped, stops + cancelled


def _unstarted(state: SchedulerState) -> Iterable[str]:
    return [
        worker_id
        for worker_id, stage in state.stages.items()
        if stage in {Stage.BLOCKED, Stage.READY, Stage.DELAYED}
    ]


_WHY = {
    "timeout": ("run_timeout", "the run's time limit was reached"),
    "halt": ("halted", "the halt rule ended the run"),
    "interrupt": ("interrupted", "the run was interrupted"),
    "request": ("stopped", "the run was stopped on request"),
}


def _cancel(state: SchedulerState, worker_ids: Iterable[str], reason: str) -> Step:
    kind, why = _WHY.get(reason, ("stopped", f"the run was stopped ({reason})"))
    ends: list[Action] = []
    statuses, stages = dict(state.statuses), dict(state.stages)
    for worker_id in worker_ids:
        tried = state.attempts.get(worker_id, 0)
        words = f"not tried again after attempt {tried}" if tried else "not started"
        ends.append(EndWorker(worker_id, Status.CANCELLED, kind, f"{words}: {why}"))
        statuses[worker_id], stages[worker_id] = Status.CANCELLED, Stage.ENDED
    return replace(state, statuses=statuses, stages=stages), tuple(ends)
