"""Where runs live: ids, finding a run, and the lock that children keep."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.errors import JournalError, RunNotFoundError
from orchestrator.journal.runs import (
    RunLock,
    create_run_dir,
    find_run,
    is_live,
    list_runs,
    new_run_id,
    run_dir,
)

NOON = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


def test_ids_sort_by_time_and_differ() -> None:
    steps = [NOON + timedelta(milliseconds=5 * n) for n in range(400)]
    ids = [new_run_id(at) for at in steps]
    assert ids == sorted(ids)
    assert ids[0].startswith("20261123-120000-00")
    assert len({new_run_id(NOON) for _ in range(20)}) > 1
    assert run_dir(ids[0]).name == ids[0]


def test_runs_are_listed_newest_first_and_strangers_are_not(home: Path) -> None:
    assert list_runs() == []
    for run_id in ("20261123-120000-aaaa", "20261124-120000-bbbb"):
        create_run_dir(run_id)
    (home / "runs" / "A stranger").mkdir()
    (home / "runs" / "file").touch()
    (home / "runs" / "link").symlink_to(home)
    assert list_runs() == ["20261124-120000-bbbb", "20261123-120000-aaaa"]
    assert run_dir("20261123-120000-aaaa").stat().st_mode & 0o777 == 0o700


def test_a_run_is_found_by_what_is_enough_of_its_id() -> None:
    with pytest.raises(RunNotFoundError, match="there is no run in"):
        find_run(None)
    for run_id in ("20261123-120000-aaaa", "20261123-120000-aabb", "20261124-120000-bbbb"):
        create_run_dir(run_id)
    assert find_run(None).name == find_run("latest").name == "20261124-120000-bbbb"
    assert find_run("20261124").name == "20261124-120000-bbbb"
    assert find_run("20261123-120000-aaaa").name == "20261123-120000-aaaa"
    with pytest.raises(RunNotFoundError, match="fits 2 runs: 20261123-120000-aabb, 20261123-120000-aaaa"):
        find_run("20261123")
    with pytest.raises(RunNotFoundError, match="did you mean 20261123-120000-aabb"):
        find_run("20261123-120000-abbb")


@pytest.mark.parametrize(
    "text", ["", "..", "../x", "/etc", "a/b", "20261124-120000-bbbb/..", "x\x1b[31m", "*", "é", "x" * 9999]
)
def test_a_text_is_no_path(text: str) -> None:
    create_run_dir("20261124-120000-bbbb")
    with pytest.raises(RunNotFoundError) as caught:
        find_run(text)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 500
    with pytest.raises(RunNotFoundError):
        run_dir(text)


def test_a_run_is_alive_while_its_lock_is_held() -> None:
    folder = create_run_dir("20261123-120000-aaaa")
    assert not is_live(folder)
    lock = RunLock.acquire(folder)
    assert is_live(folder)
    with pytest.raises(JournalError, match=f"alive already.*{os.getpid()}"):
        RunLock.acquire(folder)
    lock.release()
    lock.release()
    assert not is_live(folder)
    RunLock.acquire(folder).release()
    with pytest.raises(JournalError, match="not held"):
        lock.fileno()


def test_a_child_that_inherits_the_lock_keeps_the_run_alive() -> None:
    folder = create_run_dir("20261123-120000-aaaa")
    lock = RunLock.acquire(folder)
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[lock.fileno()])
    stranger = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    lock.release()
    assert is_live(folder)
    child.communicate()
    assert not is_live(folder)
    stranger.communicate()


def test_a_killed_holder_leaves_no_lock() -> None:
    folder = create_run_dir("20261123-120000-aaaa")
    script = f"""
import sys
from pathlib import Path
from orchestrator.journal.runs import RunLock
lock = RunLock.acquire(Path({str(folder)!r}))
print("held", flush=True)
sys.stdin.read()
"""
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        assert is_live(folder)
        holder.kill()
        holder.wait()
        assert not is_live(folder)
