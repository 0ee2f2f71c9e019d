"""Processes that outlived their run: found by what names the run, and ended.

A sandbox names its run on its command line, which no agent can change. Other processes name it in the
environment they were started with, which a program can leave out for its children.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

_MARK = b"ORCHESTRATOR_RUN_ID="
_HUNT_S = 2.0  #: how long those are hunted that start others while they are being ended


def remove_orphans(*run_dirs: Path) -> list[int]:
    """Kill every process of these runs, which nobody carries on; return their pids.

    Each sandbox has a mount in its attempt's folder, so the run's folder is on its command line. Killing
    the first process of a pid namespace ends all others in it.
    """
    deadline = time.monotonic() + _HUNT_S
    ended: list[int] = []
    while found := [pid for pid in _pids() if _end(pid, run_dirs)]:
        ended += [pid for pid in found if pid not in ended]
        if time.monotonic() > deadline:
            break
        time.sleep(0.01)  # a process that was killed takes a moment to go
    return ended


def _pids() -> list[int]:
    if not Path("/proc/self/stat").exists():
        return []
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _end(pid: int, run_dirs: Sequence[Path]) -> bool:
    """The pidfd is taken before the look, so that what is killed is what was looked at."""
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if not any(_is_sandbox(pid, run_dir) or _is_marked(pid, run_dir) for run_dir in run_dirs):
            return False
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        return True
    finally:
        os.close(handle)


def _is_sandbox(pid: int, run_dir: Path) -> bool:
    prefix = os.fsencode(run_dir) + b"/"
    words = _words(pid, "cmdline")
    started = [os.path.basename(word) for word in words[:3]]  # noqa: PTH119 (bytes)
    return b"bwrap" in started and any(word.startswith(prefix) for word in words)


def _is_marked(pid: int, run_dir: Path) -> bool:
    """Whether the run started it; never of a run that started us."""
    ours = os.environ.get(_MARK.decode().rstrip("=")) == run_dir.name
    return not ours and _MARK + os.fsencode(run_dir.name) in _words(pid, "environ")


def _words(pid: int, what: str) -> list[bytes]:
    """What the kernel keeps of a process of ours; nothing of a zombie or of another user's."""
    try:
        if Path(f"/proc/{pid}").stat().st_uid != os.getuid():
            return []
        return Path(f"/proc/{pid}/{what}").read_bytes().split(b"\0")
    except OSError:
        return []
