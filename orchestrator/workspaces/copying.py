"""The `copy` list: files that git does not track, brought from the user's checkout into a workspace."""

from __future__ import annotations

import os
import shutil
from pathlib import Path, PurePosixPath

from orchestrator.errors import WorkspaceError


def copy_fault(root: Path, name: str) -> str | None:
    """Say why `name` cannot be copied from the checkout at `root`; None when it can."""
    parts = PurePosixPath(name).parts
    if not parts or PurePosixPath(name).is_absolute() or ".." in parts or "\0" in name:
        return "expected a path inside the repository, relative to its root"
    if ".git" in (part.lower() for part in parts):
        return "the .git folder is never copied"
    source = root / name
    if not _inside(root, source):
        return "it leads out of the repository"
    if not source.exists():
        return f"there is no such file or folder in {root}"
    if source.is_dir():
        return _folder_fault(root, source)
    return None if source.is_file() else "it is neither a file nor a folder"


def copy_into(root: Path, name: str, workspace: Path) -> None:
    """Copy one item of the list, with its modes. Raises WorkspaceError."""
    if fault := copy_fault(root, name):
        raise WorkspaceError(
            f"cannot copy {name!r} into a workspace: {fault}", hint="see `copy` in the task file"
        )
    source, target = root / name, workspace / name
    if not _inside(workspace, target.parent) or target.is_symlink():
        raise WorkspaceError(f"cannot copy {name!r}: in the workspace that path leads out of it")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
        else:
            shutil.copy2(source, target)
    except (OSError, shutil.Error) as err:
        raise WorkspaceError(f"cannot copy {name!r} into a workspace: {err}") from err


def _folder_fault(root: Path, folder: Path) -> str | None:
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            item = Path(place, name)
            if item.is_symlink():
                if item.readlink().is_absolute() or not _inside(root, item):
                    return f"the link {item.relative_to(root)} leads out of the repository"
            elif not (item.is_dir() or item.is_file()):
                return f"{item.relative_to(root)} is neither a file nor a folder"
    return None


def _inside(root: Path, path: Path) -> bool:
    """Whether `path`, with every link followed, lies in `root`."""
    try:
        return path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError):  # a loop of links
        return False
