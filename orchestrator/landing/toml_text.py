"""TOML as text that can be changed in places, by tomlkit; what is read is checked by the standard library."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, MutableMapping
from typing import Any

from orchestrator.landing.three_way import Atom, Items, Members, Side, Value

_STRING_OR_COMMENT = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}|' r"'''.*?'{3,5}|" r'"(?:[^"\\\n]|\\.)*"|' r"'[^'\n]*'|(#[^\n]*)", re.DOTALL
)


class _Float(str):
    """A number as it was written."""

    __slots__ = ()


def toml_value(text: str) -> Value:
    """Return what the text means. Raises ValueError."""
    return _value(tomllib.loads(text, parse_float=_Float))


def toml_comments(text: str) -> list[str]:
    """Return every comment, in order."""
    return [found[1].strip() for found in _STRING_OR_COMMENT.finditer(text) if found[1]]


def merged_toml(ours: str, theirs: str, plan: Members) -> str:
    """Carry `plan` out on our text. Raises ValueError (also what tomlkit cannot do)."""
    import tomlkit  # noqa: PLC0415 (takes 50 ms, and most runs need none)

    try:
        document = tomlkit.parse(ours)
        _change_table(document, tomlkit.parse(theirs), plan)
        return tomlkit.dumps(document)
    except Exception as err:  # whatever it trips over, the file stays a conflict
        raise ValueError(f"tomlkit cannot change it so: {err}") from err


def _value(found: Any) -> Value:
    if isinstance(found, dict):
        return {key: _value(each) for key, each in found.items()}
    if isinstance(found, list):
        return tuple(_value(each) for each in found)
    if isinstance(found, _Float):
        return Atom("float", str(found))
    return Atom("text" if isinstance(found, str) else type(found).__name__, str(found))


def _change_table(ours: MutableMapping[str, Any], theirs: Mapping[str, Any], plan: Members) -> None:
    wanted = dict(plan.members)
    for key in [key for key in ours if key not in wanted]:
        del ours[key]
    for key, part in plan.members:
        if isinstance(part, Members):
            _change_table(ours[key], theirs[key], part)
        elif isinstance(part, Items):
            _change_list(ours[key], part)
        elif part is Side.THEIRS:
            ours[key] = theirs[key]


def _change_list(ours: Any, plan: Items) -> None:
    wanted = [value.text for value, _ in plan.items if isinstance(value, Atom)]
    for text in [str(item) for item in ours if str(item) not in wanted]:
        ours.remove(text)
    for place, text in enumerate(wanted):
        if text not in ours:
            ours.insert(place, text)
