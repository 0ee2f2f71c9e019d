"""Which files of a work tree differ from an index, and that index from a commit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from orchestrator.git.shield import Shield


@dataclass(frozen=True, slots=True)
class StatusEntry:
    """One path that is not as it was committed; names are bytes, as they may be anything."""

    path: bytes
    staged: bool  #: the index differs from HEAD
    unstaged: bool  #: the file differs from the index, or is untracked
    exists: bool  #: the file is there

    @property
    def is_nested_repository(self) -> bool:
        """Whether this is an untracked folder with a repository of its own, or a folder not looked into."""
        return self.path.endswith(b"/")


def read_status(
    shield: Shield, work_tree: Path, index: Path, *, untracked: Literal["all", "normal"] = "all"
) -> tuple[StatusEntry, ...]:
    """Compare the work tree with the index, and the index with the shield's HEAD. Changes nothing."""
    argv = ["status", "--porcelain=v2", "-z", "--no-renames", "--ignore-submodules=dirty"]
    output = shield.run([*argv, f"--untracked-files={untracked}"], work_tree=work_tree, index=index)
    return tuple(_entry(line) for line in output.stdout.split(b"\0") if line)


def _entry(line: bytes) -> StatusEntry:
    """Read a line of porcelain format 2: `1 XY sub mH mI mW hH hI path`, `u …`, or `? path`."""
    kind = line[:1]
    if kind == b"?":
        return StatusEntry(line[2:], staged=False, unstaged=True, exists=True)
    fields = line.split(b" ", 10 if kind == b"u" else 8)
    states, mode_on_disk = fields[1], fields[6 if kind == b"u" else 5]
    return StatusEntry(
        fields[-1],
        staged=states[:1] != b".",
        unstaged=kind == b"u" or states[1:] != b".",
        exists=mode_on_disk != b"000000",
    )
