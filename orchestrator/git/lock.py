"""The lock that lets one process at a time change a repository's branches and worktrees."""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from orchestrator import config
from orchestrator.errors import GitError

_TIMEOUT_S = 120.0
_POLL_S = (0.002, 0.02)


@contextmanager
def repository_lock(common_dir: Path, *, timeout_s: float = _TIMEOUT_S) -> Iterator[int]:
    """Hold the lock of the repository at `common_dir`; yield its descriptor.

    A git command that gets the descriptor (`pass_fds`) keeps the lock should this process be killed.
    The lock file lies in our own home, so that the user's repository gets no litter.
    """
    path = lock_path(common_dir)
    deadline = time.monotonic() + timeout_s
    own_threads = _own_threads(path)
    if not own_threads.acquire(timeout=timeout_s):
        raise _busy(common_dir, path, timeout_s)
    try:
        descriptor = _open(path)
        try:
            while not _try_lock(descriptor):
                if time.monotonic() >= deadline:
                    raise _busy(common_dir, path, timeout_s)
                _pause(deadline)
            yield descriptor
        finally:
            os.close(descriptor)
    finally:
        own_threads.release()


def lock_path(common_dir: Path) -> Path:
    """Where the lock of the repository at `common_dir` is."""
    digest = hashlib.sha256(os.fsencode(common_dir.resolve())).hexdigest()[:32]
    return config.home() / "locks" / f"{digest}.lock"


@lru_cache(maxsize=256)
def _own_threads(_path: Path) -> threading.Lock:
    """Threads of this process queue here, so that only one of them polls the file."""
    return threading.Lock()


def _open(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _pause(deadline: float) -> None:
    shortest, longest = _POLL_S
    time.sleep(max(shortest, min(longest, deadline - time.monotonic())))


def _busy(common_dir: Path, path: Path, timeout_s: float) -> GitError:
    return GitError(
        f"another process has held the lock of {common_dir} for {timeout_s:g} s",
        hint=f"another run may be making workspaces; see who has {path} open",
    )
