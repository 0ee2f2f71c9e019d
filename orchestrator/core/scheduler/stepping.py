"""Takes one event in: the new state, and what to do."""

from __future__ import annotations

import bisect
import math
from dataclasses import replace

from orchestrator.core.scheduler.budget import Told, settle
from orchestrator.core.scheduler.ending import (
    Step,
    account_of,
    end_worker,
    halted_by_rule,
    skip,
    staged,
    stop,
)
from orchestrator.core.scheduler.messages import (
    AccountLimited,
    AccountOpen,
    Action,
    AttemptEnded,
    Begin,
    DelayRetry,
    EndWorker,
    Event,
    GapOver,
    LimitAttempt,
    LimitPassed,
    Measured,
    RetryDue,
    StopAttempt,
    StopRequested,
    WaitAccount,
)
from orchestrator.core.scheduler.retrying import back_off_s, hopeful
from orchestrator.core.scheduler.starting import configured_price, fill, time_limit_s
from orchestrator.core.scheduler.state import Admission, Node, Quota, SchedulerState, Stage
from orchestrator.model.outcome import TurnEnd
from orchestrator.model.result import Status

#: Waits for a limit whose end nobody told: the first one, and the longest, in seconds.
FIRST_QUOTA_S = 60.0
LONGEST_QUOTA_S = 3600.0


def step(state: SchedulerState, event: Event) -> Step:
    """Take one event in; return the new state and what to do, in order."""
    match event:
        case Begin():
            return _begin(state)
        case AttemptEnded():
            return _attempt_ended(state, event)
        case StopRequested(reason=reason, now=now):
            return stop(state, reason, now=now)
        case LimitPassed(worker_id=worker_id, attempt=attempt):
            return _limit_passed(state, worker_id, attempt)
    changed = _let_go(state, event)
    return changed if isinstance(changed, tuple) else fill(changed)


def _let_go(
    state: SchedulerState, event: AccountLimited | AccountOpen | GapOver | RetryDue | Measured
) -> SchedulerState | Step:
    """Take in what changes who may start; a whole step where there is more to do, or nothing at all."""
    match event:
        case AccountLimited(worker_id=worker_id):
            running = state.stages[worker_id] is Stage.RUNNING
            return fill(*_limited(state, account_of(state, worker_id), event)) if running else (state, ())
        case AccountOpen(account=account, until=until):
            quota = state.quotas.get(account)
            stale = quota is None or quota.until != until  # a longer wait came since
            return (
                (state, ())
                if quota is None or stale
                else _with_quota(state, account, replace(quota, until=None))
            )
        case GapOver(account=account):
            return replace(state, gaps=state.gaps - {account})
        case RetryDue(worker_id=worker_id):
            due = state.stages[worker_id] is Stage.DELAYED
            return staged(state, {worker_id: Stage.READY}) if due else (state, ())
        case Measured(room=room, kind=kind, detail=detail, floor=floor):
            return replace(state, admission=Admission(room, kind, detail, floor))


def _begin(state: SchedulerState) -> Step:
    """A run that goes on may have needs that ended badly before."""
    actions: tuple[Action, ...] = ()
    for worker_id in state.in_stage(Stage.BLOCKED):
        for need in state.nodes[worker_id].needs:
            status = state.statuses.get(need)
            if status not in {None, Status.SUCCEEDED} and state.stages[worker_id] is Stage.BLOCKED:
                assert status is not None
                state, ends = end_worker(state, skip(worker_id, need, status))
                actions += ends
    return fill(state, actions)


def _limit_passed(state: SchedulerState, worker_id: str, attempt: int) -> Step:
    if state.stages[worker_id] is not Stage.RUNNING or state.attempts[worker_id] != attempt:
        return state, ()
    return state, (StopAttempt(worker_id, "task_timeout", now=False),)


def _attempt_ended(state: SchedulerState, event: AttemptEnded) -> Step:
    node = state.nodes[event.worker_id]
    state, actions = _taken_in(state, node, event)
    if state.stopping:
        ended, ends = end_worker(state, EndWorker(event.worker_id, event.status))
        return ended, actions + ends
    if event.kind == TurnEnd.RATE_LIMITED and event.status is Status.FAILED:
        state, waits = _limited(state, account_of(state, event.worker_id), event)
        actions += waits
        if _has_money(state, node):
            parked = staged(state, {event.worker_id: Stage.READY})
            return fill(replace(parked, parked=parked.parked | {event.worker_id}), actions)
        return _over(state, actions, _poor(node, event.status))
    if not hopeful(event.status, event.kind):
        return _over(state, actions, EndWorker(event.worker_id, event.status))
    return _try_again(state, actions, node, event)


