"""The wall clock jumps and the machine sleeps: nothing times out, nothing counts wrong."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.clock import SystemClock, slept_s
from orchestrator.config import OrchestratorConfig
from orchestrator.core.pausing import Pauses
from orchestrator.core.plan import prepare
from orchestrator.core.run import Run
from orchestrator.journal.runs import journal_path
from orchestrator.journal.state import fold
from orchestrator.journal.store import Journal, read_events
from orchestrator.model.event import Event, EventKind
from orchestrator.model.result import Status
from tests.integration.run_fixtures import make_repository, shell, task


class JumpingClock(SystemClock):
    """Every look at the time of day finds it a day on, or a day back."""

    def __init__(self) -> None:
        self.looks = 0

    def now(self) -> datetime:
        self.looks += 1
        return datetime.now(UTC) + timedelta(days=(1, -1, 0)[self.looks % 3])


def test_a_clock_that_jumps_a_day_either_way_ends_nothing_early_or_late(tmp_path: Path) -> None:
    repo = make_repository(tmp_path / "repo")
    lines = {"short": "sleep 0.3", "long": "sleep 60", "silent": "sleep 60"}
    limits: dict[str, dict[str, Any]] = {
        "short": {"timeout": 20, "idle_timeout": 20},
        "long": {"timeout": 1},
        "silent": {"idle_timeout": 1},
    }
    tasks = [task(name, shell(line), **limits[name]) for name, line in lines.items()]
    clock = JumpingClock()
    run = Run(prepare(OrchestratorConfig(repo=repo, sandbox="off", timeout=60), tasks), clock=clock)
    began = time.monotonic()
    results = {result.worker_id: result for result in asyncio.run(run.execute())}
    took = time.monotonic() - began
    assert clock.looks > 20
    assert results["short"].status is Status.SUCCEEDED
    assert 0.3 <= results["short"].duration < 20
    for name in ("long", "silent"):
        assert results[name].status is Status.TIMED_OUT
        assert 1 <= results[name].duration < 20
    state = fold(read_events(journal_path(run.directory)))
    assert state.wall_seconds is not None
    assert 1 <= state.wall_seconds <= took


def test_a_real_process_whose_clock_is_shifted_keeps_its_time_limits(tmp_path: Path) -> None:
    """With libfaketime, the clock of the orchestrator itself goes at a hundred times its pace."""
    library = _faketime()
    repo = make_repository(tmp_path / "repo")
    tasks = tmp_path / "tasks.yaml"
    tasks.write_text(
        "version: 1\nsandbox: 'off'\nisolation: worktree\ntimeout: 60\n"
        "tasks:\n  - {id: a, prompt: x, agent: command, timeout: 20, command: [sh, -c, 'sleep 1']}\n"
    )
    argv = [sys.executable, "-m", "orchestrator", "run", str(tasks), "--repo", str(repo), "--no-progress"]
    env = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "ORCHESTRATOR_HOME": str(tmp_path / "home"),
        "LD_PRELOAD": str(library),
        "FAKETIME": "+1d x100",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    began = time.monotonic()
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert 1 <= time.monotonic() - began < 20


def _faketime() -> Path:
    """Where Debian's package has it, or where FAKETIME_LIBRARY says."""
    found = os.environ.get("FAKETIME_LIBRARY") or next(
        Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None
    )
    if found is None:
        pytest.skip("libfaketime is not installed")
    return Path(found)


def pauses(journal: Journal, told: list[tuple[EventKind, Any]], slept: Callable[[], float]) -> Pauses:
    return Pauses(
        journal,
        [],
        clock=SystemClock(),
        tell=lambda kind, data: told.append((kind, data)),
        timeout_s=None,
        slept=slept,
    )


def test_a_sleep_is_told_once_with_its_length(tmp_path: Path) -> None:
    asleep = 100.0
    told: list[tuple[EventKind, Any]] = []

    async def look_after_a_sleep() -> None:
        nonlocal asleep
        with closing(Journal.create(tmp_path / "journal.db")) as journal:
            watched = pauses(journal, told, lambda: asleep)
            watched.look()
            asleep += 0.01
            watched.look()
            asleep += 3600
            watched.look()
            watched.look()

    asyncio.run(look_after_a_sleep())
    assert told == [(EventKind.RUN_WOKE, {"slept_s": 3600.0})]


def test_sleeps_add_up_in_the_state_of_the_run() -> None:
    started = Event(kind=EventKind.RUN_STARTED, at=datetime.now(UTC), data={"run_id": "r", "tasks": []})
    woke = [Event(kind=EventKind.RUN_WOKE, at=datetime.now(UTC), data={"slept_s": n}) for n in (5.0, 7.0)]
    assert fold([started, *woke]).slept_s == 12.0


def test_the_machines_own_figure_is_not_negative_and_does_not_grow_while_awake() -> None:
    first = slept_s()
    time.sleep(0.05)
    assert first >= -0.001
    assert abs(slept_s() - first) < 0.04
