"""Did the workers run at the same time? The answer from overlapping intervals, and how it is printed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from orchestrator.safe_text import safe_text


def overlaps(intervals: Iterable[tuple[float, float]]) -> int:
    """Return how many of the (start, end) intervals cover one instant, at most; touching ends do not."""
    edges = sorted(edge for start, end in intervals if start < end for edge in ((start, 1), (end, -1)))
    most = running = 0
    for _, change in edges:  # an end sorts before a start at the same instant
        running += change
        most = max(most, running)
    return most


def verification_block(durations: Sequence[tuple[str, float]], total: float, parallel: bool) -> str:
    """Return the block that proves or refutes a parallel run: each duration, sum, max, total, verdict."""
    seconds = [duration for _, duration in durations]
    lines = ["Individual durations:"]
    lines += [f"  {safe_text(worker_id)}: {duration:.1f}s" for worker_id, duration in durations]
    lines += [
        "",
        f"Sum of individual durations: {sum(seconds):.1f}s",
        f"Max individual duration: {max(seconds, default=0.0):.1f}s",
        f"Actual total time: {total:.1f}s",
        "",
    ]
    if parallel:
        lines += ["Execution mode: ✅ PARALLEL", "Workers executed simultaneously! ✓"]
    else:
        lines += ["Execution mode: ❌ SEQUENTIAL", "Workers did not execute simultaneously! ✗"]
    return "\n".join(lines)