def _try_again(state: SchedulerState, actions: tuple[Action, ...], node: Node, event: AttemptEnded) -> Step:
    failures = state.failures.get(node.id, 0) + 1
    state = replace(state, failures={**state.failures, node.id: failures})
    if failures > node.retries:
        return _over(state, actions, EndWorker(node.id, event.status))
    if not _has_money(state, node):
        return _over(state, actions, _poor(node, event.status))
    delay_s = max(back_off_s(event.kind, failures), event.wait_s)
    delayed = staged(state, {node.id: Stage.DELAYED})
    return fill(delayed, (*actions, DelayRetry(node.id, state.attempts[node.id] + 1, delay_s)))


def _over(state: SchedulerState, actions: tuple[Action, ...], end: EndWorker) -> Step:
    ended, ends = end_worker(state, end)
    halted, halting = halted_by_rule(ended)
    return fill(halted, actions + ends + halting)


def _taken_in(state: SchedulerState, node: Node, event: AttemptEnded) -> Step:
    """Settle what the attempt cost, and learn from how long it took."""
    unknown = configured_price(state, node)
    ledger = settle(state.ledger, node.id, Told(event.cost, event.tokens), unknown)
    state = replace(state, ledger=ledger, parked=state.parked - {node.id})
    if event.status is not Status.SUCCEEDED:
        return state, ()
    account = account_of(state, node.id)
    quota = state.quotas.get(account)
    if quota is not None and quota.until is None:
        state = _with_quota(state, account, None)
    if event.duration_s is None:
        return state, ()
    durations = list(state.durations)
    bisect.insort(durations, event.duration_s)
    state = replace(state, durations=tuple(durations))
    others = [other for other in state.running() if other != node.id]
    limits = ((other, time_limit_s(state, state.nodes[other])) for other in others)
    return state, tuple(
        LimitAttempt(other, state.attempts[other], limit) for other, limit in limits if limit is not None
    )


def _limited(state: SchedulerState, account: str, told: AttemptEnded | AccountLimited) -> Step:
    """Close the account until the instant that was told; else for longer each time."""
    quota = state.quotas.get(account, Quota())
    if told.wait_s > 0:
        until, strikes = told.at + told.wait_s, quota.strikes
    elif quota.until is None:
        delay_s = min(LONGEST_QUOTA_S, FIRST_QUOTA_S * 2.0 ** min(quota.strikes, 30))
        until, strikes = told.at + delay_s, quota.strikes + 1
    else:  # of the same wave as what closed it
        return state, ()
    if told.left_s is not None and until - told.at > told.left_s:
        until = math.inf
    if quota.until is not None and until <= quota.until:
        return state, ()
    quota = Quota(until, strikes)
    waits = () if until == math.inf else (WaitAccount(account, until - told.at, until),)
    return _with_quota(state, account, quota), waits


def _with_quota(state: SchedulerState, account: str, quota: Quota | None) -> SchedulerState:
    quotas = {name: known for name, known in state.quotas.items() if name != account}
    return replace(state, quotas=quotas if quota is None else {**quotas, account: quota})


def _has_money(state: SchedulerState, node: Node) -> bool:
    """Whether the task's own budget has room for one more attempt."""
    if not node.terms.budget.limited:
        return True
    expected = node.terms.expected.over(state.ledger.usual(state.budget.usual))
    return node.terms.budget.holds(state.ledger.spent_on(node.id) + expected)


def _poor(node: Node, status: Status) -> EndWorker:
    limits = []
    if node.terms.budget.cost is not None:
        limits.append(f"{node.terms.budget.cost:g} USD")
    if node.terms.budget.tokens is not None:
        limits.append(f"{node.terms.budget.tokens:g} tokens")
    message = f"not tried again: what is left of its budget of {' and '.join(limits)} is not enough"
    return EndWorker(node.id, status, TurnEnd.BUDGET.value, message)
