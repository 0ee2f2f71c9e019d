"""Who conflicts with whom: every pair of branches merged in memory, nothing written into the repository."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path, PurePosixPath
from typing import Any

from orchestrator.git.merging import Conflict, changes_since, merge_all, share_an_ancestor
from orchestrator.git.repository import Repository
from orchestrator.git.shield import Shield
from orchestrator.landing.order import conflicting_merges, merge_order


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two branches that git cannot merge by itself."""

    a: str
    b: str
    files: tuple[str, ...]
    conflicts: tuple[Conflict, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflicts:
    """What is known of a run's branches before any of them is merged."""

    pairs: tuple[Pair, ...]
    order: tuple[str, ...]  #: of merging, so that the fewest merges conflict
    conflicting: tuple[str, ...]  #: those that conflict with an earlier one in that order

    def to_json(self) -> dict[str, Any]:
        """Return it as the report's `conflicts`."""
        pairs = [{**asdict(pair), "files": list(pair.files)} for pair in self.pairs]
        for pair in pairs:
            pair["conflicts"] = [{**each, "files": list(each["files"])} for each in pair["conflicts"]]
        return {"pairs": pairs, "order": list(self.order), "conflicting": list(self.conflicting)}


def find_conflicts(
    repo: Repository, base: str, commits: Mapping[str, str], needs: Mapping[str, Collection[str]]
) -> Conflicts:
    """Compare every two of `commits`, by worker, which were built on `base`. Raises GitError.

    What builds on a need contains its commit, and so does not conflict with it.
    """
    if len(commits) < 2:
        return _ordered(list(commits), (), needs)
    with tempfile.TemporaryDirectory(prefix="orchestrator-merge-") as folder:
        shield = repo.scratch(Path(folder, "git"), head=next(iter(commits.values()), repo.head))
        may_conflict = _suspicion(shield, base, list(commits.values()))
        rivals = [(a, b) for a, b in combinations(commits, 2) if may_conflict(commits[a], commits[b])]
        merges = merge_all(shield, [(commits[a], commits[b]) for a, b in rivals])
    pairs = tuple(
        Pair(a=a, b=b, files=merge.files, conflicts=merge.conflicts)
        for (a, b), merge in zip(rivals, merges, strict=True)
        if merge.conflicts
    )
    return _ordered(list(commits), pairs, needs)


def _suspicion(shield: Shield, base: str, commits: Sequence[str]) -> Callable[[str, str], bool]:
    """Return what says whether two commits have to be merged to know; most need not, and that is quick.

    Nothing conflicts where paths are apart, none lies where the other has a file, and no folder can have
    been renamed under an added file: that takes a removal.
    """
    if not share_an_ancestor(shield, base, commits):
        return lambda _a, _b: True
    changes = changes_since(shield, base, commits)
    folders = {commit: _folders(change.kept | change.removed) for commit, change in changes.items()}

    def may_conflict(a: str, b: str) -> bool:
        ours, theirs = changes[a], changes[b]
        our_paths, their_paths = ours.kept | ours.removed, theirs.kept | theirs.removed
        return bool(
            not our_paths.isdisjoint(their_paths)
            or not our_paths.isdisjoint(folders[b])
            or not their_paths.isdisjoint(folders[a])
            or (ours.removed and theirs.adds)
            or (theirs.removed and ours.adds)
        )

    return may_conflict


def _folders(paths: Iterable[str]) -> set[str]:
    return {str(folder) for path in paths for folder in PurePosixPath(path).parents}


def _ordered(names: Sequence[str], pairs: Iterable[Pair], needs: Mapping[str, Collection[str]]) -> Conflicts:
    pairs = tuple(pairs)
    edges = [(pair.a, pair.b) for pair in pairs]
    order = merge_order(names, edges, needs)
    return Conflicts(pairs=pairs, order=tuple(order), conflicting=tuple(conflicting_merges(order, edges)))
