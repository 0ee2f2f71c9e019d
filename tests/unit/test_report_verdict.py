"""The verdict on parallelism, and the block that prints it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.report.verdict import overlaps, verification_block

PARALLEL = """\
Individual durations:
  worker_01_simple: 15.0s
  worker_02_simple: 18.0s

Sum of individual durations: 33.0s
Max individual duration: 18.0s
Actual total time: 19.5s

Execution mode: ✅ PARALLEL
Workers executed simultaneously! ✓"""

SEQUENTIAL = """\
Individual durations:
  worker_01_simple: 15.0s
  worker_02_simple: 18.0s

Sum of individual durations: 33.0s
Max individual duration: 18.0s
Actual total time: 33.4s

Execution mode: ❌ SEQUENTIAL
Workers did not execute simultaneously! ✗"""

DURATIONS = [("worker_01_simple", 15.0), ("worker_02_simple", 18.0)]


def test_the_block_is_the_documented_one() -> None:
    assert verification_block(DURATIONS, 19.5, parallel=True) == PARALLEL
    assert verification_block(DURATIONS, 33.4, parallel=False) == SEQUENTIAL


def test_the_block_is_printed_for_nothing_and_for_hostile_names() -> None:
    assert "Max individual duration: 0.0s" in verification_block([], 0.0, parallel=False)
    assert "\x1b" not in verification_block([("\x1b[2Jx", 1.0)], 1.0, parallel=False)


@pytest.mark.parametrize(
    ("intervals", "most"),
    [
        ([], 0),
        ([(0, 1)], 1),
        ([(0, 1), (1, 2)], 1),
        ([(0, 2), (1, 3)], 2),
        ([(0, 10), (1, 2), (3, 4)], 2),
        ([(0, 10), (1, 4), (3, 4)], 3),
        ([(5, 5), (5, 5), (0, 9)], 1),
    ],
)
def test_overlap_is_counted_at_one_instant(intervals: list[tuple[float, float]], most: int) -> None:
    assert overlaps(intervals) == most
    assert overlaps(reversed(intervals)) == most


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 10))))
def test_overlap_is_what_looking_at_every_instant_gives(pairs: list[tuple[int, int]]) -> None:
    intervals = [(start, start + length) for start, length in pairs]
    seen = (sum(start <= at < end for start, end in intervals) for at in range(31))
    assert overlaps(intervals) == max(seen)
