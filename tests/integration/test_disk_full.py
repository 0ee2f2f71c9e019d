"""A full disk: the run pauses with a reason, loses nothing, and goes on once there is room."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.errors import JournalError
from orchestrator.journal import ballast
from orchestrator.journal.runs import journal_path
from orchestrator.journal.state import fold
from orchestrator.journal.store import Journal, read_events
from orchestrator.model.event import Event, EventKind
from orchestrator.model.result import Status
from orchestrator.sessions.output import OutputLog
from orchestrator.state_file import write_state_file
from tests.integration.run_fixtures import git, make_repository, make_run, shell, task


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mounting, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small file system is not permitted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Take all the room there is; removing the file gives it back."""
    filler = folder / "filler"
    with filler.open("ab", buffering=0) as file:
        for size in (65536, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                pass
    return filler


def message(text: str) -> Event:
    return Event(kind=EventKind.AGENT_MESSAGE, at=datetime.now(UTC), worker_id="w", data={"text": text})


def test_the_ballast_lets_the_last_events_be_written_and_comes_back(small_disk: Path) -> None:
    with closing(Journal.create(small_disk / "journal.db")) as journal:
        held = small_disk / "ballast"
        assert held.stat().st_blocks * 512 >= ballast.SIZE
        journal.append_durable(message("before")).result(10)
        assert journal.hindrance() is None
        filler = fill(small_disk)
        for number in range(20):  # more than fits into what the journal's file has to spare
            journal.append_durable(message(f"{number}" + "x" * 20_000)).result(10)
        assert not held.exists()
        found = journal.hindrance()
        assert found and found.reason == "disk_full"
        filler.unlink()
        assert journal.hindrance() is None
        assert held.exists()
    assert not held.exists()
    assert len(read_events(small_disk / "journal.db")) == 21


def test_more_than_the_ballast_holds_is_kept_until_there_is_room(small_disk: Path) -> None:
    with closing(Journal.create(small_disk / "journal.db")) as journal:
        filler = fill(small_disk)
        waiting = [journal.append_durable(message("x" * 100_000)) for _ in range(40)]
        until(lambda: journal.fault is not None)
        saved = [future for future in waiting if future.done()]
        assert len(saved) < len(waiting)
        assert len(read_events(small_disk / "journal.db")) == len(saved)
        filler.unlink()
        assert [future.result(10) for future in waiting] == list(range(1, 41))
    events = read_events(small_disk / "journal.db")
    assert [event.seq for event in events] == list(range(1, 41))


def test_who_gives_up_is_told_what_was_lost(small_disk: Path) -> None:
    journal = Journal.create(small_disk / "journal.db")
    fill(small_disk)
    waiting = [journal.append_durable(message("x" * 100_000)) for _ in range(40)]
    until(lambda: journal.fault is not None)
    journal.give_up()
    with pytest.raises(JournalError, match="disk is full"):
        waiting[-1].result(10)
    with pytest.raises(JournalError, match="disk is full"):
        journal.close()
    acknowledged = sum(future.exception() is None for future in waiting)
    assert len(read_events(small_disk / "journal.db")) == acknowledged


def test_a_state_file_is_never_empty(small_disk: Path) -> None:
    path = small_disk / "plan.json"
    write_state_file(path, b"the first")
    fill(small_disk)
    with pytest.raises(OSError, match="No space left"):
        write_state_file(path, b"x" * 200_000)
    assert path.read_bytes() == b"the first"
    assert {file.name for file in small_disk.iterdir()} == {"plan.json", "filler"}


def test_an_output_log_says_what_is_missing_in_it(small_disk: Path) -> None:
    log = OutputLog(small_disk / "log", 1_000_000)
    log.write(b"before")
    filler = fill(small_disk)
    log.write(b"~" * 100_000)
    filler.unlink()
    log.write(b"after")
    log.close()
    kept = (small_disk / "log").read_bytes()
    missing = 100_000 - kept.count(b"~")
    assert 90_000 < missing <= 100_000
    assert f"[orchestrator: {missing} bytes are missing here: No space left on device]".encode() in kept
    assert kept.startswith(b"before")
    assert kept.endswith(b"after")


@pytest.mark.parametrize("isolation", ["worktree", "clone"])
def test_a_run_pauses_on_a_full_disk_and_goes_on(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, isolation: str
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(small_disk))
    repo = make_repository(tmp_path / "repo")
    full = tmp_path / "full"
    wait = f"while [ ! -e {full} ]; do sleep 0.02; done"
    lines = {
        "noisy": f"{wait}; head -c 300000 /dev/zero | tr '\\0' x; echo; echo done",
        "writer": f"echo work > work.txt; {wait}; sleep 0.3",
        "later": "echo more > more.txt",
    }
    tasks = [task(name, shell(line)) for name, line in lines.items()]
    seen: list[Event] = []
    run = make_run(repo, tasks, seen.append, isolation=isolation, max_workers=2)

    async def with_a_full_disk() -> None:
        going = asyncio.ensure_future(run.execute())
        await happened(seen, lambda e: e.kind is EventKind.ATTEMPT_PHASE and e.data["phase"] == "running", 2)
        filler = await asyncio.to_thread(fill, small_disk)
        await happened(seen, lambda e: e.kind is EventKind.RUN_PAUSED)
        full.touch()
        await asyncio.sleep(1.5)  # long enough to start, fail or give up
        assert not [e for e in seen if e.worker_id == "later" and e.kind is EventKind.WORKSPACE_CREATED]
        assert not [e for e in seen if e.kind is EventKind.RUN_FINISHED]
        filler.unlink()
        results = await asyncio.wait_for(going, 60)
        assert {result.worker_id: result.status for result in results} == dict.fromkeys(
            lines, Status.SUCCEEDED
        ), results

    asyncio.run(with_a_full_disk())
    assert git(repo, "show", f"orchestrator/{run.run_id}/writer:work.txt") == "work"
    events = read_events(journal_path(run.directory))
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    kinds = [event.kind for event in events]
    assert kinds.count(EventKind.RUN_PAUSED) == kinds.count(EventKind.RUN_UNPAUSED) >= 1
    assert [e.data["reason"] for e in events if e.kind is EventKind.RUN_PAUSED] == ["disk_full"]
    state = fold(events)
    assert state.paused is None
    assert state.pauses["disk_full"] > 1


def test_a_run_on_a_disk_that_stays_full_can_be_stopped(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(small_disk))
    repo = make_repository(tmp_path / "repo")
    seen: list[Event] = []
    tasks = [task("a", shell("exec sleep 60")), task("b", shell("true"))]
    run = make_run(repo, tasks, seen.append, isolation="worktree", max_workers=1)

    async def with_a_full_disk() -> list[str]:
        going = asyncio.ensure_future(run.execute())
        await happened(seen, lambda e: e.kind is EventKind.PROCESS_STARTED)
        await asyncio.to_thread(fill, small_disk)
        await happened(seen, lambda e: e.kind is EventKind.RUN_PAUSED)
        run.stop()
        return [result.status.value for result in await asyncio.wait_for(going, 30)]

    assert asyncio.run(with_a_full_disk()) == ["cancelled", "cancelled"]


async def happened(seen: list[Event], wanted: object, times: int = 1) -> None:
    async with asyncio.timeout(30):
        while sum(map(wanted, seen)) < times:  # type: ignore[arg-type]  # noqa: ASYNC110 (a list tells nobody)
            await asyncio.sleep(0.01)


def until(condition: object) -> None:
    deadline = time.monotonic() + 10
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not come about within 10 s"
        time.sleep(0.005)
