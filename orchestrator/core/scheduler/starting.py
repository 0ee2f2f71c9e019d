"""Gives free slots to ready workers, and says of the others what they wait for."""

from __future__ import annotations

import heapq
import math
import statistics
from dataclasses import dataclass, field, replace

from orchestrator.core.scheduler.budget import Amount, Ledger, reserve
from orchestrator.core.scheduler.ending import (
    Step,
    end_worker,
    halted_by_budget,
    halted_by_rule,
    without_waiting,
)
from orchestrator.core.scheduler.messages import (
    Action,
    EndWorker,
    LimitAttempt,
    SayWaiting,
    StartAttempt,
    WaitGap,
)
from orchestrator.core.scheduler.state import Node, SchedulerState, Stage, Waiting
from orchestrator.model.outcome import TurnEnd
from orchestrator.model.result import Status

#: A percentage of the median counts once so many tasks have finished.
FEWEST_FINISHED = 3


def fill(state: SchedulerState, before: tuple[Action, ...] = ()) -> Step:
    """Start what may start. `before` are actions of the same step that come first."""
    if state.stopping:
        return state, before
    state, hopeless = _end_hopeless(state)
    if state.stopping:
        return state, (*before, *hopeless)
    filling = _Filling(state)
    filling.go()
    state, waiting = _say_waiting(filling.result(), filling.waiting)
    state, halting = halted_by_budget(state, fits)
    return state, (*before, *hopeless, *filling.actions, *waiting, *halting)


@dataclass(slots=True)
class _Filling:
    """One pass over the ready workers; the state's fields that it changes, as they become."""

    state: SchedulerState
    actions: list[Action] = field(default_factory=list)
    waiting: dict[str, Waiting] = field(default_factory=dict)
    started: dict[str, StartAttempt] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.running = len(self.state.running())
        self.room = self.state.admission.room
        self.gaps = set(self.state.gaps)
        self.ledger = self.state.ledger

    running: int = 0
    room: int | None = None
    gaps: set[str] = field(default_factory=set)
    ledger: Ledger = field(default_factory=Ledger)

    def go(self) -> None:
        nodes = (self.state.nodes[worker_id] for worker_id in self.state.in_stage(Stage.READY))
        ready = [(-node.path_s, node.index, node) for node in nodes]
        heapq.heapify(ready)
        while ready and self.running < self.state.max_workers:
            node = heapq.heappop(ready)[2]
            choice, obstacle = self._obstacle(node)
            if obstacle:
                self.waiting[node.id] = obstacle
            else:
                self._start(node, choice)

    def _obstacle(self, node: Node) -> tuple[int, Waiting | None]:
        admission = self.state.admission
        if self.room is not None and self.room < 1 and (admission.floor or self.running):
            return 0, Waiting(admission.kind, admission.detail)
        accounts = node.terms.accounts
        choice = next((i for i, account in enumerate(accounts) if is_open(self.state, account)), None)
        if choice is None:
            return 0, Waiting("quota", f"{accounts[0] or 'its agent'}'s limit")
        if accounts[choice] in self.gaps:
            interval = f"{accounts[choice] or 'its agent'} starts one each {self.state.start_interval_s:g} s"
            return 0, Waiting("start_interval", interval)
        if not fits(self.state, node, self.ledger):
            taken = self.state.budget.describe(self.ledger.spent + self.ledger.reserved)
            return 0, Waiting("budget", f"the budget, of which {taken} are spent or set aside")
        return choice, None

    def _start(self, node: Node, choice: int) -> None:
        number = self.state.attempts.get(node.id, 0) + 1
        start = StartAttempt(node.id, number, choice, _cap(self.state, node, self.ledger))
        self.started[node.id] = start
        self.actions.append(start)
        self.ledger = reserve(self.ledger, node.id, price(self.state, node, self.ledger))
        self.running += 1
        if self.room is not None:
            self.room -= 1
        if (limit_s := time_limit_s(self.state, node)) is not None:
            self.actions.append(LimitAttempt(node.id, number, limit_s))
        if self.state.start_interval_s is not None:
            self.gaps.add(node.terms.accounts[choice])
            self.actions.append(WaitGap(node.terms.accounts[choice], self.state.start_interval_s))

    def result(self) -> SchedulerState:
        if not self.started:
            return self.state
        state, starts = self.state, self.started.values()
        room = None if self.room is None else max(0, self.room)
        return replace(
            state,
            stages={**state.stages, **dict.fromkeys(self.started, Stage.RUNNING)},
            attempts={**state.attempts, **{start.worker_id: start.attempt for start in starts}},
            choices={**state.choices, **{start.worker_id: start.choice for start in starts}},
            waiting=without_waiting(state, self.started),
            gaps=frozenset(self.gaps),
            ledger=self.ledger,
            admission=replace(state.admission, room=room),
        )


