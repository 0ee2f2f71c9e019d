"""The goals of the makespan, and whether a set of rows meets them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.makespan.contenders import PRODUCT
from benchmarks.makespan.figures import Figures, Row, cases, summarise

WALL = {8: 1.03, 64: 1.08, 256: 1.25, 1000: 2.0}
#: Below so many workers the run's own start, shared by all of them, is most of what is measured.
FEWEST_FOR_CPU = 64
#: Our overhead as a share of that of each of SLOW_PEERS.
OVERHEAD = {256: 1 / 6, 1000: 1 / 8}
SLOW_PEERS = ("GNU parallel", "pexpect threads")
CPU_PER_WORKER_MS = 5.0
MEMORY_PER_WORKER_MB = 2.0
MICROBLOG_SPEEDUP = 6.8


@dataclass(frozen=True, slots=True)
class Verdict:
    """One goal and what was measured."""

    goal: str
    limit: str
    measured: str
    met: bool


def judge(rows: Sequence[Row]) -> list[Verdict]:
    """Compare every goal that these rows speak of."""
    makespan = [case for case in cases(summarise(rows, "makespan")) if not case[0].worktrees]
    verdicts = [verdict for case in makespan for verdict in _case(case)]
    return [*verdicts, *_memory(rows), *_microblog(rows)]


def _case(case: Sequence[Figures]) -> Iterator[Verdict]:
    for ours in (one for one in case if one.contender == PRODUCT):
        what = f"N = {ours.count}, {ours.channel}"
        if limit := WALL.get(ours.count):
            value = ours.wall / ours.ideal
            yield Verdict(f"wall/T at {what}", f"≤ {limit}", f"{value:.3f}", value <= limit)
        if share := OVERHEAD.get(ours.count):
            yield from _against_slow_peers(ours, case, share)
        if ours.run_cpu is not None and ours.count >= FEWEST_FOR_CPU:
            cpu = ours.run_cpu / ours.count * 1000
            yield Verdict(
                f"CPU per worker at {what}",
                f"≤ {CPU_PER_WORKER_MS} ms",
                f"{cpu:.1f} ms",
                cpu <= CPU_PER_WORKER_MS,
            )


def _against_slow_peers(ours: Figures, case: Sequence[Figures], share: float) -> Iterator[Verdict]:
    for peer in (one for one in case if one.contender in SLOW_PEERS):
        value = ours.overhead / peer.overhead
        goal = f"overhead at N = {ours.count}, {ours.channel}, against {peer.contender}"
        yield Verdict(goal, f"≤ {share:.3f}x", f"{value:.3f}x", value <= share)


def _memory(rows: Sequence[Row]) -> Iterator[Verdict]:
    weighed = [row for row in rows if row.get("table") == "memory" and row.get("pss_own")]
    for row in weighed:
        if row["count"] == max(other["count"] for other in weighed):
            value = (row["pss_own"] + row["pss_others"]) / row["live"] / 1e6
            goal = f"memory per live worker at N = {row['count']}, {row['channel']}"
            yield Verdict(
                goal, f"≤ {MEMORY_PER_WORKER_MB} MB", f"{value:.2f} MB", value <= MEMORY_PER_WORKER_MB
            )


def _microblog(rows: Sequence[Row]) -> Iterator[Verdict]:
    runs = [row for row in rows if row.get("table") == "microblog" and "fault" not in row]
    if runs:
        value = median(row["sum"] / row["wall"] for row in runs)
        goal = "MicroBlog Σ/wall, Σ of scaled work time"
        yield Verdict(goal, f"≥ {MICROBLOG_SPEEDUP} of 7.0", f"{value:.2f}", value >= MICROBLOG_SPEEDUP)
