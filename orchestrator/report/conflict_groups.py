"""Conflicts as a reader wants them: grouped by file, and as a matrix of those who have any."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class FileGroup:
    """One file, and everybody who conflicts in it."""

    file: str
    kinds: Counter[str] = field(default_factory=Counter)
    workers: list[str] = field(default_factory=list)  #: in the order that was given
    pairs: int = 0
    hunks: list[tuple[str, str, Mapping[str, Any]]] = field(default_factory=list)  #: (a, b, hunk)


@dataclass(frozen=True, slots=True)
class Matrix:
    """How many files each two of `workers` conflict in; the last column is the moved base, if it has one."""

    workers: tuple[str, ...]
    against: tuple[str, ...]  #: names of the columns
    cells: tuple[tuple[int | None, ...], ...]  #: None: a worker and itself


def by_file(pairs: Iterable[Mapping[str, Any]], order: Sequence[str] = ()) -> list[FileGroup]:
    """Group pairs by file, those that most pairs conflict in first."""
    groups: dict[str, FileGroup] = {}
    members: dict[str, dict[str, None]] = {}
    for pair in pairs:
        seen: set[str] = set()
        for conflict in pair.get("conflicts") or ():
            for name in conflict["files"]:
                group = groups.setdefault(name, FileGroup(name))
                group.kinds[conflict["kind"]] += 1
                group.pairs += name not in seen
                seen.add(name)
            for hunk in conflict.get("hunks") or ():
                groups[hunk["file"]].hunks.append((pair["a"], pair["b"], hunk))
        for name in seen:
            members.setdefault(name, {}).update({pair["a"]: None, pair["b"]: None})
    place = {name: number for number, name in enumerate(order)}
    for name, group in groups.items():
        group.workers = sorted(members[name], key=lambda one: place.get(one, len(place)))
    return sorted(groups.values(), key=lambda group: (-group.pairs, group.file))


def matrix(found: Mapping[str, Any], order: Sequence[str]) -> Matrix:
    """Who conflicts with whom; those without any conflict are left out. `order` is that of the run."""
    counts: dict[tuple[str, str], int] = {}
    for pair in found["pairs"]:
        counts[pair["a"], pair["b"]] = counts[pair["b"], pair["a"]] = len(pair["files"])
    target = found.get("target")
    base: dict[str, int] = {pair["a"]: len(pair["files"]) for pair in found.get("against_target") or ()}
    named = {name for couple in counts for name in couple} | base.keys()
    workers = tuple(name for name in order if name in named)
    cells = tuple(
        (
            *(None if row == column else counts.get((row, column), 0) for column in workers),
            *((base.get(row, 0),) if target else ()),
        )
        for row in workers
    )
    return Matrix(workers, (*workers, *((target["ref"],) if target else ())), cells)
