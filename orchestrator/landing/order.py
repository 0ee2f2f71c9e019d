"""The order of merging: needs first, and as few merges that conflict with an earlier one as can be."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import combinations

#: Up to this many branches the order is the best there is; above it a rule chooses branch by branch.
EXACT_LIMIT = 12

Names = frozenset[str]


def merge_order(
    names: Sequence[str], conflicts: Collection[tuple[str, str]], needs: Mapping[str, Collection[str]]
) -> list[str]:
    """Return all `names`, each after those it needs. Between equal orders the given one counts.

    Above `EXACT_LIMIT` the next branch is one that conflicts with nothing merged so far, and of these
    the one that would spoil the fewest others; so the fewest conflicts are likely, not certain.
    """
    against = _against(names, conflicts)
    present = frozenset(names)
    before = {name: frozenset(needs.get(name, ())) & present for name in names}
    if len(names) <= EXACT_LIMIT:
        return _best(names, against, before)
    return _greedy(names, against, before)


def conflicting_merges(order: Sequence[str], conflicts: Collection[tuple[str, str]]) -> list[str]:
    """Return those of `order` that conflict with one that is merged before them."""
    against = _against(order, conflicts)
    return [name for place, name in enumerate(order) if against[name] & set(order[:place])]


def _against(names: Sequence[str], conflicts: Collection[tuple[str, str]]) -> dict[str, Names]:
    return {
        name: frozenset(other for pair in conflicts if name in pair for other in pair if other != name)
        for name in names
    }


def _best(names: Sequence[str], against: Mapping[str, Names], before: Mapping[str, Names]) -> list[str]:
    """Go through the sets of merged branches by size; keep the best way to reach each."""
    reached: dict[Names, tuple[int, tuple[int, ...]]] = {frozenset(): (0, ())}
    for size in range(1, len(names) + 1):
        for members in combinations(range(len(names)), size):
            merged = frozenset(names[number] for number in members)
            ways = [
                (cost + bool(against[names[last]] & rest), (*way, last))
                for last in members
                if (rest := merged - {names[last]}) in reached and before[names[last]] <= rest
                for cost, way in [reached[rest]]
            ]
            if ways:
                reached[merged] = min(ways)
    _, way = reached[frozenset(names)]
    return [names[number] for number in way]


def _greedy(names: Sequence[str], against: Mapping[str, Names], before: Mapping[str, Names]) -> list[str]:
    order: list[str] = []
    merged: set[str] = set()
    spoilt: set[str] = set()
    while len(order) < len(names):
        ready = [name for name in names if name not in merged and before[name] <= merged]
        chosen = min(ready, key=lambda name: (name in spoilt, len(against[name] - merged - spoilt)))
        order.append(chosen)
        merged.add(chosen)
        spoilt |= against[chosen]
    return order
