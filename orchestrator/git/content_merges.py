"""Merges of single files: any number of them at once, as the paths of one small merge in memory.

What git says of a file alone is what it says of it among thousands, as long as nothing is removed: then
no rename is looked for, and each path is merged by itself.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.git.merging import Merge, Version, merge_all
from orchestrator.git.shield import Shield

_PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Triple:
    """A file in three states; the base is None where both sides added it."""

    base: Version | None
    ours: Version
    theirs: Version


@dataclass(frozen=True, slots=True)
class ContentMerges:
    """What came of them, by the names that the files had in the small merge."""

    names: tuple[str, ...]
    merge: Merge
    sides: tuple[str, str]  #: the commits of the small merge, which its markers name


def merge_contents(shield: Shield, triples: Sequence[Triple]) -> ContentMerges:
    """Merge each file of `triples`, which no attribute concerns. Raises GitError."""
    plain = _without_attributes(shield)
    names = tuple(f"{number:08d}" for number in range(len(triples)))
    trees = _write_trees(plain, names, triples)
    (base,) = _write_commits(plain, [(trees[0], ())])
    ours, theirs = _write_commits(plain, [(trees[1], (base,)), (trees[2], (base,))])
    (merge,) = merge_all(plain, [(ours, theirs)])
    return ContentMerges(names, merge, (ours, theirs))


def _without_attributes(shield: Shield) -> Shield:
    """A shield beside the other one; patterns that fit a real path must not fit a made-up one."""
    folder = shield.git_dir / _PLAIN
    if not folder.is_dir():
        for name in ("objects", "refs", "info"):
            (folder / name).mkdir(parents=True, mode=0o700)
        for name in ("config", "HEAD"):
            shutil.copyfile(shield.git_dir / name, folder / name)
    return Shield(git_dir=folder, objects=shield.objects)


def _write_trees(shield: Shield, names: Sequence[str], triples: Sequence[Triple]) -> list[str]:
    """Write the three trees by one process. Every object is there already, so git need not look."""
    trees = []
    for side in ("base", "ours", "theirs"):
        entries = zip(names, (getattr(triple, side) for triple in triples), strict=True)
        trees.append(
            b"".join(
                f"{version.mode} blob {version.object_id}\t{name}\0".encode("ascii")
                for name, version in entries
                if version is not None
            )
        )
    output = shield.run(["mktree", "-z", "--missing", "--batch"], input=b"\0".join(trees)).stdout
    return output.decode("ascii").split()


def _write_commits(shield: Shield, wanted: Sequence[tuple[str, tuple[str, ...]]]) -> list[str]:
    paths = []
    for number, (tree, parents) in enumerate(wanted):
        when = f"nobody <nobody> {1 + len(parents)} +0000"  # later than its parent, or git walks on
        lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents)]
        lines += [f"author {when}", f"committer {when}", "", ""]
        path = shield.git_dir / f"commit-{number}"
        path.write_text("\n".join(lines))
        paths.append(path)
    asked = "".join(f"{path}\n" for path in paths).encode()
    argv = ["hash-object", "-t", "commit", "-w", "--no-filters", "--stdin-paths"]
    return shield.run(argv, input=asked).stdout.decode("ascii").split()
