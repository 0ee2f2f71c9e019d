"""What a commit holds, read from objects alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.git.process import run_git


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One file, link or submodule of a commit; names are bytes, as they may be anything."""

    path: bytes
    mode: str
    object_id: str


def tree_entries(git_dir: Path, commit: str) -> tuple[TreeEntry, ...]:
    """Everything in the commit's tree that is not a folder."""
    output = run_git(["ls-tree", "-r", "-z", "--full-tree", commit], git_dir=git_dir)
    return tuple(_entry(line) for line in output.stdout.split(b"\0") if line)


def blobs(git_dir: Path, entries: Sequence[TreeEntry]) -> Mapping[bytes, bytes]:
    """The content of some entries, by path."""
    asked = "".join(f"{entry.object_id}\n" for entry in entries).encode()
    rest = run_git(["cat-file", "--batch"], git_dir=git_dir, input=asked).stdout if entries else b""
    found = {}
    for entry in entries:
        header, _, rest = rest.partition(b"\n")
        if header.endswith(b" missing"):
            continue
        size = int(header.rsplit(b" ", 1)[1])
        found[entry.path], rest = rest[:size], rest[size + 1 :]
    return found


def _entry(line: bytes) -> TreeEntry:
    facts, _, path = line.partition(b"\t")
    mode, _, object_id = facts.split(b" ")
    return TreeEntry(path, mode.decode("ascii"), object_id.decode("ascii"))
