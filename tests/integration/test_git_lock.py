"""The lock of a repository: across threads and processes, and beyond the death of its owner."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from orchestrator import config
from orchestrator.errors import GitError
from orchestrator.git.lock import lock_path, repository_lock

HOLDER = """
import subprocess, sys, time
from pathlib import Path
from orchestrator.git.lock import repository_lock
with repository_lock(Path(sys.argv[1])) as lock:
    if sys.argv[2] == "child":
        subprocess.Popen(["cat"], pass_fds=(lock,))
        print("held", flush=True)
        import os; os._exit(0)
    print("held", flush=True)
    sys.stdin.readline()
"""


def hold(common_dir: Path, how: str) -> subprocess.Popen[str]:
    """Start a process that holds the lock, itself or through its child, until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(common_dir), how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


@pytest.mark.parametrize("how", ["itself", "child"])
def test_another_process_waits_until_the_owner_and_its_git_are_gone(tmp_path: Path, how: str) -> None:
    with hold(tmp_path, how) as owner:
        if how == "child":
            owner.wait(timeout=30)
        with pytest.raises(GitError, match="has held the lock"), repository_lock(tmp_path, timeout_s=0.1):
            pass
        assert owner.stdin is not None
        owner.stdin.close()
        with repository_lock(tmp_path, timeout_s=30):
            pass


def test_threads_exclude_each_other(tmp_path: Path) -> None:
    inside: list[str] = []
    entered = threading.Event()

    def other() -> None:
        entered.set()
        with repository_lock(tmp_path):
            inside.append("other")

    thread = threading.Thread(target=other)
    with repository_lock(tmp_path):
        thread.start()
        assert entered.wait(30)
        with pytest.raises(GitError), repository_lock(tmp_path, timeout_s=0.05):
            pass
        inside.append("first")
    thread.join(30)
    assert inside == ["first", "other"]


def test_repositories_have_locks_of_their_own_outside_of_them(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    with repository_lock(first), repository_lock(second, timeout_s=0.1):
        assert lock_path(first).is_relative_to(config.home())
    assert list(first.iterdir()) == []
