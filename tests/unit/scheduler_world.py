"""A seeded world for the scheduler: random tasks, agents, limits, faults and times; and what must hold.

The world keeps its own books and never asks the scheduler's state what is right.
"""

from __future__ import annotations

import heapq
import math
import random
import statistics
from dataclasses import dataclass, field, replace
from typing import Any

from orchestrator.core import scheduler
from orchestrator.core.scheduler import Amount, Budget, SchedulerState, Terms, Told
from orchestrator.model.outcome import TurnEnd
from orchestrator.model.result import Status
from orchestrator.model.task import Task

LASTING = {TurnEnd.AUTH, TurnEnd.BUDGET, TurnEnd.REFUSED, TurnEnd.DENIED, "tripwire"}
TRIED_AGAIN = {Status.FAILED, Status.TIMED_OUT, Status.SPAWN_FAILED}
KINDS = [TurnEnd.CRASHED, TurnEnd.MODEL, TurnEnd.AUTH, TurnEnd.REFUSED, "tripwire", "verify_failed", None]
MOST_STEPS = 5000


class BrokenError(AssertionError):
    """An invariant does not hold."""


@dataclass
class Rules:
    """What a world is like, drawn from its seed."""

    tasks: list[Task]
    terms: dict[str, Terms]
    max_workers: int
    halt: str
    retries: int
    budget: Budget
    interval: float | None
    ended: dict[str, Status]
    attempts: dict[str, int]
    left_s: float | None
    stop_at: float | None
    second_stop_at: float | None


def draw(rng: random.Random) -> Rules:
    count = rng.randint(1, 14)
    tasks = [
        Task(
            id=f"t{i}",
            name=f"t{i}",
            prompt="x",
            needs=tuple(rng.sample([f"t{j}" for j in range(i)], k=rng.randint(0, min(i, 3)))),
            estimate_s=rng.choice([None, 1.0, 5.0, 90.0]),
            retries=rng.choice([None, 0, 1, 3]),
        )
        for i in range(count)
    ]
    tasks = _with_variants(rng, tasks)
    usual = Amount(rng.choice([0.5, 1.0, 2.0]), rng.choice([100, 1000]))
    budget = Budget(
        cost=rng.choice([None, None, 0.2, 3.0, 8.0]),
        tokens=rng.choice([None, None, None, 3000]),
        usual=usual,
        at_once=rng.random() < 0.5,
    )
    ended, attempts = _resumed(rng, tasks)
    return Rules(
        tasks=tasks,
        terms={task.id: _terms(rng, usual) for task in tasks},
        max_workers=rng.randint(1, 5),
        halt=rng.choice(["never"] * 3 + ["soon,fail=2", "now,fail=30%", "soon,success=3", "now,done=50%"]),
        retries=rng.randint(0, 2),
        budget=budget,
        interval=rng.choice([None, None, 2.0, 30.0]),
        ended=ended,
        attempts=attempts,
        left_s=rng.choice([None, None, 4000.0, 200.0]),
        stop_at=rng.uniform(0, 400) if rng.random() < 0.25 else None,
        second_stop_at=rng.uniform(0, 500) if rng.random() < 0.1 else None,
    )


def _with_variants(rng: random.Random, tasks: list[Task]) -> list[Task]:
    """Let some tasks choose among earlier ones, which nobody else then needs."""
    needed = {need for task in tasks for need in task.needs}
    free = [task.id for task in tasks if task.id not in needed]
    made = {task.id: task for task in tasks}
    for place, task in enumerate(tasks):
        before = [name for name in free if name in [earlier.id for earlier in tasks[:place]]]
        if len(before) < 2 or rng.random() < 0.5:
            continue
        chosen = tuple(rng.sample(before, k=2))
        if task.variants or any(made[name].variants for name in chosen):
            continue
        made[task.id] = replace(made[task.id], variants=chosen)
        made.update({name: replace(made[name], variant_of=task.id) for name in chosen})
        free = [name for name in free if name not in (*chosen, task.id)]
    return list(made.values())


