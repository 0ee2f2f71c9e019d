"""JSON as text that can be changed in places: what nobody changed stays as it was written.

Also JSON with comments and trailing commas, as `tsconfig.json` has it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from orchestrator.landing.three_way import Atom, Items, Members, Plan, Side, Value

_SPACE = re.compile(r"[ \t\r\n]*")
_SPACE_AND_COMMENTS = re.compile(r"(?:[ \t\r\n]+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"')
_PLAIN = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null")
_STRING_OR_COMMENT = re.compile(rf"{_STRING.pattern}|(//[^\n]*|/\*.*?\*/)", re.DOTALL)
_INDENT = re.compile(r"[ \t]*")
_DEEPEST = 100


@dataclass(frozen=True, slots=True)
class Leaf:
    """A text, a number, or one of the three words."""

    raw: str


@dataclass(frozen=True, slots=True)
class Member:
    """What stands between two commas."""

    gap: str  #: before it: spaces, line ends, comments
    name: str  #: empty in a list
    label: str  #: the name as written, up to its value
    value: Node
    tail: str  #: between the value and the comma or bracket


@dataclass(frozen=True, slots=True)
class Box:
    """An object or a list."""

    brackets: str
    members: tuple[Member, ...]
    closing: str  #: before the closing bracket, with a trailing comma if there is one


Node = Leaf | Box


@dataclass(frozen=True, slots=True)
class _Style:
    newline: str
    unit: str  #: of indentation
    is_shared: bool = True  #: theirs is laid out alike, and what is taken from it stays as written


def parse_json(text: str, *, comments: bool = False) -> Node:
    """Read all of `text`; its space outside the document is not kept. Raises ValueError."""
    space = _SPACE_AND_COMMENTS if comments else _SPACE
    at = _skip(space, text, 0)
    node, at = _read(text, at, space, 0)
    if _skip(space, text, at) != len(text):
        raise ValueError(f"more after the document, at character {at}")
    return node


def render(node: Node) -> str:
    """Write it; what was read and not changed comes out as it was."""
    return "".join(_parts(node))


def value_of(node: Node) -> Value:
    """Return what the text means. Raises ValueError when an object names a key twice."""
    if isinstance(node, Leaf):
        return Atom("text", json.loads(node.raw)) if node.raw[0] == '"' else Atom("plain", node.raw)
    if node.brackets == "[]":
        return tuple(value_of(member.value) for member in node.members)
    found = {member.name: value_of(member.value) for member in node.members}
    if len(found) != len(node.members):
        raise ValueError("a key is there twice")
    return found


def comments_of(text: str) -> list[str]:
    """Return every comment, in order."""
    return [found[1].strip() for found in _STRING_OR_COMMENT.finditer(text) if found[1]]


def merged_text(ours_text: str, ours: Node, theirs: Node, plan: Plan) -> str:
    """Carry `plan` out on our text."""
    start = ours_text.index(render(ours))
    before, after = ours_text[:start], ours_text[start + len(render(ours)) :]
    style = _style(ours_text, ours)
    style = replace(style, is_shared=style == _style(render(theirs), theirs))
    return before + render(_build(ours, theirs, plan, "", style)) + after


def _skip(space: re.Pattern[str], text: str, at: int) -> int:
    found = space.match(text, at)
    assert found
    return found.end()


def _read(text: str, at: int, space: re.Pattern[str], depth: int) -> tuple[Node, int]:
    if depth > _DEEPEST:
        raise ValueError(f"nested deeper than {_DEEPEST}")
    if text[at : at + 1] in ("{", "["):
        return _read_box(text, at, space, depth)
    if found := _STRING.match(text, at) or _PLAIN.match(text, at):
        return Leaf(found[0]), found.end()
    raise ValueError(f"no value at character {at}")


def _read_box(text: str, at: int, space: re.Pattern[str], depth: int) -> tuple[Box, int]:
    brackets = "{}" if text[at] == "{" else "[]"
    at += 1
    members: list[Member] = []
    while True:
        begin, at = at, _skip(space, text, at)
        gap = text[begin:at]
        if text[at : at + 1] == brackets[1]:
            if members and space is _SPACE:
                raise ValueError(f"a comma too many before character {at}")
            return Box(brackets, tuple(members), f",{gap}" if members else gap), at + 1
        member, at = _read_member(text, at, space, depth, named=brackets == "{}")
        members.append(replace(member, gap=gap))
        if text[at : at + 1] == brackets[1]:
            closing = members[-1].tail
            members[-1] = replace(members[-1], tail="")
            return Box(brackets, tuple(members), closing), at + 1
        if text[at : at + 1] != ",":
            raise ValueError(f"no comma or bracket at character {at}")
        at += 1


def _read_member(
    text: str, at: int, space: re.Pattern[str], depth: int, *, named: bool
) -> tuple[Member, int]:
    name, label = "", ""
    if named:
        key = _STRING.match(text, at)
        colon = _skip(space, text, key.end()) if key else at
        if not key or text[colon : colon + 1] != ":":
            raise ValueError(f"no key at character {at}")
        begin, at = at, _skip(space, text, colon + 1)
        name, label = json.loads(key[0]), text[begin:at]
    value, end = _read(text, at, space, depth + 1)
    at = _skip(space, text, end)
    return Member("", name, label, value, text[end:at]), at


def _parts(node: Node) -> Iterator[str]:
    if isinstance(node, Leaf):
        yield node.raw
        return
    yield node.brackets[0]
    for number, member in enumerate(node.members):
        yield "," if number else ""
        yield member.gap + member.label
        yield from _parts(member.value)
        yield member.tail
    yield node.closing + node.brackets[1]


def _style(text: str, node: Node) -> _Style:
    newline = "\r\n" if "\r\n" in text else "\n"
    gap = node.members[0].gap if isinstance(node, Box) and node.members else ""
    unit = _indent_after(gap) if "\n" in gap else "  "
    return _Style(newline, unit)


def _indent_after(gap: str) -> str:
    """The spaces that the last line of `gap` starts with."""
    found = _INDENT.match(gap.rpartition("\n")[2])
    return found[0] if found else ""


def _restyled(node: Node, indent: str, style: _Style) -> Node:
    """Write what has lines with our indentation."""
    if isinstance(node, Leaf):
        return node
    within = indent + style.unit
    spread = _is_spread(node)
    members = tuple(
        replace(
            member,
            gap=style.newline + within if spread else member.gap,
            value=_restyled(member.value, within if spread else indent, style),
            tail="" if spread else member.tail,
        )
        for member in node.members
    )
    return Box(node.brackets, members, style.newline + indent if spread else node.closing)


def _is_spread(box: Box) -> bool:
    return any("\n" in member.gap for member in box.members)


def _build(ours: Node, theirs: Node, plan: Plan, indent: str, style: _Style) -> Node:
    """Make the node that `plan` asks for out of both; `indent` is that of the line it starts on."""
    if plan is Side.OURS:
        return ours
    if plan is Side.THEIRS:
        return theirs if style.is_shared else _restyled(theirs, indent, style)
    assert isinstance(ours, Box) and isinstance(theirs, Box)
    if isinstance(plan, Items):
        here, there = _by_value(ours), _by_value(theirs)
        chosen = [
            here[value] if side is Side.OURS else replace(there[value], gap="\0")
            for value, side in plan.items
        ]
    else:
        chosen = list(_chosen_members(ours, theirs, plan, indent, style))
    return _filled(ours, theirs, chosen, indent, style)


def _by_value(box: Box) -> dict[Value, Member]:
    return {value_of(member.value): member for member in box.members}


def _chosen_members(ours: Box, theirs: Box, plan: Members, indent: str, style: _Style) -> Iterator[Member]:
    """Yield what is to stand there; a gap of NUL waits to be chosen."""
    here = {member.name: member for member in ours.members}
    there = {member.name: member for member in theirs.members}
    added_indent = _indent_within(ours, theirs, indent, style)
    for name, part in plan.members:
        mine, other = here.get(name), there.get(name)
        if mine is None:
            assert other is not None
            value = _build(other.value, other.value, Side.THEIRS, added_indent, style)
            yield replace(other, value=value, gap="\0", tail="")
        elif other is None or part is Side.OURS:
            yield mine
        else:
            within = _indent_after(mine.gap) if "\n" in mine.gap else indent
            yield replace(mine, value=_build(mine.value, other.value, part, within, style))


def _indent_within(ours: Box, theirs: Box, indent: str, style: _Style) -> str:
    """The indentation of the lines that members are added on."""
    if ours.members:
        return next((_indent_after(each.gap) for each in ours.members if "\n" in each.gap), indent)
    return indent + style.unit if _is_spread(theirs) else indent


def _filled(ours: Box, theirs: Box, chosen: Sequence[Member], indent: str, style: _Style) -> Box:
    """Our box with other members in it, laid out as it was. Raises ValueError where a comment would move."""
    _check_remarks(ours, chosen)
    if not chosen:
        return Box(ours.brackets, (), "")
    old = ours.members
    spread = _is_spread(ours if old else theirs)
    closing = ours.closing
    if spread:
        first = rest = style.newline + _indent_within(ours, theirs, indent, style)
        closing = closing if old else style.newline + indent
    else:
        first = old[0].gap if old else ""
        rest = old[1].gap if len(old) > 1 else " "
        chosen = [replace(member, gap="\0") for member in chosen]
    gaps = (first if number == 0 else rest for number in range(len(chosen)))
    members = tuple(
        replace(member, gap=gap) if member.gap == "\0" else member
        for member, gap in zip(chosen, gaps, strict=True)
    )
    return Box(ours.brackets, members, closing)


def _check_remarks(ours: Box, chosen: Sequence[Member]) -> None:
    """A comment behind a member, on its line, must still follow that member."""
    followers = dict(pairwise([*map(_identity, chosen), ""]))
    gaps = [*(member.gap for member in ours.members[1:]), ours.closing]
    follows = pairwise([*map(_identity, ours.members), ""])
    for (member, follower), gap in zip(follows, gaps, strict=bool(ours.members)):
        if gap.lstrip(",").partition("\n")[0].strip() and followers.get(member) != follower:
            raise ValueError("a comment would follow another member")


def _identity(member: Member) -> str:
    return member.label or render(member.value)
