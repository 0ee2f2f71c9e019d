"""The fault suite: a quick set for every change; the long one is `python -m benchmarks.reliability`."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import pytest

from benchmarks.reliability import power
from benchmarks.reliability.journal_kills import kill_writers
from benchmarks.reliability.product import kill_runs


@pytest.fixture
def rng() -> random.Random:
    seed = int(os.environ.get("KILLS_SEED") or random.randrange(2**32))
    print(f"KILLS_SEED={seed}")
    return random.Random(seed)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("isolation", ["worktree", "clone"])
def test_killed_runs_lose_nothing_repeat_nothing_and_leave_nothing(
    tmp_path: Path, rng: random.Random, isolation: str
) -> None:
    tally = kill_runs(tmp_path, kills=4, signals=(signal.SIGKILL,), rng=rng, jobs=24, isolation=isolation)
    assert tally.clean, tally
    assert tally.kills == 4


@pytest.mark.timeout(300)
def test_stopped_runs_lose_nothing_repeat_nothing_and_leave_nothing(
    tmp_path: Path, rng: random.Random
) -> None:
    signals = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    tally = kill_runs(tmp_path, kills=4, signals=signals, rng=rng, jobs=24)
    assert tally.clean, tally


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_many_killed_runs_lose_nothing_repeat_nothing_and_leave_nothing(
    tmp_path: Path, rng: random.Random
) -> None:
    tally = kill_runs(tmp_path, kills=100, signals=(signal.SIGKILL,), rng=rng)
    assert tally.clean, tally


def test_a_killed_writer_of_the_journal_loses_nothing_that_it_acknowledged(
    tmp_path: Path, rng: random.Random
) -> None:
    row = kill_writers(tmp_path, kills=6, rng=rng)
    assert (row["lost"], row["journal_faults"]) == (0, [])
    assert row["acknowledged"] > 6


def test_a_power_cut_loses_no_acknowledged_event(tmp_path: Path, rng: random.Random) -> None:
    found = power.cut(power.record(tmp_path, 900, rng), tmp_path, 60, rng)
    assert (found.lost, found.damaged) == (0, [])
    assert found.acknowledged > 60


def test_the_simulated_disk_does_lose_what_is_not_synced(
    tmp_path: Path, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the test above would show nothing."""
    monkeypatch.setattr(power, "_SYNCHRONOUS", "synchronous=NORMAL")
    found = power.cut(power.record(tmp_path, 900, rng), tmp_path, 60, rng)
    assert found.lost > 0
