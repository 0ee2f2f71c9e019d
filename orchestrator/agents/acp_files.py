"""Reads and writes files below one folder for an agent, whatever links the agent makes meanwhile.

A path is resolved once, before it is judged; after that it is opened component by component without
following links, so that what is touched is exactly what was judged.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
#: A longer file would not fit into a message.
_LARGEST = 32 * 1024 * 1024


def resolve_inside(root: Path, path: str) -> tuple[str, ...] | None:
    """Return the components of `path` below `root`, links and `..` followed; None when it is not below."""
    if "\0" in path:
        return None
    base = Path(os.path.realpath(root))
    real = Path(os.path.realpath(base / path))
    return real.relative_to(base).parts if real != base and real.is_relative_to(base) else None


def read_text(root: Path, parts: tuple[str, ...], *, line: int = 1, limit: int | None = None) -> str:
    """Return the text of a file from `line`, `limit` lines of it. Raises OSError, ValueError."""
    with _folder(root, parts[:-1], make=False) as folder:
        data = _read_whole(os.open(parts[-1], _READ, dir_fd=folder))
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as err:
        raise ValueError("it is no UTF-8 text") from err
    if line <= 1 and limit is None:
        return text
    lines = text.splitlines(keepends=True)
    start = max(0, line - 1)
    return "".join(lines[start : None if limit is None else start + limit])


def _read_whole(file: int) -> bytes:
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("it is no ordinary file")
        if found.st_size > _LARGEST:
            raise ValueError(f"it is larger than {_LARGEST >> 20} MiB")
        with open(file, "rb", closefd=False) as stream:
            return stream.read(_LARGEST + 1)
    finally:
        os.close(file)


def write_text(root: Path, parts: tuple[str, ...], text: str, *, mode: int = 0o666) -> None:
    """Put `text` in the file's place, at once or not at all; folders are made. Raises OSError, ValueError.

    A new file gets `mode`, as the umask leaves it; one that is there keeps its own.
    """
    name, passing = parts[-1], f".{secrets.token_hex(8)}.tmp"
    with _folder(root, parts[:-1], make=True) as folder:
        kept = _mode_of(name, folder)
        file = os.open(passing, _CREATE, mode, dir_fd=folder)
        try:
            with open(file, "wb") as stream:  # noqa: PTH123 (a descriptor has no path)
                if kept is not None:
                    os.fchmod(file, kept)
                stream.write(text.encode("utf-8", "surrogatepass"))
            os.rename(passing, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            os.unlink(passing, dir_fd=folder)
            raise


def _mode_of(name: str, folder: int) -> int | None:
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("it is no ordinary file")
    return stat.S_IMODE(found.st_mode) & 0o777


@contextmanager
def _folder(root: Path, parts: tuple[str, ...], *, make: bool) -> Iterator[int]:
    """Hold a descriptor of the folder, reached without following a single link."""
    current = os.open(os.path.realpath(root), _FOLDER)
    try:
        for part in parts:
            below = _enter(part, current, make=make)
            os.close(current)
            current = below
        yield current
    finally:
        os.close(current)


def _enter(part: str, folder: int, *, make: bool) -> int:
    try:
        return os.open(part, _FOLDER, dir_fd=folder)
    except FileNotFoundError:
        if not make:
            raise
    os.mkdir(part, dir_fd=folder)
    return os.open(part, _FOLDER, dir_fd=folder)
