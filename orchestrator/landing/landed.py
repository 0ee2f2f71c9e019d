"""Whether a branch's work is in a target, however it got there: merge, squash, rebase or cherry-pick.

Ancestry alone says no after a squash or a rebase. So the question is put in three ways, cheapest first:

1. Is the commit an ancestor of the target? Then the target's history holds the commit itself, also when it
   was reverted later: the branch has nothing to add, and merging it again would bring nothing.
2. Does merging it into the target, in memory, give the target's own tree? Then every change is there.
   When the merge is clean and gives another tree, something is missing: it is not landed, or reverted.
3. The merge conflicts, since the target went on in the same places. Then patches are compared: the whole
   of the work with each commit of the target (a squash), then commit by commit (a rebase, cherry-picks).
   A patch whose opposite came later was reverted, and does not count.

Patches are compared on the files that the work touches, without line numbers, as `git patch-id` does; but
white space counts, and binary files by their content.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.git.history import is_ancestor
from orchestrator.git.leftovers import changed_paths
from orchestrator.git.merging import attributes_folder
from orchestrator.git.shield import Shield

#: How many commits of the target, the newest that touch the work's files, are compared by patch.
MOST_COMMITS = 2000
_OPTIONS = ("-p", "--full-index", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-color")
_HUNK = re.compile(rb"^@@ -[0-9,]+ \+[0-9,]+ @@.*")


class How(StrEnum):
    """How a branch's work stands to a target."""

    EMPTY = "empty"  #: the branch holds no work
    ANCESTOR = "ancestor"  #: the target was built on it
    TREE = "tree"  #: merging it would change nothing
    PATCH = "patch"  #: its patches are in the target's history, which went on from there
    REVERTED = "reverted"  #: its patches are in the history, and were taken out again
    MISSING = "missing"  #: at least a part of it is not in the target

    @property
    def is_landed(self) -> bool:
        """Whether the target holds all of it, so that nothing is lost with the branch."""
        return self not in {How.REVERTED, How.MISSING}


def is_landed(shield: Shield, commit: str, target: str, base: str) -> How:
    """Say how the work at `commit`, begun at `base`, stands to `target`.

    `shield` is over the repository's objects; a scratch one keeps the merge's objects out of the user's.
    """
    if commit == base or _tree(shield, commit) == _tree(shield, base):
        return How.EMPTY
    if is_ancestor(shield, commit, target):
        return How.ANCESTOR
    merged = _merged_tree(shield, target, commit)
    if merged is not None and merged == _tree(shield, target):
        return How.TREE
    by_patch = _by_patch(shield, commit, target, base)
    if merged is None:
        return by_patch
    return How.MISSING if by_patch is How.MISSING else How.REVERTED


def _by_patch(shield: Shield, commit: str, target: str, base: str) -> How:
    fork = shield.run(["merge-base", target, commit], check=False).stdout.decode("ascii").strip()
    if not fork:
        return How.MISSING
    start = base if is_ancestor(shield, fork, base) else fork
    paths = changed_paths(shield, start, commit)
    history = [_digest(patch) for patch in _patches(shield, f"{fork}..{target}", paths)]
    newest = {digest: place for place, digest in enumerate(reversed(history))}
    candidates = [_Part.between(shield, start, commit)], _commits(shield, start, commit)
    found = [_standing(parts, newest) for parts in candidates if parts]
    return min(found, key=list(How).index, default=How.MISSING)


@dataclass(frozen=True, slots=True)
class _Part:
    """A change, as the digests of its patch and of the opposite one."""

    forth: bytes
    back: bytes

    @classmethod
    def between(cls, shield: Shield, old: str, new: str) -> _Part:
        return cls(_digest(_patch(shield, old, new)), _digest(_patch(shield, new, old)))


def _standing(parts: list[_Part], newest: dict[bytes, int]) -> How:
    """Whether every part is in the history; the newest places count, as a revert may be reverted."""
    places = [(newest.get(part.forth, -1), newest.get(part.back, -1)) for part in parts]
    if any(forth < 0 for forth, _ in places):
        return How.MISSING
    return How.REVERTED if any(back > forth for forth, back in places) else How.PATCH


def _commits(shield: Shield, start: str, commit: str) -> list[_Part]:
    """The work commit by commit; nothing when merges are among it, whose part in it has no patch."""
    listed = shield.run(["rev-list", "--parents", f"{start}..{commit}"]).stdout.decode("ascii")
    rows = [line.split() for line in listed.splitlines()]
    if any(len(row) != 2 for row in rows):
        return []
    changed = [row for row in rows if _tree(shield, row[0]) != _tree(shield, row[1])]
    return [_Part.between(shield, parent, child) for child, parent in changed]


def _patch(shield: Shield, old: str, new: str) -> bytes:
    return shield.run(["diff-tree", *_OPTIONS, "-r", old, new]).stdout


def _patches(shield: Shield, commits: str, paths: Iterable[str]) -> Iterator[bytes]:
    """What each commit changed in `paths`, the newest first; merges have none of their own."""
    argv = ["--literal-pathspecs", "log", "--stdin", *_OPTIONS, "--no-merges", f"--max-count={MOST_COMMITS}"]
    asked = b"\n".join([os.fsencode(commits), b"--", *map(os.fsencode, paths)]) + b"\n"
    # A zero byte far inside a file cuts its patch in two, which then fits nothing: the safe side.
    output = shield.run([*argv, "--format=%x00"], input=asked).stdout
    return (patch.lstrip(b"\n") for patch in output.split(b"\0")[1:])


def _digest(patch: bytes) -> bytes:
    """Identify a patch by all but where its lines are."""
    digest, index = hashlib.sha256(), b""
    for line in patch.rstrip(b"\n").split(b"\n"):
        if line.startswith(b"index "):
            index = line
            continue
        digest.update(_HUNK.sub(b"@@", line) + b"\n")
        if line.startswith(b"Binary files "):
            digest.update(index)
    return digest.digest()


def _merged_tree(shield: Shield, target: str, commit: str) -> str | None:
    """The tree of a clean merge; None when there is none."""
    argv = ["merge-tree", "--write-tree", "--no-messages", "--name-only", target, commit]
    output = shield.run(argv, work_tree=attributes_folder(shield), check=False)
    return output.stdout.decode("ascii", "replace").split()[0] if output.exit_code == 0 else None


def _tree(shield: Shield, commit: str) -> str:
    return shield.run(["rev-parse", f"{commit}^{{tree}}"]).stdout.decode("ascii").strip()
