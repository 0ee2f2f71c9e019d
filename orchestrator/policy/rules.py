"""The file of a person's rules: its keys, and all its faults at once with line and column.

version: 1
extends: unattended        # the built-in rules hold too; without this line only the rules below do
deny:
  - id: no-migrations
    tools: [write, delete]
    paths: ["db/migrations/**"]
    reason: migrations are written by hand
ask:
  - {id: pushes, tools: [shell], commands: [{program: git, subcommands: [push]}]}
allow:
  - {id: docs-hosts, tools: [network], hosts: ["docs.python.org", "*.readthedocs.io"]}
default: deny
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from orchestrator.config import Fault, FilledText
from orchestrator.errors import InputError, TaskFileError
from orchestrator.model.request import Tool
from orchestrator.taskfile.document import Document, YamlMap, read_document
from orchestrator.taskfile.load import read_model

_LARGEST = 1024 * 1024
_HOST = re.compile(r"(?:\*\.)?(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_OPTION = re.compile(r"--?[A-Za-z0-9][A-Za-z0-9_.-]*")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_FILE_TOOLS = frozenset((Tool.READ, Tool.WRITE, Tool.DELETE))
GROUPS = ("deny", "ask", "allow")


def _tool(value: object) -> object:
    names = [tool.value for tool in Tool]
    if value not in names:
        raise ValueError(f"expected one of {', '.join(names)}")
    return Tool(str(value))


def _matching(rule: re.Pattern[str], expected: str) -> AfterValidator:
    def check(value: str) -> str:
        if not rule.fullmatch(value):
            raise ValueError(f"expected {expected} (got {value!r})")
        return value

    return AfterValidator(check)


def _path_pattern(value: str) -> str:
    if value.startswith("~") or ".." in value.split("/") or "[" in value or "{" in value:
        raise ValueError("expected a path with `*`, `**` and `?` only, relative to the workspace or absolute")
    return value.removeprefix("./")


_Option = Annotated[str, _matching(_OPTION, "an option such as -f or --force, without a value")]
_List = Field(default=(), strict=False)


class CommandPattern(BaseModel):
    """A command that a rule speaks of: its program, first words, and options."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    program: Annotated[str, _matching(re.compile(r"[A-Za-z0-9_.+/-]+|\[|\*"), "the name of a program, or *")]
    subcommands: tuple[FilledText, ...] = _List
    required: tuple[_Option, ...] = _List
    forbidden: tuple[_Option, ...] = _List


class Rule(BaseModel):
    """What one rule is about."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: Annotated[str, _matching(_ID, "letters, digits, `.`, `_` and `-`, 64 at most")]
    tools: Annotated[tuple[Annotated[Tool, BeforeValidator(_tool)], ...], Field(strict=False, min_length=1)]
    paths: tuple[Annotated[FilledText, AfterValidator(_path_pattern)], ...] = _List
    commands: tuple[CommandPattern, ...] = _List
    hosts: tuple[Annotated[str, _matching(_HOST, "a host such as example.org or *.example.org")], ...] = _List
    reason: FilledText | None = None


class RuleFile(BaseModel):
    """The whole file."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    version: Annotated[int, Field(ge=1, le=1)]
    extends: Literal["unattended"] | None = None
    deny: tuple[Rule, ...] = _List
    ask: tuple[Rule, ...] = _List
    allow: tuple[Rule, ...] = _List
    default: Literal["deny", "ask"] = "deny"


def read_rules(path: Path) -> RuleFile:
    """Read a rule file. Raises InputError, naming every fault with its line and column."""
    document = read_document(_text(path), str(path))
    if not isinstance(document.root, YamlMap):
        raise document.error([Fault((), "expected a mapping with `version: 1` and rules")])
    rules, faults = read_model(RuleFile, document, document.root, ())
    faults += list(_repeated(document)) + list(_mismatched(document))
    if faults or rules is None:
        raise document.error(faults)
    return rules


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except (OSError, ValueError) as err:
        reason = getattr(err, "strerror", None) or str(err)
        raise InputError(f"policy: {path} cannot be read: {reason}", hint="give a rule file in YAML") from err
    if len(data) > _LARGEST:
        raise InputError(f"policy: {path} is larger than {_LARGEST} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        line = data[: err.start].count(b"\n") + 1
        raise TaskFileError([f"{path}:{line}:1: expected UTF-8 text"]) from err


def _written_rules(document: Document) -> Iterator[tuple[tuple[str | int, ...], dict[str, Any]]]:
    for group in GROUPS:
        rules = document.root.get(group)
        for index, rule in enumerate(rules if isinstance(rules, list) else []):
            if isinstance(rule, YamlMap):
                yield (group, index), rule


def _repeated(document: Document) -> Iterator[Fault]:
    written = list(_written_rules(document))
    counts = Counter(str(rule.get("id")) for _, rule in written)
    for where, rule in written:
        if "id" in rule and counts[str(rule["id"])] > 1:
            yield Fault((*where, "id"), f"two rules have the id {rule['id']!r}")


def _mismatched(document: Document) -> Iterator[Fault]:
    """A condition that can never hold is a mistake, and in a `deny` rule a dangerous one."""
    needs = (("paths", {tool.value for tool in _FILE_TOOLS}), ("commands", {"shell"}), ("hosts", {"network"}))
    for where, rule in _written_rules(document):
        listed = rule.get("tools")
        tools = {str(tool) for tool in listed} if isinstance(listed, list) else set()
        for key, wanted in needs:
            if rule.get(key) and tools.isdisjoint(wanted):
                yield Fault((*where, key), f"needs {' or '.join(sorted(wanted))} among `tools`", at_key=True)
