"""What an agent staged by hand, carried over from an index file that only the agent wrote to our own.

The agent's index may name objects that we do not have, so only its paths count, not its content.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from orchestrator.errors import GitError
from orchestrator.git.shield import Shield

_LARGEST = 1 << 28
_SKIPPED = b"S"


def adopt_staging(shield: Shield, work_tree: Path, theirs: Path, ours: Path) -> None:
    """Let `ours` hold the same paths as `theirs`, as their files are on disk now.

    That way a file stays in although it is ignored (`git add -f`), and out although it is there
    (`git rm --cached`); and what a sparse checkout leaves out does not count as deleted.
    """
    listed = _listed(shield, theirs)
    if listed is None:
        return
    known = _entries(shield, ours)
    added = [path for path in listed.keys() - known.keys() if _is_file(work_tree, path)]
    skipped = [path for path, tag in listed.items() if tag == _SKIPPED and path in known]
    _update(shield, work_tree, ours, ["--force-remove"], known.keys() - listed.keys())
    _update(shield, work_tree, ours, ["--add", "--replace"], added)
    _update(shield, work_tree, ours, ["--skip-worktree"], skipped)


def _listed(shield: Shield, index: Path) -> dict[bytes, bytes] | None:
    """The paths in an index that may be anything; None when it cannot be read."""
    try:
        found = index.lstat()
        if not stat.S_ISREG(found.st_mode) or found.st_size > _LARGEST:
            return None
        return _entries(shield, index)
    except (OSError, GitError):
        return None


def _entries(shield: Shield, index: Path) -> dict[bytes, bytes]:
    """Paths with git's one-letter word for each."""
    output = shield.run(["ls-files", "-z", "-t", "--cached"], index=index)
    return {line[2:]: line[:1] for line in output.stdout.split(b"\0") if line}


def _update(shield: Shield, work_tree: Path, index: Path, options: list[str], paths: Iterable[bytes]) -> None:
    if listed := b"".join(path + b"\0" for path in paths):
        argv = ["update-index", *options, "-z", "--stdin"]
        shield.run(argv, work_tree=work_tree, index=index, input=listed)


def _is_file(work_tree: Path, path: bytes) -> bool:
    """Whether there is a file or a link, in a folder that is reached without one."""
    place = work_tree / os.fsdecode(path)
    try:
        mode = place.lstat().st_mode
        return not stat.S_ISDIR(
            mode
        ) and place.parent.resolve() == work_tree.resolve() / place.parent.relative_to(work_tree)
    except OSError:
        return False
