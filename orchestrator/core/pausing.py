"""Pauses of a run: nothing new starts while the disk is full, and what failed because of it is done again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from orchestrator.clock import slept_s
from orchestrator.errors import OrchestratorError
from orchestrator.journal.ballast import ROOM, SIZE, free_bytes
from orchestrator.journal.store import Hindrance, Journal
from orchestrator.model.confinement import GitFolders
from orchestrator.model.event import EventKind
from orchestrator.model.result import Restored
from orchestrator.ports import Clock, Workspace, Workspaces

_LOG = logging.getLogger("orchestrator")
LOOK_S = 0.1  #: how often it is looked; a look costs some 10 µs
#: Of a run that is to end: so long its last events may wait for room.
LAST_WAIT_S = 10.0
#: Less than that is noise between two readings of two clocks.
_NAP_S = 1.0
_FULL = ("No space left on device", "Disk quota exceeded", "disk is full")

T = TypeVar("T")


class Pauses:
    """Whether new work may begin, and since when not. Its methods belong to the run's event loop."""

    def __init__(
        self,
        journal: Journal,
        folders: Sequence[Path],
        *,
        clock: Clock,
        tell: Callable[[EventKind, Mapping[str, Any]], None],
        timeout_s: float | None,
        slept: Callable[[], float] = slept_s,
    ) -> None:
        """`folders` are where the run needs room besides the journal's own; `tell` takes events."""
        self._journal, self._folders, self._clock, self._tell = journal, folders, clock, tell
        self._slept, self._asleep = slept, slept()
        self._deadline = clock.monotonic() + timeout_s if timeout_s is not None else None
        self._why: Hindrance | None = None
        self._since = 0.0
        self._clear = asyncio.Event()
        self._clear.set()
        self._ending: float | None = None

    @property
    def paused(self) -> str | None:
        """Why nothing new may begin at present."""
        return self._why.reason if self._why else None

    async def watch(self) -> None:
        """Keep looking, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            self.look()

    def look(self) -> None:
        """Find out how things stand now, and tell what changed."""
        self._notice_sleep()
        why = self._journal.hindrance() or self._cramped()
        if why and not self._why:
            self._since = self._clock.monotonic()
            self._clear.clear()
            self._tell(EventKind.RUN_PAUSED, {"reason": why.reason, "detail": why.detail})
        elif self._why and not why:
            data = {"reason": self._why.reason, "paused_s": round(self._clock.monotonic() - self._since, 3)}
            self._tell(EventKind.RUN_UNPAUSED, data)
            self._clear.set()
        self._why = why
        self._give_up_in_time()

    async def over(self) -> bool:
        """Return once new work may begin; False when the run is to end, whether it may or not."""
        await self._clear.wait()
        return self._ending is None

    def end(self) -> None:
        """Hold nothing up any more: the run is to end."""
        if self._ending is None:
            self._ending = self._clock.monotonic()
        self._clear.set()

    async def patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do `work`; when it fails for want of room, do it again once there is some."""
        while True:
            try:
                return await work()
            except (OrchestratorError, OSError) as err:
                if not any(sign in str(err) for sign in _FULL):
                    raise
                _LOG.warning("the disk is full; this is tried again once there is room: %s", err)
                self.look()
                await asyncio.sleep(LOOK_S)
                if not await self.over():
                    raise

    def _cramped(self) -> Hindrance | None:
        enough = ROOM if self._why else SIZE
        for folder in self._folders:
            try:
                free = free_bytes(folder)
            except OSError:
                continue  # not made yet
            if free < enough:
                return Hindrance("disk_full", f"the disk is full: {folder} has {free} bytes left")
        return None

    def _notice_sleep(self) -> None:
        asleep = self._slept()
        if asleep - self._asleep > _NAP_S:
            self._tell(EventKind.RUN_WOKE, {"slept_s": round(asleep - self._asleep, 3)})
        self._asleep = asleep

    def _give_up_in_time(self) -> None:
        """A run that is to end does not wait for room for ever; its caller is told what was lost."""
        now = self._clock.monotonic()
        if self._ending is None and self._deadline is not None and now >= self._deadline:
            self.end()
        if self._ending is not None and now - self._ending > LAST_WAIT_S and self._journal.fault:
            self._journal.give_up()


@dataclass(frozen=True, slots=True)
class PatientWorkspaces:
    """Workspaces whose making and committing outlast a full disk."""

    inner: Workspaces
    pauses: Pauses

    async def create(self, worker_id: str, attempt: int, needs: Sequence[str]) -> Workspace:
        """As `Workspaces.create`."""
        made = await self.pauses.patiently(lambda: self.inner.create(worker_id, attempt, needs))
        return _PatientWorkspace(made, self.pauses)

    async def reopen(self, worker_id: str, attempt: int) -> Workspace | None:
        """As `Workspaces.reopen`."""
        found = await self.pauses.patiently(lambda: self.inner.reopen(worker_id, attempt))
        return _PatientWorkspace(found, self.pauses) if found else None


@dataclass(frozen=True, slots=True)
class _PatientWorkspace:
    inner: Workspace
    pauses: Pauses

    @property
    def path(self) -> Path:
        return self.inner.path

    @property
    def branch(self) -> str | None:
        return self.inner.branch

    @property
    def git_folders(self) -> GitFolders | None:
        return self.inner.git_folders

    @property
    def start_commit(self) -> str | None:
        return self.inner.start_commit

    async def commit(self, message: str) -> str | None:
        return await self.pauses.patiently(lambda: self.inner.commit(message))

    async def restore(self, commit: str) -> Restored | None:
        return await self.pauses.patiently(lambda: self.inner.restore(commit))

    async def files_changed(self) -> tuple[str, ...]:
        return await self.pauses.patiently(self.inner.files_changed)

    async def remove(self) -> None:
        await self.inner.remove()
