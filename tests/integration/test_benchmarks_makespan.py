"""The makespan benchmark runs, collects everything, and its arithmetic is right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.makespan import __main__ as makespan
from benchmarks.makespan.figures import best_peer, ratio, summarise
from benchmarks.makespan.goals import judge
from benchmarks.makespan.rows import Case
from benchmarks.makespan.workloads import expected_lines, git, lost_files, lost_lines, make_repository


def row(contender: str, wall: float, **more: Any) -> dict[str, Any]:
    values = {
        "table": "makespan",
        "contender": contender,
        "count": 256,
        "channel": "pipe",
        "worktrees": False,
        "ideal": 1.0,
        "wall": wall,
        "process_wall": wall,
        "cpu_own": 0.1,
        "cpu_tree": 0.5,
        "peak_rss": 1000,
        "lost_lines": 0,
        "failed": 0,
    }
    return values | more


def test_two_short_workers_through_every_contender_that_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(makespan, "SEED_NUMBERS", (2,))
    argv = ["--numbers", "2", "--rounds", "1", "--seconds", "0.1", "--results", str(tmp_path / "results")]
    assert makespan.main(argv) == 0
    (raw,) = (tmp_path / "results").glob("*.jsonl")
    machine, *rows = map(json.loads, raw.read_text().splitlines())
    assert machine["worker"]
    product = [one for one in rows if one["contender"] == "orchestrator"]
    assert {(one["table"], one["channel"], one["worktrees"]) for one in product} >= {
        ("makespan", "pipe", False),
        ("makespan", "pty", True),
        ("microblog", "pipe", True),
    }
    assert all(one["wall"] >= one["ideal"] for one in rows)
    assert not any(one["lost_lines"] + one.get("lost_files", 0) + one["failed"] for one in product)
    assert [one["live"] for one in rows if one["table"] == "memory"] == [2, 2]
    (sequential,) = (one for one in rows if one["table"] == "sequential")
    assert sequential["ideal"] == pytest.approx(0.2)
    (first, second) = sorted(sequential["intervals"])
    assert first[1] <= second[0]
    assert "### N = 2, a git worktree each" in raw.with_suffix(".md").read_text()


def test_no_row_is_started_after_the_time_limit(tmp_path: Path) -> None:
    assert makespan.main(["--numbers", "2", "--limit", "0", "--results", str(tmp_path)]) == 0
    (summary,) = tmp_path.glob("*.md")
    assert "rows are left out: the time was up" in summary.read_text()


def test_a_second_run_of_a_day_gets_a_file_of_its_own(tmp_path: Path) -> None:
    for _ in range(2):
        makespan.main(["--limit", "0", "--results", str(tmp_path)])
    assert len(list(tmp_path.glob("*.jsonl"))) == 2


def test_a_lost_line_is_counted() -> None:
    lines = sorted(expected_lines("w1") | expected_lines("w2"))
    assert lost_lines(["w1", "w2"], b"\r\n".join(lines)) == 0
    assert lost_lines(["w1", "w2"], b"\n".join(lines[1:])) == 1
    assert lost_lines(["w1", "w2"], b"") == 2 * len(expected_lines("w1"))


def test_a_lost_file_is_counted(tmp_path: Path) -> None:
    make_repository(tmp_path)
    git(tmp_path, "switch", "-q", "-c", "some/w1")
    (tmp_path / "w1.txt").write_text("done\n")
    git(tmp_path, "add", "w1.txt")
    git(tmp_path, "commit", "-q", "-m", "work")
    git(tmp_path, "branch", "some/w2", "main")
    assert lost_files(tmp_path, ["w1"]) == 0
    assert lost_files(tmp_path, ["w1", "w2", "w3"]) == 2


@pytest.mark.parametrize(
    ("slots", "ideal"), [(1, 17.5), (8, 2.5), (2, 9.0)]
)  # two slots: 2+2.5+2+2.5 and 2+2.5+2+2 in order of the first free one
def test_the_ideal_wall_time_fills_slots_in_order(slots: int, ideal: float) -> None:
    durations = [2.0, 2.0, 2.5, 2.5, 2.0, 2.0, 2.5, 2.0]
    assert Case(table="microblog", durations=durations, slots=slots).ideal == pytest.approx(ideal)


def test_ratios_are_of_medians_and_against_the_best_peer() -> None:
    rows = [row("orchestrator", wall) for wall in (1.1, 1.2, 9.0)]
    rows += [row("xargs -P", 1.4), row("GNU parallel", 3.0, cpu_tree=0.25)]
    rows.append(row("xargs -P", 1.0) | {"fault": "killed"})
    figures = summarise(rows, "makespan")
    ours = figures[0]
    assert (ours.wall, ours.rounds) == (1.2, 3)
    assert best_peer(figures, "wall") == figures[1]
    careless = summarise([*rows, row("pexpect threads", 1.01, lost_lines=1)], "makespan")
    assert best_peer(careless, "wall") == figures[1]
    assert ratio(ours, figures, "overhead") == "0.50x xargs -P"
    assert ratio(ours, figures, "cpu_tree") == "2.00x GNU parallel"


def test_goals_are_judged_from_overheads() -> None:
    rows = [row("orchestrator", 1.2), row("GNU parallel", 2.3), row("pexpect threads", 2.0, channel="pty")]
    rows.append(row("orchestrator", 0.0, table="microblog", sum=17.5) | {"wall": 2.6})
    met = {verdict.goal: verdict.met for verdict in judge(rows)}
    assert met == {
        "wall/T at N = 256, pipe": True,
        "overhead at N = 256, pipe, against GNU parallel": True,
        "overhead at N = 256, pipe, against pexpect threads": False,
        "MicroBlog Σ/wall, Σ of scaled work time": False,
    }