def _terms(rng: random.Random, usual: Amount) -> Terms:
    holds = rng.random() < 0.4
    return Terms(
        accounts=tuple(rng.sample(["claude", "codex", "demo"], k=rng.choice([1, 1, 2]))),
        timeout_percent=rng.choice([None, 150.0, 300.0]),
        expected=Told(rng.choice([None, None, 0.0, 1.5]), rng.choice([None, 200.0])),
        max_cost=rng.choice([None, 2.0]) if holds else None,
        holds_cost=holds,
        budget=Budget(cost=rng.choice([None, None, 2.5]), usual=usual),
    )


def _resumed(rng: random.Random, tasks: list[Task]) -> tuple[dict[str, Status], dict[str, int]]:
    """What an earlier process of the run left: ends, closed under needs, and numbers of attempts."""
    if rng.random() < 0.7:
        return {}, {}
    ended: dict[str, Status] = {}
    for task in tasks:
        met = all(ended.get(need) is Status.SUCCEEDED for need in task.needs)
        if rng.random() < 0.5 and met and all(name in ended for name in task.variants):
            ended[task.id] = rng.choice([Status.SUCCEEDED, Status.SUCCEEDED, Status.FAILED])
    return ended, {task.id: rng.randint(1, 3) for task in tasks if task.id in ended or rng.random() < 0.3}


@dataclass
class Attempt:
    """One that runs."""

    number: int
    account: str
    began: float
    held: Amount
    unknown: Amount  #: counts where it does not say what it used
    limits_s: list[float] = field(default_factory=list)  #: all that it was given
    stopped: str | None = None


