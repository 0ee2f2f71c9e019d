"""Who conflicts with whom: every pair of branches merged in memory, nothing written into the repository."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from orchestrator.git.merging import Conflict, merge_all
from orchestrator.git.repository import Repository
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
    repo: Repository, commits: Mapping[str, str], needs: Mapping[str, Collection[str]]
) -> Conflicts:
    """Compare every two of `commits`, by worker. Raises GitError.

    What builds on a need contains its commit, and so does not conflict with it.
    """
    with tempfile.TemporaryDirectory(prefix="orchestrator-merge-") as folder:
        shield = repo.scratch(Path(folder, "git"), head=next(iter(commits.values()), repo.head))
        rivals = list(combinations(commits, 2))
        merges = merge_all(shield, [(commits[a], commits[b]) for a, b in rivals])
    pairs = tuple(
        Pair(a=a, b=b, files=merge.files, conflicts=merge.conflicts)
        for (a, b), merge in zip(rivals, merges, strict=True)
        if merge.conflicts
    )
    return _ordered(list(commits), pairs, needs)


def _ordered(names: Sequence[str], pairs: Iterable[Pair], needs: Mapping[str, Collection[str]]) -> Conflicts:
    pairs = tuple(pairs)
    edges = [(pair.a, pair.b) for pair in pairs]
    order = merge_order(names, edges, needs)
    return Conflicts(pairs=pairs, order=tuple(order), conflicting=tuple(conflicting_merges(order, edges)))
