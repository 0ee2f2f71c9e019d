"""Overlay file systems: one checkout shown at many places, where each keeps only its own changes."""

from __future__ import annotations

import ctypes
import os
import sys
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from orchestrator.errors import WorkspaceError
from orchestrator.git.worktrees import remove_tree

_NOSUID, _NODEV = 2, 4
_DETACH = 2
#: They have a meaning in the options of a mount.
_SPECIAL = frozenset(",:\\\n")


@dataclass(frozen=True, slots=True)
class Layers:
    """What an overlay is made of: the shared files below, and a folder for what is changed."""

    lower: Path
    own: Path

    def options(self) -> str:
        """The mount's options. With `redirect_dir` whole folders can be renamed, as `git mv` does."""
        upper, work = self.own / "upper", self.own / "work"
        return f"lowerdir={self.lower},upperdir={upper},workdir={work},redirect_dir=on,metacopy=off"


def mount(layers: Layers, place: Path) -> None:
    """Show the layers at `place`. Raises WorkspaceError."""
    if _SPECIAL & set(f"{layers.lower}{layers.own}"):
        raise WorkspaceError(f"no overlay: the path {layers.own} holds a comma, a colon or a backslash")
    for folder in (layers.own / "upper", layers.own / "work", place):
        folder.mkdir(parents=True, exist_ok=True)
    options = os.fsencode(layers.options())
    if _libc().mount(b"overlay", os.fsencode(place), b"overlay", _NOSUID | _NODEV, options) != 0:
        raise WorkspaceError(f"no overlay at {place}: {os.strerror(ctypes.get_errno())}")


def unmount(place: Path) -> None:
    """Take away whatever is mounted at `place`; that there is nothing is not an error."""
    while is_mounted(place):
        if _libc().umount2(os.fsencode(place), _DETACH) != 0:
            raise WorkspaceError(f"cannot unmount {place}: {os.strerror(ctypes.get_errno())}")


def is_mounted(place: Path) -> bool:
    """Whether anything is mounted at `place`."""
    return os.path.ismount(place)


def overlay_fault(folder: Path) -> str | None:
    """Say why there can be no overlays in `folder`, by making one; None when there can."""
    if sys.platform != "linux":
        return "overlays are a thing of Linux"
    if os.geteuid() != 0:
        return "only root can mount overlays"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    trial = Path(tempfile.mkdtemp(prefix=".overlay-", dir=folder))
    try:
        return _try(trial)
    finally:
        remove_tree(trial)


def _try(trial: Path) -> str | None:
    """Rename a folder in an overlay: what fails first where the kernel or the disk is not up to it."""
    layers, place = Layers(trial / "lower", trial / "own"), trial / "place"
    (layers.lower / "before").mkdir(parents=True)
    try:
        mount(layers, place)
    except WorkspaceError as err:
        return err.message
    try:
        (place / "before").rename(place / "after")
    except OSError as err:
        return f"folders cannot be renamed in an overlay: {err.strerror}"
    finally:
        unmount(place)
    return None


@lru_cache(maxsize=1)
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
