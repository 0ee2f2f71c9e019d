"""The ballast: a file beside the journal that makes room for the last events when the disk is full."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

SIZE = 1024 * 1024
#: So much must be free before it is made again: the disk would otherwise be full at once.
ROOM = 2 * SIZE


class Ballast:
    """Takes up room in the journal's folder as long as there is some to spare."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "ballast"
        self.held = False

    def take_up(self) -> bool:
        """Make it, if there is room; say whether it is there."""
        if not self.held:
            with suppress(OSError):
                if free_bytes(self._path.parent) >= ROOM:
                    self._make()
                    self.held = True
        return self.held

    def drop(self) -> None:
        """Give its room to the journal."""
        self.held = False
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _make(self) -> None:
        """Really take the room: a file with holes would take none."""
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, SIZE)
        except OSError:
            self._path.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)


def free_bytes(folder: Path) -> int:
    """What we may still write on the file system of `folder`."""
    facts = os.statvfs(folder)
    return facts.f_bavail * facts.f_frsize
