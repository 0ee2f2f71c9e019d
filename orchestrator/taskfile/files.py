"""Reading the files that a person names: UTF-8 text of a sensible size, and not from anywhere."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path

from orchestrator.errors import TaskFileError

LARGEST_FILE = 4 * 1024 * 1024


def read_text(path: Path) -> str:
    """Read a task file. Raises TaskFileError when it cannot be read as text."""
    if path.is_dir():
        raise TaskFileError([f"{path}:1:1: expected a task file, not a folder"])
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except FileNotFoundError as err:
        hint = "`orchestrator init` writes a task file to start from"
        raise TaskFileError([f"{path}:1:1: there is no such file"], hint=hint) from err
    except (OSError, ValueError) as err:
        raise TaskFileError([f"{path}:1:1: cannot be read: {_reason(err)}"]) from err
    text, fault = _decoded(data)
    if fault:
        raise TaskFileError([f"{path}:{fault}"])
    return text


def read_prompt(named: str, folder: Path, allowed: Sequence[Path]) -> tuple[str, str | None]:
    """Read a prompt file, relative to `folder`; return its text and what is wrong with it.

    It must lie in one of the `allowed` folders, also after every symbolic link is followed.
    """
    try:
        path = (folder / named).resolve()
        if not any(path.is_relative_to(place.resolve()) for place in allowed):
            return "", f"expected a file in the task file's folder or in the repository (got {named!r})"
        if not stat.S_ISREG(path.stat().st_mode):
            return "", f"expected a regular file (got {named!r})"
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        return "", f"there is no such file: {folder / named}"
    except (OSError, ValueError, RuntimeError) as err:  # ValueError: NUL; RuntimeError: a loop of links
        return "", f"{named!r} cannot be read: {_reason(err)}"
    text, fault = _decoded(data)
    if fault:
        return "", f"{named}:{fault}"
    return (text, None) if text.strip() else ("", f"{named!r} is empty")


def _decoded(data: bytes) -> tuple[str, str | None]:
    if len(data) > LARGEST_FILE:
        return "", f"1:1: larger than {LARGEST_FILE // 1024 // 1024} MiB"
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        line = data.count(b"\n", 0, err.start) + 1
        column = err.start - data.rfind(b"\n", 0, err.start)
        return "", f"{line}:{column}: not UTF-8 text; save the file as UTF-8"
    if (at := text.find("\0")) >= 0:
        return "", f"{text.count(chr(10), 0, at) + 1}:1: expected text without NUL characters"
    return text, None


def _reason(err: Exception) -> str:
    return (err.strerror if isinstance(err, OSError) else None) or str(err)
