"""Sandboxes that outlived their run: found by their command line, which no agent can change, and ended."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path


def remove_orphans(run_dir: Path) -> list[int]:
    """Kill every bubblewrap process of a run that nobody carries on; return their pids.

    Each sandbox has a mount in its attempt's folder, so the run's folder is on its command line. Killing
    the first process of a pid namespace ends all others in it. The caller holds the run's lock.
    """
    return [pid for pid in _pids() if _end(pid, os.fsencode(run_dir) + b"/")]


def _pids() -> list[int]:
    if not Path("/proc/self/stat").exists():
        return []
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _end(pid: int, prefix: bytes) -> bool:
    """The pidfd is taken before the look, so that what is killed is what was looked at."""
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if not _is_sandbox(pid, prefix):
            return False
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        return True
    finally:
        os.close(handle)


def _is_sandbox(pid: int, prefix: bytes) -> bool:
    try:
        if Path(f"/proc/{pid}").stat().st_uid != os.getuid():
            return False
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    started = [os.path.basename(word) for word in words[:3]]  # noqa: PTH119 (bytes)
    return b"bwrap" in started and any(word.startswith(prefix) for word in words)
