"""Reads a program's options by its own table: an option that is not in the table ends the analysis.

A table is text: `-a` and `--all` are flags, `-n=t` takes a value (attached or as the next word), and
`--color=?` takes one only behind `=`. Kinds of values and operands: `t` any text, `s` a plain word,
`n` a number, `r` `w` `d` a path that is read, written, deleted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from orchestrator.model.request import Level, Tool
from orchestrator.policy.finding import Refused, Touch
from orchestrator.policy.shell_lex import Word

_TOUCHES = {"r": Tool.READ, "w": Tool.WRITE, "d": Tool.DELETE}
_NUMBER = re.compile(r"[-+]?[0-9]+[kKmMgGbB]?")
PLAIN_WORD = re.compile(r"[A-Za-z0-9_.:@%+,=][A-Za-z0-9_.:/@%+,=*?~^-]*")
_COUNT = re.compile(r"-[0-9]+")


class Parsed(NamedTuple):
    """A command's options and operands, each with its meaning."""

    options: Sequence[tuple[str, str]]
    operands: Sequence[str]
    touches: Sequence[Touch]

    def has(self, *names: str) -> bool:
        """Whether any of the options was given."""
        return any(name in names for name, _ in self.options)


class Grade(NamedTuple):
    """What an allowed command does."""

    level: Level
    touches: Sequence[Touch] = ()
    runs: bool = False  #: executes the project's own code
    unsettles: bool = False  #: links may be elsewhere afterwards, so that later paths cannot be judged


#: Looks at what a table cannot say; raises Refused.
Check = Callable[[Parsed], None]


@dataclass(frozen=True, slots=True)
class Table:
    """What is allowed of one program."""

    name: str
    options: Mapping[str, str | None]  #: name to kind of value; None is a flag; `?` an attached one
    operands: tuple[str, ...]  #: kinds; the last one repeats when `repeats`
    repeats: bool
    level: Level
    runs: bool
    unsettles: bool
    counts: bool  #: `-20` is a number of lines
    single_dash: bool  #: long options with one dash, no clusters
    check: Check | None


def table(
    name: str,
    options: str = "",
    operands: str = "",
    *,
    level: Level = Level.SAFE,
    runs: bool = False,
    unsettles: bool = False,
    counts: bool = False,
    single_dash: bool = False,
    check: Check | None = None,
) -> Table:
    """Make a table from its text."""
    kinds: dict[str, str | None] = {}
    for option in options.split():
        key, equals, kind = option.partition("=")
        if key.startswith("--") or single_dash or len(key) == 2:
            kinds[key] = kind if equals else None
        else:
            kinds |= dict.fromkeys(f"-{letter}" for letter in key[1:])
    repeats = operands.endswith("*")
    return Table(
        name,
        kinds,
        tuple(operands.rstrip("*").split()),
        repeats,
        Level.CAUTION if runs and level is Level.SAFE else level,
        runs,
        unsettles,
        counts,
        single_dash,
        check,
    )


def judge_by_table(spec: Table, words: Sequence[Word]) -> Grade:
    """Judge the words after the program's name. Raises Refused."""
    parsed = read_options(spec, words)
    if spec.check:
        spec.check(parsed)
    return Grade(spec.level, parsed.touches, spec.runs, spec.unsettles)


def read_options(spec: Table, words: Sequence[Word]) -> Parsed:
    """Tell options from operands as GNU getopt does, also after operands. Raises Refused."""
    options: list[tuple[str, str]] = []
    operands: list[Word] = []
    touches: list[Touch] = []
    rest = iter(words)
    for word in rest:
        text = word.text
        if text == "--":
            operands += rest
        elif len(text) < 2 or text[0] != "-":
            operands.append(word)
        elif not (spec.counts and _COUNT.fullmatch(text)):
            for name, kind, value in _option(spec, word):
                if kind not in (None, "?") and value is None:
                    value = _next(rest, name, spec)  # noqa: PLW2901 (the value is the next word)
                options.append((name, value or ""))
                _take(spec, kind, value, name, touches)
    for index, operand in enumerate(operands):
        _take_operand(spec, index, operand, touches)
    return Parsed(options, [word.text for word in operands], touches)


def _next(rest: object, name: str, spec: Table) -> str:
    word = next(rest, None)  # type: ignore[call-overload] # an iterator of words
    if word is None or word.glob:
        raise Refused(f"`{spec.name} {name}` lacks its value")
    return str(word.text)


def _option(spec: Table, word: Word) -> list[tuple[str, str | None, str | None]]:
    """Return name, kind and attached value of each option in one word."""
    text = word.text
    if word.glob:
        raise Refused(f"a pattern in the option `{text}`")
    if text.startswith("--") or spec.single_dash:
        name, equals, value = text.partition("=")
        if name not in spec.options or (equals and spec.options[name] is None):
            raise _unknown(spec, name)
        return [(name, spec.options[name], value if equals else None)]
    found: list[tuple[str, str | None, str | None]] = []
    for index, letter in enumerate(text[1:], 2):
        name = f"-{letter}"
        if name not in spec.options:
            raise _unknown(spec, name if len(text) == 2 else f"{name}` in `{text}")
        kind = spec.options[name]
        if kind is not None:
            return [*found, (name, kind, text[index:] or None)]
        found.append((name, None, None))
    return found


def _unknown(spec: Table, name: str) -> Refused:
    return Refused(f"`{spec.name} {name}` is not among the options that are known to be harmless")


def _take_operand(spec: Table, index: int, word: Word, touches: list[Touch]) -> None:
    if index < len(spec.operands) - spec.repeats:
        if word.glob:
            raise Refused(f"a pattern as an argument of `{spec.name}` whose place counts")
        kind = spec.operands[index]
    elif spec.repeats:
        kind = spec.operands[-1]
    else:
        raise Refused(f"`{spec.name}` with the argument `{word.text}`")
    _take(spec, kind, word.text, "argument", touches)


def _take(spec: Table, kind: str | None, value: str | None, name: str, touches: list[Touch]) -> None:
    """Check one value against its kind."""
    if kind in (None, "t", "?") or value is None:
        return
    if kind in _TOUCHES:
        if value != "-":
            touches.append(Touch(_TOUCHES[kind], value))
    elif ".." in value or not (_NUMBER if kind == "n" else PLAIN_WORD).fullmatch(value):
        raise Refused(f"`{spec.name}` with `{value}` as {name}")
