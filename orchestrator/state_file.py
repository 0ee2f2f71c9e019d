"""Writing a small state file so that it is whole or not there, whatever happens: never empty, never half."""

from __future__ import annotations

import os
import threading
from pathlib import Path


def write_state_file(path: Path, data: bytes) -> None:
    """Replace `path` by a file with `data`, on the disk when this returns. Raises OSError, `path` as before.

    A file written in place on a full disk ends up empty, with an error only at its close.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.new")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
