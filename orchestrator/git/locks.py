"""Locks that a killed git left behind: removed once it is shown that their owner is gone."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from orchestrator.errors import GitError
from orchestrator.git.process import GitOutput

#: A git that lives lets go of a lock on one branch or index within milliseconds.
PATIENCE_S = 1.0
_POLL_S = 0.02


def clear_stale_lock(lock: Path) -> None:
    """Remove `lock`, once it has stayed the same for a while and no process has it open.

    Raises GitError when its owner lives.
    """
    first = _identity(lock)
    deadline = time.monotonic() + PATIENCE_S
    while first is not None and time.monotonic() < deadline:
        time.sleep(_POLL_S)
        if _identity(lock) != first:
            return  # its owner works: git itself waits for the next one, or says so
    if first is None:
        return
    if (pid := next(_holders(first), None)) is not None:
        raise GitError(
            f"the lock {lock} is held by process {pid}",
            hint="let that process end, or end it; then try again",
        )
    lock.unlink(missing_ok=True)


def clear_locks_of_killed(output: GitOutput, common_dir: Path, branch: str) -> bool:
    """Whether the command was killed; then also remove the locks it may have left over `branch`."""
    if output.exit_code >= 0:
        return False
    for name in (f"refs/heads/{branch}.lock", "packed-refs.lock"):
        clear_stale_lock(common_dir / name)
    return True


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        facts = file.lstat()
    except FileNotFoundError:
        return None
    return facts.st_dev, facts.st_ino


def _holders(identity: tuple[int, int]) -> Iterator[int]:
    """The processes that have this file open, as far as we may see them."""
    for entry in os.scandir("/proc") if os.path.isdir("/proc") else ():  # noqa: PTH112
        if not entry.name.isdigit():
            continue
        with suppress(OSError):
            for descriptor in os.scandir(f"{entry.path}/fd"):
                with suppress(OSError):
                    facts = os.stat(descriptor.path)  # noqa: PTH116
                    if (facts.st_dev, facts.st_ino) == identity:
                        yield int(entry.name)
