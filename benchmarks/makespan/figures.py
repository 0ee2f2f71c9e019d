"""From raw rows to figures: medians over rounds, overheads, and ratios to the best peer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.makespan.contenders import PRODUCT

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One contender at one case: medians of its rounds, and everything that was lost in any of them."""

    contender: str
    channel: str
    count: int
    worktrees: bool
    rounds: int
    ideal: float
    wall: float  #: of the run; for other programs than Python ones their start is part of it
    process_wall: float
    cpu_own: float  #: the whole process, its start included
    cpu_tree: float
    peak_rss: float
    run_cpu: float | None  #: own and children, without the process's start
    lost: int  #: lines and files, all rounds
    failed: int

    @property
    def overhead(self) -> float:
        """Seconds beyond what the workers themselves need."""
        return self.wall - self.ideal

    @property
    def title(self) -> str:
        """Who, and over what."""
        return f"{self.contender}, {self.channel}"


def summarise(rows: Sequence[Row], table: str) -> list[Figures]:
    """Return medians of each contender at each case of `table`; rows that failed are left out."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        if row.get("table") == table and "fault" not in row:
            key = (row["worktrees"], row["count"], row["contender"], row["channel"])
            groups.setdefault(key, []).append(row)
    return [_figures(group) for group in groups.values()]


def _figures(group: Sequence[Row]) -> Figures:
    def middle(name: str) -> float:
        return float(median(row[name] for row in group))

    first = group[0]
    accounts = [row["run_cpu_own"] + row["run_cpu_children"] for row in group if "run_cpu_own" in row]
    return Figures(
        contender=first["contender"],
        channel=first["channel"],
        count=first["count"],
        worktrees=first["worktrees"],
        rounds=len(group),
        ideal=first["ideal"],
        wall=middle("wall"),
        process_wall=middle("process_wall"),
        cpu_own=middle("cpu_own"),
        cpu_tree=middle("cpu_tree"),
        peak_rss=middle("peak_rss"),
        run_cpu=median(accounts) if accounts else None,
        lost=sum(row["lost_lines"] + row.get("lost_files", 0) for row in group),
        failed=sum(row["failed"] for row in group),
    )


def cases(figures: Sequence[Figures]) -> list[list[Figures]]:
    """Group what was measured on the same case, whatever the channel: no git first, then by number."""
    groups: dict[tuple[bool, int], list[Figures]] = {}
    for one in figures:
        groups.setdefault((one.worktrees, one.count), []).append(one)
    return [groups[key] for key in sorted(groups)]


def best_peer(case: Sequence[Figures], figure: str) -> Figures | None:
    """The peer with the smallest value of `figure` of those that lost nothing; None when there is none."""
    peers = [one for one in case if one.contender != PRODUCT and not one.lost and not one.failed]
    return min(peers, key=lambda one: float(getattr(one, figure)), default=None)


def ratio(ours: Figures, case: Sequence[Figures], figure: str) -> str:
    """Our value as a multiple of the best peer's, with the peer's name."""
    peer = best_peer(case, figure)
    if peer is None:
        return "no peer"
    theirs = float(getattr(peer, figure))
    return f"{float(getattr(ours, figure)) / theirs:.2f}x {peer.contender}" if theirs > 0 else "-"
