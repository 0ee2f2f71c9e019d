"""What an agent staged by hand, carried over from an index file that only the agent wrote to our own.

The agent's index may name objects that we do not have, so only its paths count, not its content.
"""

from __future__ import annotations

import filecmp
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from orchestrator.git.shield import Shield

_LARGEST = 1 << 28
_SUBMODULE = b"160000"


@dataclass(frozen=True, slots=True)
class _Entry:
    is_skipped: bool  #: left out by a sparse checkout
    mode: bytes
    object_id: bytes


def adopt_staging(shield: Shield, work_tree: Path, theirs: Path, ours: Path) -> None:
    """Let `ours` hold the same paths as `theirs`, as their files are on disk now.

    That way a file stays in although it is ignored (`git add -f`), and out although it is there
    (`git rm --cached`); and what a sparse checkout leaves out does not count as deleted.
    """
    if not _is_usable(theirs) or filecmp.cmp(theirs, ours, shallow=False):
        return
    their_lines = _lines(shield, theirs)
    our_lines = _lines(shield, ours)
    if their_lines is None or our_lines is None or their_lines == our_lines:
        return
    listed, known = _entries(their_lines), _entries(our_lines)
    new = listed.keys() - known.keys()
    links = {path: listed[path] for path in new if listed[path].mode == _SUBMODULE}
    skipped = [path for path, entry in listed.items() if entry.is_skipped and path in known]
    _update(shield, work_tree, ours, ["--force-remove", "--stdin"], known.keys() - listed.keys())
    _update(shield, work_tree, ours, ["--add", "--replace", "--stdin"], _files(work_tree, new))
    _update(shield, work_tree, ours, ["--skip-worktree", "--stdin"], skipped)
    lines = [entry.mode + b" " + entry.object_id + b"\t" + path for path, entry in links.items()]
    _update(shield, work_tree, ours, ["--index-info"], lines)


def staged_by_hand(shield: Shield, theirs: Path, ours: Path) -> frozenset[bytes]:
    """What `theirs` holds beyond `ours`, as lines of `git ls-files --stage`. Changes nothing."""
    if not _is_usable(theirs) or filecmp.cmp(theirs, ours, shallow=False):
        return frozenset()
    return staged(shield, theirs) - staged(shield, ours)


def staged(shield: Shield, index: Path) -> frozenset[bytes]:
    """What is in an index, as lines of `git ls-files --stage`; nothing when it is damaged."""
    output = shield.run(["ls-files", "-z", "--stage"], index=index, check=False)
    return frozenset(output.stdout.split(b"\0")) if output.exit_code == 0 else frozenset()


def _is_usable(index: Path) -> bool:
    try:
        found = index.lstat()
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size <= _LARGEST


def _lines(shield: Shield, index: Path) -> bytes | None:
    """What is in an index, as lines `tag mode object stage<tab>path`; None when it is damaged."""
    output = shield.run(["ls-files", "-z", "-t", "--stage"], index=index, check=False)
    return output.stdout if output.exit_code == 0 else None


def _entries(lines: bytes) -> dict[bytes, _Entry]:
    found = {}
    for line in filter(None, lines.split(b"\0")):
        facts, _, path = line.partition(b"\t")
        tag, mode, object_id, _ = facts.split(b" ")
        found[path] = _Entry(tag == b"S", mode, object_id)
    return found


def _update(shield: Shield, work_tree: Path, index: Path, options: list[str], lines: Iterable[bytes]) -> None:
    if listed := b"".join(line + b"\0" for line in lines):
        shield.run(["update-index", "-z", *options], work_tree=work_tree, index=index, input=listed)


def _files(work_tree: Path, paths: Iterable[bytes]) -> Iterator[bytes]:
    """Those that are a file or a link on disk, in a folder that is reached without a link."""
    root = work_tree.resolve()
    for path in paths:
        place = work_tree / os.fsdecode(path)
        with suppress(OSError):
            straight = place.parent.resolve() == root / place.parent.relative_to(work_tree)
            if straight and not stat.S_ISDIR(place.lstat().st_mode):
                yield path
