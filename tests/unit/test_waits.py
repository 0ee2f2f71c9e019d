"""The timers of a run, with clocks that tests own; and whose limits hold for whom."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.agents.logins import account
from orchestrator.core import scheduler, waits
from orchestrator.core.scheduler.retrying import back_off_s
from orchestrator.core.waits import Waits
from orchestrator.model.outcome import TurnEnd


@dataclass
class Clocks:
    """A clock that stands still while the machine sleeps, and one that goes on."""

    running: float = 1000.0
    wall: datetime = datetime(2026, 11, 24, tzinfo=UTC)

    def monotonic(self) -> float:
        return self.running

    def now(self) -> datetime:
        return self.wall


def waited(clock: Clocks, wait: scheduler.WaitAccount, change: str, seconds: float) -> bool:
    """Whether the account is open once `change` has gone on by so many seconds."""
    sent: list[scheduler.Event] = []

    async def go() -> None:
        timers = Waits(clock, sent.append, random.Random(1))
        timers.begin(wait)
        assert timers.account_until("claude") is not None
        if change == "wall":
            clock.wall += timedelta(seconds=seconds)
        else:
            clock.running += seconds
        await asyncio.sleep(0.06)

    asyncio.run(go())
    return sent == [scheduler.AccountOpen("claude", wait.until)]


@pytest.mark.parametrize("change", ["wall", "running"])
def test_either_clock_ends_the_wait_for_an_account(change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "LOOK_S", 0.01)
    wait = scheduler.WaitAccount("claude", 100.0, until=1100.0)
    assert waited(Clocks(), wait, change, 110.1)
    assert not waited(Clocks(), wait, change, 99.9)


def test_a_later_wait_takes_the_place_of_the_earlier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "LOOK_S", 0.01)
    sent: list[scheduler.Event] = []
    clock = Clocks()

    async def go() -> None:
        timers = Waits(clock, sent.append, random.Random(1))
        timers.begin(scheduler.WaitAccount("claude", 10.0, until=1010.0))
        timers.begin(scheduler.WaitAccount("claude", 20.0, until=1020.0))
        clock.running += 15.0
        await asyncio.sleep(0.05)
        assert sent == []
        clock.running += 15.0
        await asyncio.sleep(0.05)

    asyncio.run(go())
    assert sent == [scheduler.AccountOpen("claude", 1020.0)]


def test_a_time_limit_counts_what_has_run_and_can_be_dropped() -> None:
    sent: list[scheduler.Event] = []

    async def go() -> None:
        timers = Waits(Clocks(), sent.append, random.Random(1))
        timers.begin(scheduler.LimitAttempt("a", 1, 10.0), running_s=11.0)
        timers.begin(scheduler.LimitAttempt("b", 1, 10.0), running_s=11.0)
        timers.begin(scheduler.LimitAttempt("b", 1, 100.0), running_s=11.0)
        timers.begin(scheduler.LimitAttempt("c", 2, 10.0), running_s=11.0)
        timers.forget("c")
        await asyncio.sleep(0.05)

    asyncio.run(go())
    assert sent == [scheduler.LimitPassed("a", 1)]


def test_an_account_is_a_login_or_a_key() -> None:
    assert account("claude", {}) == account("claude-terminal", {}) == "claude"
    assert account("codex-terminal", {}) == "codex"
    assert account("gemini", {"ANTHROPIC_API_KEY": "x"}) == "gemini"
    one, two = (account("claude", {"ANTHROPIC_API_KEY": key}) for key in ("secret-one", "secret-two"))
    assert one != two != "claude"
    assert "secret" not in one


def test_the_wait_before_a_retry_goes_by_the_kind() -> None:
    assert [back_off_s(TurnEnd.CRASHED, n) for n in (1, 2, 3, 20)] == [1.0, 2.0, 4.0, 60.0]
    assert [back_off_s(TurnEnd.MODEL.value, n) for n in (1, 2, 20)] == [5.0, 10.0, 300.0]
    assert back_off_s(None, 1) == back_off_s("verify_failed", 1) == 1.0
