"""YAML text as plain data in which every value knows its line, its column and the text as written.

YAML 1.2's core types, so that `no`, `on`, `1:30` and `012` are the text that they look like.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import yaml

from orchestrator.config import Fault, text_fault
from orchestrator.errors import TaskFileError

_DEEPEST = 20
_MOST_VALUES = 500_000
_MOST_FAULTS = 100
_CONSTANTS: dict[str, bool | None] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,30})?(?:[eE][-+]?[0-9]{1,3})?")


#: What YAML does not allow in a file.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Place(NamedTuple):
    """Where something stands in the file; the first line and column are 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Item:
    """What the file says about one value of a mapping or list."""

    key: Place  #: of its key in a mapping, else of the value itself
    value: Place
    written: str | None  #: the value as written, for an unquoted scalar


class YamlMap(dict[str, Any]):
    """A mapping of the file; `items_at` says where its values stand."""

    items_at: dict[str | int, Item]


class YamlList(list[Any]):
    """A list of the file; `items_at` says where its values stand."""

    items_at: dict[str | int, Item]


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document, and how to speak of places in it."""

    source: str
    root: Any
    start: Place

    def value(self, where: Sequence[str | int]) -> Any:
        """Return the value that `where`, which must exist, leads to."""
        value = self.root
        for part in where:
            value = value[part]
        return value

    def item(self, where: Sequence[str | int]) -> Item | None:
        """Find what the file says about the value that `where` leads to."""
        value, item = self.root, None
        for part in where:
            item = value.items_at.get(part) if isinstance(value, YamlMap | YamlList) else None
            if item is None:
                return None
            value = value[part]
        return item

    def place(self, fault: Fault) -> Place:
        """Find the place of a fault; of a missing value it is that of the mapping that lacks it."""
        where = fault.where
        while where and self.item(where) is None:
            where = where[:-1]
        item = self.item(where)
        if item is None:
            return self.start
        return item.key if fault.at_key and where == fault.where else item.value

    def line(self, fault: Fault) -> str:
        """Say a fault with its place."""
        place = self.place(fault)
        return f"{self.source}:{place.line}:{place.column}: {fault}"

    def error(self, faults: Sequence[Fault]) -> TaskFileError:
        """Make one error of all the faults, in the order of the file."""
        return fault_error([self.line(fault) for fault in sorted(faults, key=self.place)])


def fault_error(lines: Sequence[str], *, hint: str | None = None) -> TaskFileError:
    """Make one error of many lines; a generated file can have very many faults."""
    shown = list(lines[:_MOST_FAULTS])
    if len(lines) > len(shown):
        shown.append(f"… and {len(lines) - len(shown)} more")
    return TaskFileError(shown, hint=hint)


def read_document(text: str, source: str, *, first_line: int = 1) -> Document:
    """Read the one YAML document in `text`, whose first line is `first_line` of the file.

    Raises TaskFileError, for a file that is no YAML or that is too deep or too large.
    """
    reader = _Reader(text, source, first_line)
    if bad := _UNPRINTABLE.search(text):
        problem = f"not valid YAML: control character U+{ord(bad.group()):04X}"
        raise reader.error_at(_place_of(text, bad.start(), first_line), problem)
    try:
        document = reader.document()
    except TaskFileError:
        raise
    except yaml.MarkedYAMLError as err:
        raise reader.syntax_error(err) from err
    except (yaml.YAMLError, ValueError, OverflowError) as err:  # such as an escape of no character
        raise reader.error_at(Place(first_line, 1), f"not valid YAML: {err}") from err
    if reader.faults:
        raise fault_error(reader.faults)
    return document


class _Reader:
    """Builds the data from the parser's events, so that nothing is built beyond the limits."""

    def __init__(self, text: str, source: str, first_line: int) -> None:
        loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
        self._events: Iterator[Any] = iter(yaml.parse(text, Loader=loader))
        self._source = source
        self._first_line = first_line
        self._anchors: dict[str, tuple[Any, Item, int]] = {}
        self._count = 0
        self.faults: list[str] = []

    def document(self) -> Document:
        start = Place(self._first_line, 1)
        root: Any = None
        first = next(islice(self._events, 1, None))
        if not isinstance(first, yaml.StreamEndEvent):
            event = next(self._events)
            start = self._place(event)
            root, _ = self._value(event, 0)
            next(self._events)  # the document's end
            if not isinstance(after := next(self._events), yaml.StreamEndEvent):
                raise self.error_at(self._place(after), "expected one YAML document, not several")
        return Document(self._source, root, start)

    def _value(self, event: Any, depth: int) -> tuple[Any, Item]:
        place = self._place(event)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, place)
        if depth > _DEEPEST:
            raise self.error_at(place, f"nested deeper than {_DEEPEST} levels")
        before = self._count
        self._add(1, place)
        if event.tag not in (None, "!"):
            self._fault(place, f"tags such as {event.tag} are not understood; write the plain value")
        written = None
        if isinstance(event, yaml.MappingStartEvent):
            value: Any = self._mapping(depth)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._list(depth)
        else:
            plain = event.implicit[0]
            if fault := text_fault(event.value):  # by an escape
                self._fault(place, fault)
            value = _scalar(event.value) if plain else event.value
            written = event.value if plain else None
        item = Item(place, place, written)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, item, self._count - before)
        return value, item

    def _alias(self, event: Any, place: Place) -> tuple[Any, Item]:
        if event.anchor not in self._anchors:
            raise self.error_at(place, f"*{event.anchor} names no value before it")
        value, item, size = self._anchors[event.anchor]
        self._add(size, place)
        return value, Item(place, place, item.written)

    def _list(self, depth: int) -> YamlList:
        values = YamlList()
        values.items_at = {}
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            value, item = self._value(event, depth + 1)
            values.items_at[len(values)] = item
            values.append(value)
        return values

    def _mapping(self, depth: int) -> YamlMap:
        values = YamlMap()
        values.items_at = {}
        merged: list[YamlMap] = []
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            place = self._place(event)
            _, key = self._value(event, depth + 1)
            value, item = self._value(next(self._events), depth + 1)
            if not isinstance(event, yaml.ScalarEvent):
                self._fault(place, "expected plain text as the key")
            elif event.value == "<<" and key.written:
                merged += self._merged(value, item.value)
            elif event.value in values:
                first = values.items_at[event.value].key.line
                self._fault(place, f"{event.value}: this key is already given in line {first}")
            else:
                values[event.value] = value
                values.items_at[event.value] = Item(place, item.value, item.written)
        for other in merged:
            _merge(values, other)
        return values

    def _merged(self, value: Any, place: Place) -> list[YamlMap]:
        others = value if isinstance(value, YamlList) else [value]
        if all(isinstance(other, YamlMap) for other in others):
            return list(others)
        self._fault(place, "<<: expected a mapping, or a list of mappings")
        return []

    def _add(self, count: int, place: Place) -> None:
        self._count += count
        if self._count > _MOST_VALUES:
            raise self.error_at(place, f"more than {_MOST_VALUES} values, each alias counted in full")

    def _place(self, event: Any) -> Place:
        mark = event.start_mark
        return Place(mark.line + self._first_line, mark.column + 1)

    def _fault(self, place: Place, message: str) -> None:
        self.faults.append(f"{self._source}:{place.line}:{place.column}: {message}")

    def error_at(self, place: Place, message: str, *, hint: str | None = None) -> TaskFileError:
        self._fault(place, message)
        return fault_error(self.faults, hint=hint)

    def syntax_error(self, err: yaml.MarkedYAMLError) -> TaskFileError:
        mark = err.problem_mark or err.context_mark
        place = Place(mark.line + self._first_line, mark.column + 1) if mark else Place(self._first_line, 1)
        problem = " ".join(part for part in (err.context, err.problem) if part)
        odd_start = "tab character" in problem or "cannot start any token" in problem
        hint = "indent with spaces, not tabs; quote text that starts with @ or `" if odd_start else None
        return self.error_at(place, f"not valid YAML: {problem}", hint=hint)


def _merge(values: YamlMap, other: YamlMap) -> None:
    for key in other:
        if key not in values:
            values[key] = other[key]
            values.items_at[key] = other.items_at[key]


def _scalar(text: str) -> Any:
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INT.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _place_of(text: str, position: int, first_line: int) -> Place:
    before = text[:position]
    return Place(before.count("\n") + first_line, position - before.rfind("\n"))
