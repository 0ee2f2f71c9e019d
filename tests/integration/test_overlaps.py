"""Conflicts seen while workers are still at work."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core import overlaps
from orchestrator.journal.state import load_state
from orchestrator.model.event import Event, EventKind
from orchestrator.report.build import build_report
from tests.integration.run_fixtures import git, make_repository, make_run, shell, task


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlaps, "PERIOD_S", 0.05)
    monkeypatch.setattr(overlaps, "SHARE", 0.9)


@pytest.mark.parametrize("isolation", ["worktree", "clone"])
def test_a_conflict_is_told_once_while_both_still_run(tmp_path: Path, isolation: str) -> None:
    repo = make_repository(tmp_path / "repo")
    gate = tmp_path / "gate"
    wait = f"while [ ! -e {gate} ]; do sleep 0.02; done"
    tasks = [
        task("first", shell(f"echo one > README.md; echo 1 > new; {wait}")),
        task("second", shell(f"echo two > README.md; {wait}")),
        task("third", shell(f"echo 3 > new; {wait}")),
    ]
    told: list[dict[str, Any]] = []
    unfinished: list[bool] = []

    def hear(event: Event) -> None:
        if event.kind is EventKind.CONFLICTS_OVERLAP:
            told.append(dict(event.data))
            unfinished.append(not gate.exists())
            if len(told) == 2:
                gate.touch()

    running = make_run(repo, tasks, hear, isolation=isolation)
    asyncio.run(asyncio.wait_for(running.execute(), 60))
    assert sorted((one["a"], one["b"], one["file"], one["kind"]) for one in told) == [
        ("first", "second", "README.md", "contents"),
        ("first", "third", "new", "contents"),
    ]
    assert all(unfinished)
    report = build_report(load_state(running.directory))
    assert len(report["conflicts"]["overlaps"]) == 2
    live = report["conflicts"]["predictions"]["live"]
    assert [one["file"] for one in live["hits"]] == ["README.md", "new"]
    assert live["misses"] == live["false_alarms"] == []
    assert git(repo, "status", "--porcelain") == ""


def test_what_two_workers_made_up_is_a_false_alarm_in_the_end(tmp_path: Path) -> None:
    repo = make_repository(tmp_path / "repo")
    gate = tmp_path / "gate"
    wait = f"while [ ! -e {gate} ]; do sleep 0.02; done"
    tasks = [
        task("first", shell(f"echo one > README.md; {wait}; echo x > a")),
        task("second", shell(f"echo two > README.md; {wait}; echo one > README.md")),
    ]

    def hear(event: Event) -> None:
        if event.kind is EventKind.CONFLICTS_OVERLAP:
            gate.touch()

    running = make_run(repo, tasks, hear)
    asyncio.run(asyncio.wait_for(running.execute(), 60))
    report = build_report(load_state(running.directory))
    assert report["conflicts"]["pairs"] == []
    assert [one["file"] for one in report["conflicts"]["predictions"]["live"]["false_alarms"]] == [
        "README.md"
    ]


def test_one_worker_alone_is_not_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[int] = []
    monkeypatch.setattr(overlaps, "LiveView", lambda *_a, **_k: opened.append(1))
    repo = make_repository(tmp_path / "repo")
    running = make_run(repo, [task("only", shell("sleep 0.5; echo x > README.md"))])
    asyncio.run(running.execute())
    assert opened == []


def test_looks_take_at_most_their_share_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert overlaps.pause_after(0.01) == overlaps.PERIOD_S == 5.0
    for cost in (0.2, 3.0):
        assert cost / (cost + overlaps.pause_after(cost)) <= 0.02 + 1e-9
