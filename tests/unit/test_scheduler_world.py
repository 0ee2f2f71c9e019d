"""Thousands of random schedules: whatever happens in whatever order, the scheduler's promises hold."""

from __future__ import annotations

import os
from collections import Counter

import pytest

from orchestrator.model.result import Status
from tests.unit.scheduler_world import BrokenError, World

#: Replays one schedule, as a failure names it.
SEED = os.environ.get("ORCHESTRATOR_SIM_SEED")


def drive(seeds: range) -> Counter[str]:
    """Run the schedules; what they reached, so that a test of nothing is seen."""
    reached: Counter[str] = Counter()
    for seed in seeds:
        try:
            world = World(seed).run()
        except Exception as err:
            if not isinstance(err, BrokenError):
                raise BrokenError(f"seed {seed}: {err!r}; ORCHESTRATOR_SIM_SEED={seed} replays it") from err
            raise
        reached["schedules"] += 1
        reached["starts"] += world.starts
        reached["choices"] += world.choices
        reached.update(f"halted by {reason}" for reason in world.halts)
        reached.update(status.value for status in world.statuses.values())
        reached["quota"] += sum(world.quota_hits.values())
        reached["retries"] += sum(world.failures.values())
        reached["resumed"] += bool(world.rules.ended)
    return reached


def check_reach(reached: Counter[str], schedules: int) -> None:
    assert reached["schedules"] == schedules
    for what in (*(status.value for status in Status), "halted by halt", "halted by budget"):
        assert reached[what] > schedules / 100, (what, reached)
    for what in ("starts", "choices", "quota", "retries", "resumed"):
        assert reached[what] > schedules / 10, (what, reached)


@pytest.mark.skipif(SEED is None, reason="ORCHESTRATOR_SIM_SEED names no schedule")
def test_the_one_schedule() -> None:
    world = World(int(SEED or 0))
    try:
        world.run()
    finally:
        print("\n".join(world.trace))


def test_a_thousand_random_schedules() -> None:
    check_reach(drive(range(1000)), 1000)


@pytest.mark.slow
def test_ten_thousand_random_schedules() -> None:
    check_reach(drive(range(10_000, 20_000)), 10_000)
