"""Blocks of TCP ports for workers, shared out fairly among all orchestrators on this machine."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import threading
from dataclasses import dataclass
from pathlib import Path

from orchestrator import config
from orchestrator.errors import WorkspaceError

#: Below the ports that systems hand out by themselves (Linux: from 32768).
FIRST, LAST, COUNT = 20000, 32000, 10
_BLOCKS = (LAST - FIRST) // COUNT


@dataclass(frozen=True, slots=True)
class PortBlock:
    """Ports `base` up to, not including, `base + count`."""

    base: int
    count: int


class PortBlocks:
    """Hands out blocks that no other live worker on this machine has.

    Each block is one byte of one file, locked while the block is in use: one descriptor for any number of
    blocks, and the system frees them when this process dies. Such locks belong to the process, so it needs
    one `PortBlocks` only; get it from `port_blocks()`.
    """

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger
        self._guard = threading.Lock()
        self._descriptor: int | None = None
        self._held: set[int] = set()
        self._next = random.randrange(_BLOCKS)  # noqa: S311 (to avoid collisions, not attackers)

    def take(self) -> PortBlock:
        """Return a block whose ports are free now. Raises WorkspaceError when there is none."""
        with self._guard:
            for _ in range(_BLOCKS):
                number, self._next = self._next, (self._next + 1) % _BLOCKS
                if number not in self._held and self._lock(number):
                    if _all_free(_block(number)):
                        self._held.add(number)
                        return _block(number)
                    self._unlock(number)
            raise WorkspaceError(
                f"no block of {COUNT} ports is free between {FIRST} and {LAST}",
                hint="lower max_workers, or end what uses these ports",
            )

    def give_back(self, block: PortBlock) -> None:
        """Let others have the block."""
        with self._guard:
            number = (block.base - FIRST) // COUNT
            self._held.discard(number)
            self._unlock(number)

    def _lock(self, number: int) -> bool:
        if self._descriptor is None:
            self._ledger.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._descriptor = os.open(self._ledger, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def _unlock(self, number: int) -> None:
        if self._descriptor is None:
            return
        fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, number)
        if not self._held:
            os.close(self._descriptor)
            self._descriptor = None


_ledgers: dict[Path, PortBlocks] = {}
_ledgers_guard = threading.Lock()


def port_blocks() -> PortBlocks:
    """The ports of this machine, as this process sees them."""
    path = config.home() / "ports.lock"
    with _ledgers_guard:
        return _ledgers.setdefault(path, PortBlocks(path))


def _block(number: int) -> PortBlock:
    return PortBlock(FIRST + number * COUNT, COUNT)


def _all_free(block: PortBlock) -> bool:
    return all(_is_free(port) for port in range(block.base, block.base + block.count))


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