@dataclass
class World:
    """Drives the scheduler through one schedule. `run` raises BrokenError when something does not hold."""

    seed: int
    trace: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.rules = draw(self.rng)
        self.by_id = {task.id: task for task in self.rules.tasks}
        self.now = 0.0
        self.pending: list[tuple[float, int, Any]] = []
        self.count = 0
        self.running: dict[str, Attempt] = {}
        self.delayed: set[str] = set()
        self.statuses: dict[str, Status] = dict(self.rules.ended)
        self.attempts = dict(self.rules.attempts)
        self.failures: dict[str, int] = {}
        self.quota_hits: dict[str, int] = {}
        self.closed: dict[str, float] = {}  #: account -> until when it must not be used
        self.armed: dict[str, float] = {}  #: account -> the wait that counts
        self.gap_until: dict[str, float] = {}
        self.gaps: set[str] = set()
        self.room: int | None = None
        self.floor = False
        self.spent, self.by_task = Amount(), {}  # type: ignore[var-annotated]
        self.told: list[tuple[float | None, float | None]] = []
        self.worst_over = 0.0
        self.durations: list[float] = []
        self.stopping: str | None = None
        self.halts: list[str] = []
        self.choices = 0
        self.starts = 0

    # -- the drive ---------------------------------------------------------------------------------

    def run(self) -> World:
        rules = self.rules
        self.state: SchedulerState = scheduler.initial_state(
            rules.tasks,
            max_workers=rules.max_workers,
            halt=rules.halt,
            retries=rules.retries,
            budget=rules.budget,
            start_interval_s=rules.interval,
            terms=rules.terms,
            ended=rules.ended,
            attempts=rules.attempts,
        )
        if self.rng.random() < 0.4:
            self.later(self.rng.uniform(0, 50), "measure")
        for at in (rules.stop_at, rules.second_stop_at):
            if at is not None:
                self.later(at, scheduler.StopRequested("interrupt", now=self.rng.random() < 0.5))
        self.take(scheduler.Begin())
        for _ in range(MOST_STEPS):
            if self.state.done:
                return self.close()
            self.check(self.pending, "deadlock: nothing is pending, and the run is not done")
            self.next()
        raise BrokenError(f"not done after {MOST_STEPS} events")

    def later(self, delay: float, event: Any) -> None:
        self.count += 1
        heapq.heappush(self.pending, (self.now + max(0.0, delay), self.count, event))

    def next(self) -> None:
        due, _, event = heapq.heappop(self.pending)
        self.now = max(self.now, due)
        if self.rng.random() < 0.01:  # the machine slept: everything that was due is late
            self.now += self.rng.uniform(10, 10_000)
        if event == "measure":
            event = self.measured()
        elif isinstance(event, tuple):
            event = self.attempt_event(*event)
        elif isinstance(event, scheduler.GapOver):
            self.gaps.discard(event.account)
        elif isinstance(event, scheduler.RetryDue):
            self.delayed.discard(event.worker_id)
        elif isinstance(event, scheduler.AccountOpen) and self.armed.get(event.account) == event.until:
            self.closed.pop(event.account, None)
            self.armed.pop(event.account)
        if event is None:
            return
        self.take(event)
        if self.rng.random() < 0.03 and isinstance(
            event, scheduler.RetryDue | scheduler.AccountOpen | scheduler.LimitPassed
        ):
            self.take(event)  # told twice

    def measured(self) -> scheduler.Measured:
        if self.rng.random() < 0.5:
            self.room, self.floor = self.rng.choice([None, 1, 2]), False
        else:
            self.room, self.floor = 0, self.rng.random() < 0.5
        if self.room is not None or self.rng.random() < 0.3:
            self.later(self.rng.uniform(1, 60), "measure")
        return scheduler.Measured(self.room, "memory", "", self.floor)

    # -- attempts ----------------------------------------------------------------------------------

    def start(self, action: scheduler.StartAttempt) -> None:
        worker_id, terms = action.worker_id, self.rules.terms[action.worker_id]
        account = terms.accounts[action.choice]
        self.check(not self.stopping, "started after a stop")
        self.check(worker_id not in self.running, "started while it runs")
        self.check(worker_id not in self.statuses, "started after its end")
        self.check(worker_id not in self.delayed, "started before its retry was due")
        needs = self.by_id[worker_id].needs
        self.check(all(self.statuses.get(n) is Status.SUCCEEDED for n in needs), "started before its needs")
        variants = self.by_id[worker_id].variants
        self.check(all(n in self.statuses for n in variants), "started before its variants had ended")
        self.choices += bool(variants)
        self.check(action.attempt == self.attempts.get(worker_id, 0) + 1, "the attempt's number")
        self.check(len(self.running) < self.rules.max_workers, "more workers than slots")
        self.check(self.now >= self.closed.get(account, 0.0), f"{account} is at its limit")
        better = terms.accounts[: action.choice]
        self.check(all(other in self.closed for other in better), "fell over without need")
        self.check(account not in self.gaps, f"{account} has just started one")
        self.check(self.now >= self.gap_until.get(account, 0.0) - 1e-9, f"{account} starts too often")
        self.check(self.room_left(), "no room on the machine")
        held, unknown = self.price(worker_id), self.price(worker_id, configured=True)
        self.check(self.affordable(worker_id), "the budget does not hold this")
        if terms.holds_cost and (terms.max_cost is not None or terms.budget.cost is not None):
            self.check(
                action.max_cost is not None and abs(action.max_cost - held.cost) < 1e-6, "its cost limit"
            )
        if self.room is not None:
            self.room = max(0, self.room - 1)
        if self.rules.interval is not None:
            self.gaps.add(account)
            self.gap_until[account] = self.now + self.rules.interval
        self.attempts[worker_id] = action.attempt
        self.running[worker_id] = Attempt(action.attempt, account, self.now, held, unknown)
        self.starts += 1
        took = self.rng.choice([0.0, 1.0, self.rng.uniform(0, 30), self.rng.uniform(0, 300)])
        if self.rng.random() < 0.05:
            self.later(took * self.rng.random(), ("limited", worker_id, action.attempt))
        self.later(took, ("ended", worker_id, action.attempt))

    def attempt_event(self, what: str, worker_id: str, number: int) -> Any:
        attempt = self.running.get(worker_id)
        if attempt is None or attempt.number != number:
            return None
        wait_s = self.rng.choice([0.0, 0.0, 50.0, 900.0, 18_000.0])
        if what == "limited":
            self.hit(attempt.account, wait_s)
            return scheduler.AccountLimited(worker_id, wait_s, self.now, self.rules.left_s)
        return self.ended(worker_id, attempt, wait_s)

    def ended(self, worker_id: str, attempt: Attempt, wait_s: float) -> scheduler.AttemptEnded:
        status, kind = self.outcome(worker_id, attempt)
        terms = self.rules.terms[worker_id]
        hard = terms.holds_cost and (terms.max_cost is not None or terms.budget.cost is not None)
        top = attempt.held.cost if hard else 3.0
        cost = self.rng.choice([None, self.rng.uniform(0, top)])
        tokens = self.rng.choice([None, self.rng.randint(0, 2000)])
        used = Told(cost, tokens).over(attempt.unknown)
        self.worst_over = max(self.worst_over, used.cost - attempt.held.cost)
        self.spent += used
        self.by_task[worker_id] = self.by_task.get(worker_id, Amount()) + used
        self.told.append((cost, tokens))
        del self.running[worker_id]
        duration = self.now - attempt.began
        if status is Status.SUCCEEDED:
            self.durations.append(duration)
        limited = kind == TurnEnd.RATE_LIMITED
        if limited:
            self.quota_hits[worker_id] = self.quota_hits.get(worker_id, 0) + 1
            self.hit(attempt.account, wait_s)
        elif status in TRIED_AGAIN:
            self.failures[worker_id] = self.failures.get(worker_id, 0) + 1
        return scheduler.AttemptEnded(
            worker_id,
            status,
            kind,
            wait_s if limited else 0.0,
            self.now,
            self.rules.left_s,
            duration,
            cost,
            tokens,
        )

    def outcome(self, worker_id: str, attempt: Attempt) -> tuple[Status, str | None]:
        if attempt.stopped == "task_timeout":
            return Status.TIMED_OUT, "timeout"
        if attempt.stopped:
            return self.rng.choice([Status.CANCELLED, Status.CANCELLED, Status.SUCCEEDED]), "stopped"
        if self.rng.random() < 0.15 and self.quota_hits.get(worker_id, 0) < 3:
            return Status.FAILED, TurnEnd.RATE_LIMITED
        status = self.rng.choice([Status.SUCCEEDED] * 8 + list(Status))
        return status, None if status is Status.SUCCEEDED else self.rng.choice(KINDS)

    def hit(self, account: str, wait_s: float) -> None:
        """The account is at a limit; what nobody told an end of stays closed for a minute at least."""
        left = self.rules.left_s
        until = math.inf if wait_s and left is not None and wait_s > left else self.now + wait_s
        if until == math.inf:
            self.armed.pop(account, None)
        if not wait_s:
            until = max(self.closed.get(account, 0.0), self.now + 60.0 if account not in self.closed else 0.0)
        self.closed[account] = max(self.closed.get(account, 0.0), until)

    # -- what may start, by the world's own books --------------------------------------------------

    def price(self, worker_id: str, *, configured: bool = False) -> Amount:
        terms, usual = self.rules.terms[worker_id], self.rules.budget.usual
        costs = [] if configured else [cost for cost, _ in self.told if cost is not None]
        tokens = [] if configured else [count for _, count in self.told if count is not None]
        price = terms.expected.over(
            Amount(
                statistics.fmean(costs) if costs else usual.cost,
                statistics.fmean(tokens) if tokens else usual.tokens,
            )
        )
        caps = [terms.max_cost] if terms.max_cost is not None else []
        if terms.budget.cost is not None:
            caps.append(max(0.0, terms.budget.cost - self.by_task.get(worker_id, Amount()).cost))
        return replace(price, cost=min(caps)) if terms.holds_cost and caps else price

    def affordable(self, worker_id: str) -> bool:
        budget, price = self.rules.budget, self.price(worker_id)
        held = [attempt.held for attempt in self.running.values()]
        cost = self.spent.cost + sum(amount.cost for amount in held) + price.cost
        tokens = self.spent.tokens + sum(amount.tokens for amount in held) + price.tokens
        return (budget.cost is None or cost <= budget.cost + 1e-6) and (
            budget.tokens is None or tokens <= budget.tokens + 1e-6
        )

    def room_left(self) -> bool:
        return self.room is None or self.room > 0 or not (self.floor or self.running)

    def startable(self, worker_id: str) -> bool:
        accounts = self.rules.terms[worker_id].accounts
        usable = [account for account in accounts if account not in self.closed][:1]
        needs = self.by_id[worker_id].needs
        return (
            worker_id not in self.running
            and worker_id not in self.delayed
            and worker_id not in self.statuses
            and all(self.statuses.get(need) is Status.SUCCEEDED for need in needs)
            and all(name in self.statuses for name in self.by_id[worker_id].variants)
            and bool(usable)
            and usable[0] not in self.gaps
            and self.affordable(worker_id)
            and self.room_left()
        )

    # -- actions, and what must hold after each step -----------------------------------------------

    def take(self, event: Any) -> None:
        self.trace.append(f"{self.now:10.2f} {event}")
        if isinstance(event, scheduler.StopRequested):
            self.stopping = self.stopping or event.reason
        self.state, actions = scheduler.step(self.state, event)
        for action in actions:
            self.trace.append(f"{'':10}   -> {action}")
            self.perform(action)
        self.after(event)

    def perform(self, action: scheduler.Action) -> None:
        match action:
            case scheduler.StartAttempt():
                self.start(action)
            case scheduler.StopAttempt():
                self.stop(action)
            case scheduler.LimitAttempt(worker_id=worker_id, attempt=number, limit_s=limit_s):
                self.limit(worker_id, number, limit_s)
            case scheduler.DelayRetry(worker_id=worker_id, delay_s=delay_s):
                self.check(self.failures[worker_id] <= self.retries(worker_id), "more retries than allowed")
                self.check(0 < delay_s < 301, "its back-off")
                self.delayed.add(worker_id)
                self.later(delay_s, scheduler.RetryDue(worker_id))
            case scheduler.WaitAccount(account=account, delay_s=delay_s, until=until):
                self.check(delay_s <= 18_001, "waits too long for an account")
                self.closed[account] = max(self.closed.get(account, 0.0), until)
                self.armed[account] = until
                jitter = self.rng.uniform(0, 20)
                self.later(delay_s + jitter, scheduler.AccountOpen(account, until))
            case scheduler.WaitGap(account=account, delay_s=delay_s):
                self.later(delay_s, scheduler.GapOver(account))
            case scheduler.SayWaiting(worker_id=worker_id):
                self.check(worker_id not in self.statuses and worker_id not in self.running, "said to wait")
            case scheduler.EndWorker(worker_id=worker_id, status=status):
                self.check(worker_id not in self.statuses, "ended twice")
                self.check(worker_id not in self.running, "ended while it runs")
                self.statuses[worker_id] = status
                self.delayed.discard(worker_id)
            case scheduler.HaltRun(reason=reason):
                self.check(not self.stopping, "halted after a stop")
                self.halts.append(reason)
                self.stopping = reason

    def stop(self, action: scheduler.StopAttempt) -> None:
        self.check(action.worker_id in self.running, "stopped what does not run")
        attempt = self.running[action.worker_id]
        if action.reason == "task_timeout":
            passed = min(attempt.limits_s, default=math.inf) <= self.now - attempt.began + 1e-6
            self.check(passed, "stopped within its time limit")
        attempt.stopped = attempt.stopped or action.reason
        self.later(self.rng.uniform(0, 5), ("ended", action.worker_id, attempt.number))

    def retries(self, worker_id: str) -> int:
        own = self.by_id[worker_id].retries
        return self.rules.retries if own is None else own

    def limit(self, worker_id: str, number: int, limit_s: float) -> None:
        attempt = self.running[worker_id]
        percent = self.rules.terms[worker_id].timeout_percent
        self.check(attempt.number == number and percent is not None, "limited by nothing")
        assert percent is not None
        self.check(len(self.durations) >= 3, "limited by too few")
        expected = statistics.median(self.durations) * percent / 100
        self.check(abs(expected - limit_s) < 1e-6, "its time limit")
        attempt.limits_s.append(limit_s)
        self.later(attempt.began + limit_s - self.now, scheduler.LimitPassed(worker_id, number))

    def after(self, event: Any) -> None:
        self.check(set(self.state.statuses) == set(self.statuses), "the ends that are known")
        self.check(set(self.state.running()) == set(self.running), "the workers that run")
        if isinstance(event, scheduler.AttemptEnded):
            self.after_attempt(event)
        if self.stopping:
            waiting = set(self.by_id) - set(self.statuses) - set(self.running)
            self.check(not waiting, f"neither ended nor running after a stop: {sorted(waiting)}")
            return
        self.check(not self.halt_due(), "the halt rule is met, and nothing stops")
        if len(self.running) < self.rules.max_workers:
            idle = [worker_id for worker_id in self.by_id if self.startable(worker_id)]
            self.check(not idle, f"a free slot, and {idle} could start")

    def after_attempt(self, event: scheduler.AttemptEnded) -> None:
        worker_id, ended = event.worker_id, event.worker_id in self.statuses
        if self.stopping and not self.halts:
            return
        if event.status is Status.SUCCEEDED:
            self.check(self.statuses.get(worker_id) is Status.SUCCEEDED, "a success is a success")
        elif event.kind in LASTING or event.status not in TRIED_AGAIN:
            self.check(ended, "tried again what only a person can mend")
        elif event.kind == TurnEnd.RATE_LIMITED and not self.halts:
            self.check(worker_id not in self.delayed, "a limit uses up no retry")

    def halt_due(self) -> bool:
        counted_ids = {task.id for task in self.rules.tasks if task.variant_of is None}
        rule = scheduler.halt_rule(self.rules.halt, len(counted_ids))
        if rule.limit is None:
            return False
        new = [
            status
            for worker_id, status in self.statuses.items()
            if worker_id in counted_ids and worker_id not in self.rules.ended
        ]
        ends = [status for status in new if status is not Status.CANCELLED]
        good = sum(status is Status.SUCCEEDED for status in ends)
        counted = {"fail": len(ends) - good, "success": good, "done": len(ends)}[rule.counts]
        return counted >= rule.limit and not self.state.done

    def close(self) -> World:
        self.check(set(self.statuses) == set(self.by_id), "every task has ended")
        self.check(not self.running, "nothing runs at the end")
        self.check(self.state.statuses == self.statuses, "as the scheduler says")
        budget = self.rules.budget
        if budget.cost is not None and self.starts:
            over = self.spent.cost - budget.cost
            most = self.rules.max_workers * max(0.0, self.worst_over)
            self.check(over <= most + 1e-6, f"overspent by {over:.2f}, at most {most:.2f} can be explained")
        for worker_id, status in self.statuses.items():
            bad = [n for n in self.by_id[worker_id].needs if self.statuses[n] is not Status.SUCCEEDED]
            self.check(status is not Status.SUCCEEDED or not bad, "succeeded without its needs")
        return self

    def check(self, holds: object, what: str) -> None:
        if not holds:
            tail = "\n".join(self.trace[-30:])
            raise BrokenError(f"seed {self.seed}: {what}\n{tail}")
