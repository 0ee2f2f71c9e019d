"""The summary in Markdown: every table is made from raw rows, none by hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from benchmarks.makespan.contenders import PRODUCT
from benchmarks.makespan.figures import Figures, Row, cases, ratio, summarise
from benchmarks.makespan.goals import judge
from orchestrator.report.verdict import overlaps

_HEAD = (
    *("contender", "wall/T", "process wall/T", "overhead ms/worker", "CPU s own + children"),
    *("CPU ms/worker", "peak MB", "lost", "failed", "rounds"),
)


def render(rows: Sequence[Row], machine: Row, remarks: Sequence[str]) -> str:
    """Return the whole summary."""
    parts = [
        f"# Makespan, {machine['at']}",
        _machine(machine),
        *(f"* {remark}" for remark in remarks),
        "## Workers of equal length",
        _READING,
        *(_case(case) for case in cases(summarise(rows, "makespan"))),
        "## The product against the best peer at the same number",
        _ratios(rows),
        "## Memory while all workers live",
        _memory(rows),
        "## Goals",
        _table(
            ("goal", "limit", "measured", "met"),
            ((v.goal, v.limit, v.measured, "yes" if v.met else "no") for v in judge(rows)),
        ),
        "## The seed's tables, measured",
        _seed(rows, "sequential", "Sequential (`max_workers: 1`)"),
        _seed(rows, "parallel", "Parallel"),
        "## MicroBlog: eight workers with worktrees",
        _microblog(rows),
        _faults(rows),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


_READING = """\
Medians over rounds. `wall/T` runs from tasks in hand to results in hand; for GNU parallel and xargs, which
are commands, it is the whole process. `process wall/T` is the whole process for everybody: the Python ones
start an interpreter. CPU is of the whole process and everything it waited for, the workers' own included.
`peak` is of the orchestrating process alone. `lost` counts lines of output that were not collected, and
files that are on no branch, in all rounds together. A peer that lost anything is never the best peer."""


_SUMS = """\
`Σ work` is the scaled durations of the seed's eight modules, the time that the workers' programs sleep; it is
the strict one. `Σ in slots` is measured, from a worker's start in its slot to its end, and so counts our own
making of workspaces and commits as work."""


def _machine(machine: Row) -> str:
    load = ", ".join(f"{one:.1f}" for one in machine["load"])
    return (
        f"{machine['cores']} cores ({machine['processor']}), {machine['memory_gb']:.0f} GB, "
        f"{machine['system']}, Python {machine['python']}, {machine['git']}, "
        f"{machine['file_system']}; load at the start {load}. "
        f"T = {machine['seconds']:g} s; the worker is {machine['worker']}."
    )


def _case(case: Sequence[Figures]) -> str:
    kind = "a git worktree each" if case[0].worktrees else "no git"
    title = f"### N = {case[0].count}, {kind}"
    return f"{title}\n\n" + _table(_HEAD, (_line(one) for one in sorted(case, key=lambda one: one.wall)))


def _line(one: Figures) -> tuple[str, ...]:
    name = f"**{one.title}**" if one.contender == PRODUCT else one.title
    return (
        name,
        f"{one.wall / one.ideal:.3f}",
        f"{one.process_wall / one.ideal:.3f}",
        f"{one.overhead / one.count * 1000:.2f}",
        f"{one.cpu_own:.2f} + {max(0.0, one.cpu_tree - one.cpu_own):.2f}",
        f"{one.cpu_tree / one.count * 1000:.1f}",
        f"{one.peak_rss / 1e6:.1f}",
        str(one.lost),
        str(one.failed),
        str(one.rounds),
    )


def _ratios(rows: Sequence[Row]) -> str:
    head = ("N", "git", "channel", "wall", "overhead", "CPU of the tree", "peak memory")
    body = []
    for case in cases(summarise(rows, "makespan")):
        for ours in (one for one in case if one.contender == PRODUCT):
            git = "worktrees" if ours.worktrees else "none"
            ratios = (ratio(ours, case, name) for name in ("wall", "overhead", "cpu_tree", "peak_rss"))
            body.append((str(ours.count), git, ours.channel, *ratios))
    return _table(head, body)


def _memory(rows: Sequence[Row]) -> str:
    head = ("N", "channel", "live", "orchestrating process MB", "shims and nursery MB", "MB per live worker")
    body = [
        (
            str(row["count"]),
            row["channel"],
            str(row["live"]),
            f"{row['pss_own'] / 1e6:.1f}",
            f"{row['pss_others'] / 1e6:.1f}",
            f"{(row['pss_own'] + row['pss_others']) / row['live'] / 1e6:.2f}",
        )
        for row in rows
        if row.get("table") == "memory" and row.get("pss_own")
    ]
    return "PSS: pages that several share are divided among them.\n\n" + _table(head, body)


def _seed(rows: Sequence[Row], table: str, title: str) -> str:
    runs = sorted(
        (row for row in rows if row.get("table") == table and "fault" not in row), key=lambda r: r["count"]
    )
    head = ("workers", "time per worker, s", "total time, s", "total/T", "most at once")
    body = []
    for count in sorted({row["count"] for row in runs}):
        same = [row for row in runs if row["count"] == count]
        wall, each = median(row["wall"] for row in same), same[0]["longest"]
        most = max(overlaps(map(tuple, row["intervals"])) for row in same)
        body.append((str(count), f"{each:g}", f"{wall:.2f}", f"{wall / each:.3f}", str(most)))
    return f"### {title}\n\n" + _table(head, body)


def _microblog(rows: Sequence[Row]) -> str:
    head = (
        *("round", "Σ work s", "Σ in slots s", "longest s", "wall s", "Σ work/wall", "Σ in slots/wall"),
        "most at once",
    )
    body = []
    for row in rows:
        if row.get("table") == "microblog" and "fault" not in row:
            spans = [(start, end) for start, end in row["intervals"]]
            in_slots = sum(end - start for start, end in spans)
            speed = (f"{row['sum'] / row['wall']:.2f}", f"{in_slots / row['wall']:.2f}")
            times = (f"{value:.3f}" for value in (row["sum"], in_slots, row["longest"], row["wall"]))
            body.append((str(row["round"]), *times, *speed, str(overlaps(spans))))
    return f"{_SUMS}\n\n{_table(head, body)}"


def _faults(rows: Sequence[Row]) -> str:
    lines = []
    for row in rows:
        git = ", worktrees" if row["worktrees"] else ""
        where = f"* {row['contender']}, N = {row['count']}, {row['channel']}{git}, round {row['round']}"
        first = (row.get("said") or "nothing").strip().splitlines()[0]
        if "fault" in row:
            lines.append(f"{where}: left out, {row['fault']}; it said: `{first}`")
        elif row["failed"]:
            lines.append(f"{where}: {row['failed']} workers failed; it said: `{first}`")
    return "## Rows with failures\n\n" + "\n".join(lines) if lines else ""


def _table(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *body)]
    return "\n".join(lines)
