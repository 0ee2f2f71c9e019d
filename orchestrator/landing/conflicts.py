"""Who conflicts with whom: every pair of branches merged in memory, nothing written into the repository."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path, PurePosixPath
from typing import Any

from orchestrator.git.attributes import lay_attributes, paths_with_driver
from orchestrator.git.content_merges import Triple, merge_contents
from orchestrator.git.merging import (
    SUBMODULE,
    Changes,
    Conflict,
    Edit,
    Merge,
    Version,
    changes_since,
    lines_since,
    merge_all,
)
from orchestrator.git.repository import Repository
from orchestrator.git.shield import Shield
from orchestrator.landing.hunks import Located, with_hunks
from orchestrator.landing.manifests import MergeRules, foresee, is_about_content
from orchestrator.landing.order import conflicting_merges, merge_order


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two branches that git cannot merge by itself."""

    a: str
    b: str
    files: tuple[str, ...]
    conflicts: tuple[Conflict, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A commit that the branches are to be merged into, such as where the base branch is by now."""

    ref: str
    commit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflicts:
    """What is known of a run's branches before any of them is merged."""

    pairs: tuple[Pair, ...]
    order: tuple[str, ...]  #: of merging, so that the fewest merges conflict
    conflicting: tuple[str, ...]  #: those that conflict with an earlier one in that order
    target: Target | None = None  #: None: nobody asked, or the base is where it was
    against_target: tuple[Pair, ...] = ()  #: `b` is the target's ref
    resolved: tuple[Pair, ...] = ()  #: what git cannot merge, and landing merges by a rule for such files

    def to_json(self) -> dict[str, Any]:
        """Return it as the report's `conflicts`."""
        return {
            "pairs": [_pair_json(pair) for pair in self.pairs],
            "order": list(self.order),
            "conflicting": list(self.conflicting),
            "target": asdict(self.target) if self.target else None,
            "against_target": [_pair_json(pair) for pair in self.against_target],
            "resolved": [
                {"a": pair.a, "b": pair.b, "file": conflict.files[0], "resolved_by": conflict.resolved_by}
                for pair in self.resolved
                for conflict in pair.conflicts
            ],
        }


def find_conflicts(
    repo: Repository,
    base: str,
    commits: Mapping[str, str],
    needs: Mapping[str, Collection[str]],
    target: Target | None = None,
    *,
    rules: MergeRules | None = None,
) -> Conflicts:
    """Compare every two of `commits`, by worker, which were built on `base`. Raises GitError.

    With `rules`, what landing will resolve by itself is no conflict; without, the verdict is git's.

    What builds on a need contains its commit, and so does not conflict with it.
    """
    with tempfile.TemporaryDirectory(prefix="orchestrator-merge-") as folder:
        shield = repo.scratch(Path(folder, "git"), head=base)
        return compare(shield, base, commits, needs, target, rules=rules)


def compare(
    shield: Shield,
    base: str,
    commits: Mapping[str, str],
    needs: Mapping[str, Collection[str]],
    target: Target | None = None,
    *,
    locate: bool = True,
    rules: MergeRules | None = None,
) -> Conflicts:
    """As `find_conflicts`, through a scratch shield that has all of `commits`. `locate`: find hunks too."""
    couples = list(combinations(commits, 2))
    asked = [(commits[a], commits[b]) for a, b in couples]
    moved = target if target and target.commit != base else None
    if moved:
        asked += [(commit, moved.commit) for commit in commits.values()]
    found = pair_conflicts(shield, base, asked, locate=locate, rules=rules)
    pairs = _pairs(couples, map(_left, found[: len(couples)]))
    edges = [(pair.a, pair.b) for pair in pairs]
    order = merge_order(list(commits), edges, needs)
    against = [(name, moved.ref) for name in commits] if moved else []
    return Conflicts(
        pairs=pairs,
        order=tuple(order),
        conflicting=tuple(conflicting_merges(order, edges)),
        target=moved,
        against_target=_pairs(against, map(_left, found[len(couples) :])),
        resolved=_pairs(couples, map(_resolved, found[: len(couples)])),
    )


def _left(conflicts: tuple[Conflict, ...]) -> tuple[Conflict, ...]:
    return tuple(conflict for conflict in conflicts if not conflict.resolved_by)


def _resolved(conflicts: tuple[Conflict, ...]) -> tuple[Conflict, ...]:
    return tuple(conflict for conflict in conflicts if conflict.resolved_by)


def _pairs(names: Iterable[tuple[str, str]], found: Iterable[tuple[Conflict, ...]]) -> tuple[Pair, ...]:
    return tuple(
        Pair(a=a, b=b, files=_files(conflicts), conflicts=conflicts)
        for (a, b), conflicts in zip(names, found, strict=True)
        if conflicts
    )


def pair_conflicts(
    shield: Shield,
    base: str,
    pairs: Sequence[tuple[str, str]],
    *,
    locate: bool = False,
    rules: MergeRules | None = None,
) -> list[tuple[Conflict, ...]]:
    """Say for each pair of commits what git cannot merge by itself. Raises GitError.

    Pairs whose paths are apart need no merge. Where both only changed or added plain files, the files that
    both touched are merged alone, each content once; every other pair is merged whole. The verdict is
    git's own each time.
    """
    ways = _Ways(shield, base, {commit for pair in pairs for commit in pair})
    small: dict[Triple, int] = {}
    whole: dict[tuple[str, str], int] = {}
    plans: list[Mapping[str, Triple] | None] = []
    for ours, theirs in pairs:
        plan = ways.plan(ours, theirs)
        plans.append(plan)
        if plan is None:
            whole.setdefault((ours, theirs), len(whole))
        else:
            for triple in plan.values():
                small.setdefault(triple, len(small))
    merges = merge_all(shield, list(whole))
    by_triple = _content_conflicts(shield, list(small))
    answers = []
    for pair, plan in zip(pairs, plans, strict=True):
        if plan is None:
            merge = merges[whole[pair]]
            answers.append(_located(merge, pair))
        else:
            answers.append(
                [
                    Located(one.renamed(path), one.tree, one.place, one.stages, one.sides)
                    for path, triple in sorted(plan.items())
                    for one in by_triple.get(triple, ())
                ]
            )
    if rules:
        answers = _with_resolutions(shield, answers, rules)
    if locate:
        return with_hunks(shield, answers)
    return [tuple(one.conflict for one in answer) for answer in answers]


def _located(merge: Merge, pair: tuple[str, str]) -> list[Located]:
    return [
        Located(
            conflict,
            merge.tree,
            conflict.files[0] if conflict.files else "",
            merge.stages.get(conflict.files[0], {}) if conflict.files else {},
            pair,
        )
        for conflict in merge.conflicts
    ]


def _with_resolutions(
    shield: Shield, answers: Iterable[Sequence[Located]], rules: MergeRules
) -> list[list[Located]]:
    """Mark the conflicts that landing will resolve by itself."""
    answers = [list(answer) for answer in answers]
    cases = [
        (one.conflict.files[0], one.stages)
        if one.conflict.files
        and all(is_about_content(each.conflict) for each in answer if _share_a_file(each, one))
        else ("", {})
        for answer in answers
        for one in answer
    ]
    ways = iter(foresee(shield, cases, rules))
    return [
        [replace(one, conflict=replace(one.conflict, resolved_by=next(ways))) for one in answer]
        for answer in answers
    ]


def _share_a_file(a: Located, b: Located) -> bool:
    return not set(a.conflict.files).isdisjoint(b.conflict.files)


def _content_conflicts(shield: Shield, triples: Sequence[Triple]) -> dict[Triple, list[Located]]:
    if not triples:
        return {}
    done = merge_contents(shield, triples)
    number = {name: place for place, name in enumerate(done.names)}
    found: dict[Triple, list[Located]] = {}
    for conflict in done.merge.conflicts:
        name = conflict.files[0]
        one = Located(conflict, done.merge.tree, name, done.merge.stages.get(name, {}), done.sides)
        found.setdefault(triples[number[name]], []).append(one)
    return found


class _Ways:
    """Knows what each commit changed, and so how little of two of them has to be merged to know."""

    def __init__(self, shield: Shield, base: str, commits: Collection[str]) -> None:
        listed = sorted(commits)
        self._lines = lines_since(shield, base, listed)
        placed = [commit for commit in listed if self._lines[commit] is not None]
        self._changes = changes_since(shield, base, placed)
        self._paths = {commit: frozenset(self._changes[commit].edits) for commit in placed}
        self._folders = {commit: _folders(paths) for commit, paths in self._paths.items()}
        lay_attributes(shield, base, set().union(*self._folders.values()))
        self._driven = paths_with_driver(shield, set().union(*self._paths.values()))

    def plan(self, ours: str, theirs: str) -> Mapping[str, Triple] | None:
        """Return the files to merge alone, none of which may be needed; None: merge the whole."""
        if ours == theirs:
            return {}
        line_a, line_b = self._lines[ours], self._lines[theirs]
        if line_a is None or line_b is None:
            return None
        a, b = self._changes[ours], self._changes[theirs]
        paths_a, paths_b = self._paths[ours], self._paths[theirs]
        shared = paths_a & paths_b
        entangled = (
            not paths_a.isdisjoint(self._folders[theirs])
            or not paths_b.isdisjoint(self._folders[ours])
            or (a.removed and b.adds)
            or (b.removed and a.adds)
        )
        if not shared and not entangled:
            return {}
        if entangled or a.removed or b.removed or not line_a.isdisjoint(line_b):
            return None
        if not self._driven.isdisjoint(shared):
            return None
        return _triples(shared, a, b)


def _triples(shared: Iterable[str], a: Changes, b: Changes) -> Mapping[str, Triple] | None:
    """The shared files that differ; None when one of them is more than a plain file that was changed."""
    found = {}
    for path in shared:
        ours, theirs = a.edits[path], b.edits[path]
        if ours.after is None or theirs.after is None or not (_is_plain(ours) and _is_plain(theirs)):
            return None
        if ours.after != theirs.after:
            found[path] = Triple(ours.before, ours.after, theirs.after)
    return found


def _is_plain(edit: Edit) -> bool:
    """Whether it was and is a file, or was and is a link."""
    kinds = {_kind(version) for version in (edit.before, edit.after) if version is not None}
    return len(kinds) == 1 and SUBMODULE[:2] not in kinds


def _kind(version: Version) -> str:
    return version.mode[:2]


def _folders(paths: Iterable[str]) -> frozenset[str]:
    return frozenset(str(folder) for path in paths for folder in PurePosixPath(path).parents)


def _files(conflicts: Iterable[Conflict]) -> tuple[str, ...]:
    return tuple(sorted({name for conflict in conflicts for name in conflict.files}))


def _pair_json(pair: Pair) -> dict[str, Any]:
    conflicts = [
        {
            "kind": conflict.kind,
            "files": list(conflict.files),
            "hunks": [{"file": hunk.file, "a": list(hunk.a), "b": list(hunk.b)} for hunk in conflict.hunks],
        }
        for conflict in pair.conflicts
    ]
    return {"a": pair.a, "b": pair.b, "files": list(pair.files), "conflicts": conflicts}
