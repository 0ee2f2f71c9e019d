"""A git that outlives its orchestrator keeps the run's lock."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from orchestrator.git.process import hold_in_children, run_git
from orchestrator.journal.runs import RunLock, is_live


def test_git_keeps_the_lock_until_it_ends(tmp_path: Path) -> None:
    lock = RunLock.acquire(tmp_path)
    begun, go = tmp_path / "begun", tmp_path / "go"
    line = f"!touch {begun}; while ! test -e {go}; do sleep 0.02; done"
    with ThreadPoolExecutor(1, initializer=hold_in_children, initargs=(lock.fileno(),)) as pool:
        running = pool.submit(run_git, ["-c", f"alias.wait={line}", "wait"])
        waited = threading.Event()
        while not begun.exists():
            assert not running.done()
            waited.wait(0.02)
        lock.release()  # as when the orchestrator is killed
        alive = is_live(tmp_path)
        go.touch()
        running.result(timeout=10)

    assert alive
    assert not is_live(tmp_path)
