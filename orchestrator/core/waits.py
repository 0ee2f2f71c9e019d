"""The timers that the scheduler asks for: retries, limits of accounts, pauses between starts, time limits."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from orchestrator.core import scheduler
from orchestrator.ports import Clock

#: A wait for an account looks at the wall clock this often: a machine that slept wakes after its reset.
LOOK_S = 20.0
#: Accounts open again up to this share of the wait later, and at most so many seconds: not all at once.
JITTER, LONGEST_JITTER_S = 0.1, 30.0

Timed = scheduler.DelayRetry | scheduler.WaitAccount | scheduler.WaitGap | scheduler.LimitAttempt


class Waits:
    """Sends the scheduler's events when their time has come. Belongs to the loop it is used in."""

    def __init__(self, clock: Clock, send: Callable[[scheduler.Event], Any], rng: random.Random) -> None:
        self._clock, self._send, self._rng = clock, send, rng
        self._accounts: dict[str, datetime] = {}
        self._limits: dict[str, asyncio.TimerHandle] = {}
        self._looking: dict[str, asyncio.TimerHandle] = {}

    def begin(self, action: Timed, *, running_s: float = 0.0) -> None:
        """Start the timer; `running_s` is for how long the attempt of a LimitAttempt has run already."""
        loop = asyncio.get_running_loop()
        match action:
            case scheduler.DelayRetry(worker_id=worker_id, delay_s=delay_s):
                loop.call_later(delay_s, self._send, scheduler.RetryDue(worker_id))
            case scheduler.WaitGap(account=account, delay_s=delay_s):
                loop.call_later(delay_s, self._send, scheduler.GapOver(account))
            case scheduler.LimitAttempt(worker_id=worker_id, attempt=attempt, limit_s=limit_s):
                self.forget(worker_id)
                rest = max(0.0, limit_s - running_s)
                passed = scheduler.LimitPassed(worker_id, attempt)
                self._limits[worker_id] = loop.call_later(rest, self._send, passed)
            case scheduler.WaitAccount():
                self._wait_account(action)

    def forget(self, worker_id: str) -> None:
        """Drop the time limit of the worker's attempt."""
        if limit := self._limits.pop(worker_id, None):
            limit.cancel()

    def account_until(self, account: str) -> datetime | None:
        """When the account is tried again; None when nobody knows."""
        return self._accounts.get(account)

    def _wait_account(self, wait: scheduler.WaitAccount) -> None:
        jitter = self._rng.uniform(0.0, min(LONGEST_JITTER_S, JITTER * wait.delay_s))
        delay_s = wait.delay_s + jitter
        self._accounts[wait.account] = self._clock.now() + timedelta(seconds=delay_s)
        if looking := self._looking.pop(wait.account, None):
            looking.cancel()
        self._look(wait, self._clock.monotonic() + delay_s, self._accounts[wait.account])

    def _look(self, wait: scheduler.WaitAccount, due: float, due_at: datetime) -> None:
        """Both clocks count: one stands still while the machine sleeps, the other may be set."""
        left = min(due - self._clock.monotonic(), (due_at - self._clock.now()).total_seconds())
        if left <= 0:
            self._looking.pop(wait.account, None)
            self._accounts.pop(wait.account, None)
            self._send(scheduler.AccountOpen(wait.account, wait.until))
            return
        later = asyncio.get_running_loop().call_later(min(left, LOOK_S), self._look, wait, due, due_at)
        self._looking[wait.account] = later