def is_open(state: SchedulerState, account: str) -> bool:
    """Whether no limit of the account is known to hold."""
    quota = state.quotas.get(account)
    return quota is None or quota.until is None


def price(state: SchedulerState, node: Node, ledger: Ledger) -> Amount:
    """What is reserved for the node's next attempt: its hard limit where its agent holds one."""
    usual = node.terms.expected.over(ledger.usual(state.budget.usual))
    hard = _own_cap(node, ledger)
    return usual if hard is None else replace(usual, cost=hard)


def configured_price(state: SchedulerState, node: Node) -> Amount:
    """What an attempt counts as that does not say what it used."""
    usual = node.terms.expected.over(state.budget.usual)
    hard = _own_cap(node, state.ledger)
    return usual if hard is None else replace(usual, cost=hard)


def fits(state: SchedulerState, node: Node, ledger: Ledger) -> bool:
    """Whether the run's budget has room for one more attempt of the node."""
    if not state.budget.limited:
        return True
    return state.budget.holds(ledger.spent + ledger.reserved + price(state, node, ledger))


def _own_cap(node: Node, ledger: Ledger) -> float | None:
    """What an attempt may cost by the task's own limits, if its agent holds that."""
    if not node.terms.holds_cost:
        return None
    caps = [] if node.terms.max_cost is None else [node.terms.max_cost]
    if node.terms.budget.cost is not None:
        caps.append(max(0.0, node.terms.budget.cost - ledger.spent_on(node.id).cost))
    return min(caps, default=None)


def _cap(state: SchedulerState, node: Node, ledger: Ledger) -> float | None:
    """As `_own_cap`; without one, an attempt may at most take all that is left of the run's budget."""
    if (own := _own_cap(node, ledger)) is not None or not node.terms.holds_cost or state.budget.cost is None:
        return own
    return max(0.0, state.budget.cost - (ledger.spent + ledger.reserved).cost)


def time_limit_s(state: SchedulerState, node: Node) -> float | None:
    """How long an attempt may take by the median of those that succeeded; None: no limit, or not yet."""
    if node.terms.timeout_percent is None or len(state.durations) < FEWEST_FINISHED:
        return None
    return statistics.median(state.durations) * node.terms.timeout_percent / 100


def _end_hopeless(state: SchedulerState) -> Step:
    """End what waits for accounts alone that stay closed for longer than the run may last."""
    lasting = {account for account, quota in state.quotas.items() if quota.until == math.inf}
    actions: tuple[Action, ...] = ()
    if not lasting:
        return state, actions
    looked: set[str] = set()
    while ready := [name for name in state.in_stage(Stage.READY) if name not in looked]:
        worker_id, accounts = ready[0], state.nodes[ready[0]].terms.accounts
        looked.add(worker_id)  # an end can make ready who chooses among variants
        if lasting.issuperset(accounts):
            tried = state.attempts.get(worker_id)
            message = f"{accounts[0] or 'its agent'}'s limit lasts longer than the run's own time limit"
            end = EndWorker(
                worker_id,
                Status.PARKED if tried else Status.CANCELLED,
                TurnEnd.RATE_LIMITED.value,
                message if tried else f"not started: {message}",
            )
            state, ends = end_worker(state, end)
            actions += ends
    halted, halting = halted_by_rule(state)
    return halted, actions + halting


def _say_waiting(state: SchedulerState, waiting: dict[str, Waiting]) -> Step:
    """Say what changed: another kind of reason, or none any more. Details alone change all the time."""
    if not waiting and not state.waiting:
        return state, ()
    said: list[Action] = []
    for worker_id, reason in waiting.items():
        before = state.waiting.get(worker_id)
        if before is None or before.kind != reason.kind:
            said.append(SayWaiting(worker_id, reason.kind, reason.detail))
    over = (worker_id for worker_id in state.waiting if worker_id not in waiting)
    said += [SayWaiting(worker_id, "") for worker_id in over if state.stages[worker_id] is Stage.READY]
    return replace(state, waiting=waiting), tuple(said)
