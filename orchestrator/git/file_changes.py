"""What became of each file between two commits: modes, renames, and how many lines."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.git.shield import Shield


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """One file that differs."""

    path: str
    old_path: str | None  #: where it was before, if it was moved or copied
    status: str  #: git's letter: A added, D deleted, M changed, R moved, C copied, T of another type
    old_mode: str
    new_mode: str
    added: int | None  #: lines; None where the content is no text
    removed: int | None


def file_changes(shield: Shield, start: str, commit: str) -> tuple[FileChange, ...]:
    """Return every file in which `commit` differs from `start`, sorted by path. Raises GitError."""
    argv = ["diff-tree", "-r", "-z", "-M", "--raw", "--numstat", "--no-ext-diff", "--no-textconv"]
    fields = iter(shield.run([*argv, start, commit]).stdout.split(b"\0"))
    facts: list[tuple[str, str, str, str | None, str]] = []
    counts: dict[str, tuple[int | None, int | None]] = {}
    for field in fields:
        if field.startswith(b":"):
            old_mode, new_mode, _, _, letter = field[1:].decode("ascii").split(" ")
            path = os.fsdecode(next(fields))
            old_path = None
            if letter[0] in "RC":
                old_path, path = path, os.fsdecode(next(fields))
            facts.append((old_mode, new_mode, letter[0], old_path, path))
        elif field:
            path, lines = _counted(field, fields)
            counts[path] = lines
    changes = (
        FileChange(
            path=path,
            old_path=old_path,
            status=letter,
            old_mode=old_mode,
            new_mode=new_mode,
            added=counts.get(path, (None, None))[0],
            removed=counts.get(path, (None, None))[1],
        )
        for old_mode, new_mode, letter, old_path, path in facts
    )
    return tuple(sorted(changes, key=lambda change: change.path))


def _counted(field: bytes, fields: Iterator[bytes]) -> tuple[str, tuple[int | None, int | None]]:
    """Read `added TAB removed TAB path`; a moved file's two names are fields of their own."""
    added, removed, name = field.split(b"\t", 2)
    if not name:
        next(fields)
        name = next(fields)
    lines = (None, None) if added == b"-" else (int(added), int(removed))
    return os.fsdecode(name), lines
