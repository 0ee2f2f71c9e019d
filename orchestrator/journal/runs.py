"""Where runs live: their folders, their ids, and the lock that says which of them is alive."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import secrets
import string
import time
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Self

from orchestrator import config
from orchestrator.errors import JournalError, RunNotFoundError

_RUN_ID = re.compile(r"[0-9a-z][0-9a-z-]{0,63}")
_DIGITS = string.digits + string.ascii_lowercase
_HINT = "`orchestrator list` shows the runs there are"


def new_run_id(now: datetime) -> str:
    """Make an id that sorts by time, such as `20261123-193005-x7k2`."""
    moment = now.astimezone(UTC)
    part = moment.microsecond * len(_DIGITS) ** 2 // 1_000_000
    fraction = _DIGITS[part // len(_DIGITS)] + _DIGITS[part % len(_DIGITS)]
    return f"{moment:%Y%m%d-%H%M%S}-{fraction}{secrets.choice(_DIGITS)}{secrets.choice(_DIGITS)}"


def run_dir(run_id: str) -> Path:
    """Where the run with this id keeps its journal, lock and logs, whether it exists or not."""
    if not _RUN_ID.fullmatch(run_id):
        raise RunNotFoundError(f"{run_id[:80]!a} cannot be the id of a run", hint=_HINT)
    return config.runs_dir() / run_id


def create_run_dir(run_id: str) -> Path:
    """Make the folder of a new run, for its owner's eyes only."""
    path = run_dir(run_id)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.mkdir(mode=0o700)
    except OSError as err:
        raise JournalError(
            f"cannot make the run's folder {path}: {err.strerror}",
            hint="set ORCHESTRATOR_HOME to a folder that can be written",
        ) from err
    return path


def journal_path(folder: Path) -> Path:
    """The journal of the run that lives in `folder`."""
    return folder / "journal.db"


def list_runs() -> list[str]:
    """Return the ids of all runs, newest first."""
    try:
        names = [entry.name for entry in os.scandir(config.runs_dir()) if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    return sorted(filter(_RUN_ID.fullmatch, names), reverse=True)


def find_run(text: str | None = None) -> Path:
    """Return the folder of the run that `text` names: its id, the beginning of it, or `latest`."""
    runs = list_runs()
    if not runs:
        raise RunNotFoundError(
            f"there is no run in {config.runs_dir()}", hint="`orchestrator demo` makes one"
        )
    if text is None or text == "latest":
        return run_dir(runs[0])
    if text in runs:
        return run_dir(text)
    matches = [run_id for run_id in runs if text and run_id.startswith(text)]
    if len(matches) == 1:
        return run_dir(matches[0])
    shown = ascii(text[:80])
    if matches:
        raise RunNotFoundError(
            f"{shown} fits {len(matches)} runs: {_few(matches)}", hint="write more of the id"
        )
    near = get_close_matches(text[:80], runs, n=3, cutoff=0.5) or runs[:3]
    raise RunNotFoundError(f"there is no run {shown}; did you mean {_few(near)}?", hint=_HINT)


def _few(run_ids: list[str]) -> str:
    return ", ".join(run_ids[:3]) + (", …" if len(run_ids) > 3 else "")


class RunLock:
    """Held as long as a run lives, also by those children that inherit its descriptor.

    The system lets go of it when the last holder is gone, however that ended.
    """

    def __init__(self, fd: int) -> None:
        self._fd: int | None = fd

    @classmethod
    def acquire(cls, folder: Path) -> Self:
        """Take the lock of the run in `folder`; JournalError when the run is alive already."""
        path = folder / "run.lock"
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as err:
            raise JournalError(
                f"cannot open the lock {path}: {err.strerror}", hint="check its folder"
            ) from err
        if not _lock_soon(fd):
            holder = os.pread(fd, 200, 0)
            os.close(fd)
            raise JournalError(
                f"the run {folder.name} is alive already: {holder!a}", hint="`orchestrator stop` ends it"
            )
        os.ftruncate(fd, 0)
        os.pwrite(
            fd, json.dumps({"pid": os.getpid(), "started_at": datetime.now(UTC).isoformat()}).encode(), 0
        )
        return cls(fd)

    def fileno(self) -> int:
        """The descriptor, for `pass_fds`: a child that has it keeps the run alive."""
        if self._fd is None:
            raise JournalError("the run's lock is not held any more")
        return self._fd

    def release(self) -> None:
        """Let go; children that inherited the descriptor still hold the lock."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def is_live(folder: Path) -> bool:
    """Say whether the run in `folder` has a process."""
    try:
        fd = os.open(folder / "run.lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _try_lock(fd, fcntl.LOCK_SH)
    finally:
        os.close(fd)


def _lock_soon(fd: int) -> bool:
    """Lock for ourselves; somebody who only looks, as `is_live` does, is waited for."""
    deadline = time.monotonic() + 0.5
    while not _try_lock(fd, fcntl.LOCK_EX):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _try_lock(fd: int, how: int) -> bool:
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except OSError as err:
        if err.errno in {errno.EWOULDBLOCK, errno.EACCES}:
            return False
        raise
    return True
