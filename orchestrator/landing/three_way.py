"""The three-way merge of structured data, by key: what is taken from which side, and in which order.

It knows no file format: a document is a `Value`, and the plan it returns is carried out on text by the
modules for JSON and TOML, which keep everything that nobody changed as it was written.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class Atom:
    """A value that is no container, exactly as it was written: 1.0 is not 1.00."""

    kind: str
    text: str


Value = Atom | Mapping[str, "Value"] | tuple["Value", ...]
Where = tuple[str, ...]


class Side(Enum):
    """Whose value is taken as it is."""

    OURS = "ours"
    THEIRS = "theirs"


@dataclass(frozen=True, slots=True)
class Members:
    """A mapping with members of both sides, in the order to write them."""

    members: tuple[tuple[str, Plan], ...]


@dataclass(frozen=True, slots=True)
class Items:
    """A list with items of both sides, in the order to write them."""

    items: tuple[tuple[Value, Side], ...]


Plan = Side | Members | Items


class ClashError(Exception):
    """Both sides changed one thing in two ways; only a person can say what is right."""

    def __init__(self, where: Where) -> None:
        super().__init__(".".join(where))


#: Lists in which the order means something, so that no union of two of them is right.
_ORDERED = frozenset(
    {"args", "argv", "arguments", "command", "cmd", "extends", "plugins", "presets", "path", "paths"}
)
#: Lists of requirements (PEP 508): one package is required in one way only.
_REQUIREMENTS = frozenset({"dependencies", "dev-dependencies", "requires"})
_REQUIREMENT_GROUPS = frozenset({"optional-dependencies", "dependency-groups"})
_PACKAGE = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")


def three_way(base: Value | None, ours: Value, theirs: Value, where: Where = ()) -> Plan:
    """Plan the merge; None as the base means that both sides added the value. Raises ClashError."""
    if theirs in (ours, base):
        return Side.OURS
    if ours == base:
        return Side.THEIRS
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        return _merged_members(base if isinstance(base, Mapping) else {}, ours, theirs, where)
    if isinstance(ours, tuple) and isinstance(theirs, tuple) and where:
        return _merged_items(base if isinstance(base, tuple) else (), ours, theirs, where)
    raise ClashError(where)


def planned(plan: Plan, ours: Value | None, theirs: Value | None) -> Value:
    """Return the value that `plan` leads to."""
    if isinstance(plan, Items):
        return tuple(value for value, _ in plan.items)
    if isinstance(plan, Members):
        return {key: planned(part, _at(ours, key), _at(theirs, key)) for key, part in plan.members}
    taken = ours if plan is Side.OURS else theirs
    assert taken is not None
    return taken


def _at(value: Value | None, key: str) -> Value | None:
    return value.get(key) if isinstance(value, Mapping) else None


def _merged_members(
    base: Mapping[str, Value], ours: Mapping[str, Value], theirs: Mapping[str, Value], where: Where
) -> Members:
    plans = {}
    for key in (*ours, *(key for key in theirs if key not in ours)):
        plan = _member(base.get(key), ours.get(key), theirs.get(key), (*where, key))
        if plan is not None:
            plans[key] = plan
    order = _arranged(list(ours), list(theirs), plans)
    return Members(tuple((key, plans[key]) for key in order))


def _member(base: Value | None, ours: Value | None, theirs: Value | None, where: Where) -> Plan | None:
    """Plan one member; None where it goes away."""
    if ours is not None and theirs is not None:
        return three_way(base, ours, theirs, where)
    if (ours if ours is not None else theirs) == base:
        return None  # the other side removed it
    if base is not None:
        raise ClashError(where)  # removed here, changed there
    return Side.OURS if ours is not None else Side.THEIRS


def _merged_items(
    base: tuple[Value, ...], ours: tuple[Value, ...], theirs: tuple[Value, ...], where: Where
) -> Items:
    """Merge lists of plain texts as sets that keep their order."""
    if where[-1] in _ORDERED or not all(_is_set_of_texts(items) for items in (base, ours, theirs)):
        raise ClashError(where)
    before, here, there = set(_texts(base)), set(_texts(ours)), set(_texts(theirs))
    if _holds_requirements(where):
        _check_requirements(before, here, there, where)
    elif (before - here) & (before - there) and here - before != there - before:
        raise ClashError(where)  # both replaced one item, each by another
    kept = (here & there) | (here - before) | (there - before)
    order = _arranged(_texts(ours), _texts(theirs), kept)
    found = {item.text: item for item in (*theirs, *ours) if isinstance(item, Atom)}
    return Items(tuple((found[text], Side.OURS if text in here else Side.THEIRS) for text in order))


def _is_set_of_texts(items: tuple[Value, ...]) -> bool:
    texts = [item.text for item in items if isinstance(item, Atom) and item.kind == "text"]
    return len(texts) == len(items) == len(set(texts))


def _texts(items: tuple[Value, ...]) -> list[str]:
    return [item.text for item in items if isinstance(item, Atom)]


def _holds_requirements(where: Where) -> bool:
    return where[-1] in _REQUIREMENTS or (len(where) > 1 and where[-2] in _REQUIREMENT_GROUPS)


def _check_requirements(before: set[str], here: set[str], there: set[str], where: Where) -> None:
    """Raise ClashError when both sides touched one package, and not in the same way."""
    ours, theirs = _by_package(before ^ here), _by_package(before ^ there)
    for package in ours.keys() & theirs.keys():
        if ours[package] != theirs[package]:
            raise ClashError((*where, package))


def _by_package(requirements: Collection[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for text in requirements:
        name = _PACKAGE.match(text)
        package = re.sub(r"[-_.]+", "-", name[1]).lower() if name else text
        found.setdefault(package, set()).add(text)
    return found


def _arranged(ours: Sequence[str], theirs: Sequence[str], kept: Collection[str]) -> list[str]:
    """Order what is kept: as in ours; what theirs adds comes in sorted, or after what it follows there."""
    in_ours = set(ours)
    result = [name for name in ours if name in kept]
    is_sorted = list(ours) == sorted(ours) and list(theirs) == sorted(theirs)
    for number, name in enumerate(theirs):
        if name not in kept or name in in_ours:
            continue
        if is_sorted:
            place = bisect(result, name)
        else:
            earlier = (result.index(other) for other in reversed(theirs[:number]) if other in result)
            place = next(earlier, -1) + 1
        result.insert(place, name)
    return result
