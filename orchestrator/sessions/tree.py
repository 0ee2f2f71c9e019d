"""Whole process trees: who belongs to one, and how it is ended until nobody is left. Standard library only.

The caller is a subreaper, so whatever its descendants do (own groups, sessions, double forks, fresh
environments), an orphan becomes the caller's child. "No child left" therefore means "nobody left".
"""

# pathlib, with all that it imports, would make every fork dearer.
# ruff: noqa: PTH110, PTH123, PTH208

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Container, Iterator
from contextlib import suppress

LINUX = sys.platform == "linux"
_PR_SET_CHILD_SUBREAPER = 36

#: Waits for a child's end, or for so many seconds.
Wait = Callable[[float], None]
#: Is told every reaped child and its wait status.
OnReaped = Callable[[int, int], None]

_prctl = ctypes.CDLL(None, use_errno=True).prctl if LINUX else None


def become_subreaper() -> None:
    """Adopt the orphans among our descendants. Elsewhere than on Linux: nothing."""
    if _prctl is not None and _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def descendants(spare: Container[int] = ()) -> Iterator[tuple[int, int]]:
    """Yield (pid, its parent) for our descendants, parents first; not `spare` nor what is below them.

    Only Linux tells. Elsewhere nothing is yielded: there only the program's own process group can be
    signalled, and a descendant that left the group escapes.
    """
    pending = [os.getpid()] if LINUX else []
    while pending:
        parent = pending.pop()
        for pid in _children(parent):
            if pid not in spare:
                yield pid, parent
                pending.append(pid)


def signal_tree(number: int, *, group: int | None = None, spare: Container[int] = ()) -> None:
    """Send a signal to all our descendants (elsewhere than on Linux: to process group `group`)."""
    if not LINUX and group is not None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)
    for pid, parent in list(descendants(spare)):
        with suppress(ProcessLookupError, PermissionError):
            if parent == os.getpid():
                os.kill(pid, number)  # a child's pid is its own until we reap it
            else:
                _signal_grandchild(pid, parent, number)


def reap(on_reaped: OnReaped) -> bool:
    """Collect every child that has ended; True when no child is left."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return True
        if pid == 0:
            return False
        on_reaped(pid, status)


def end_tree(wait: Wait, on_reaped: OnReaped, *, within_s: float, group: int | None = None) -> list[int]:
    """Send SIGKILL to all descendants, again and again, until none is left; return those that outlast it."""
    deadline = time.monotonic() + within_s
    while not reap(on_reaped):
        if time.monotonic() > deadline:
            return [pid for pid, _ in descendants()]
        signal_tree(signal.SIGKILL, group=group)
        wait(0.005)
    return []


def _signal_grandchild(pid: int, parent: int, number: int) -> None:
    """Send through a pidfd and only if its parent is still ours: the pid may be a stranger's by now."""
    handle = os.pidfd_open(pid)
    try:
        if _parent(pid) in (parent, os.getpid()):
            signal.pidfd_send_signal(handle, number)
    finally:
        os.close(handle)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
    except (FileNotFoundError, ProcessLookupError):
        if not os.path.exists(f"/proc/self/task/{os.getpid()}/children"):
            return _children_by_scan(pid)
    return found


def _children_by_scan(parent: int) -> list[int]:
    """For kernels built without the list of children."""
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _parent(pid) == parent]


def _parent(pid: int) -> int | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None
