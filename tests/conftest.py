"""What holds for every test: a home of its own, and nothing left behind."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from orchestrator.workspaces.overlay import unmount

#: How long what a test left may take to go by itself, before it counts as a leak.
SETTLE_S = 3.0


@pytest.fixture(autouse=True)
def no_mounts(tmp_path: Path) -> Iterator[None]:
    """A workspace that is kept stays mounted, and a folder with mounts in it cannot be removed."""
    yield
    mounts = Path("/proc/self/mounts")
    for line in mounts.read_text().splitlines() if mounts.exists() else ():
        place = Path(line.split()[1])
        if line.startswith("overlay ") and place.is_relative_to(tmp_path):
            unmount(place)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """State and workspaces in the test's own folder; git without the user's settings."""
    folder = tmp_path / "orchestrator-home"
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(folder))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    return folder


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test that leaves a process, a thread or a descriptor."""
    before = _possessions()
    yield
    deadline = time.monotonic() + SETTLE_S
    while (left := _possessions() - before) and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.02)
    assert not left, f"{request.node.name} left {sorted(left)}"


def _possessions() -> set[str]:
    children = {
        f"process {child.pid} {child.name()}" for child in psutil.Process().children() if _lives(child)
    }
    threads = {f"thread {thread.name} {thread.ident}" for thread in threading.enumerate()}
    return children | threads | _descriptors()


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _descriptors() -> set[str]:
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        return set()
    found = set()
    for entry in folder.iterdir():
        try:
            found.add(f"descriptor {entry.name} {entry.readlink()}")
        except OSError:
            continue  # the listing's own descriptor
    return found
