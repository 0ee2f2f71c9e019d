"""What the policy found out about one part of a request, before any rule of the user counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from orchestrator.model.request import Level, Tool

#: From harmless to never.
LEVELS = (Level.SAFE, Level.CAUTION, Level.DANGEROUS, Level.PROHIBITED)


class Refused(Exception):  # noqa: N818 (a way out of deep analysis that becomes a decision, not a fault)
    """The built-in policy does not allow this; says why, and how bad it is."""

    def __init__(self, reason: str, *, rule: str = "not_allowed", level: Level = Level.DANGEROUS) -> None:
        self.reason, self.rule, self.level = reason, rule, level
        super().__init__(reason)


class Touch(NamedTuple):
    """A path that a command reads, writes or deletes, as it was written."""

    tool: Tool
    path: str


class Place(NamedTuple):
    """A path after links and `..` are followed: relative to the workspace, absolute outside of it."""

    tool: Tool
    path: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One simple command, one redirect or one path, judged by the built-in policy."""

    allowed: bool
    level: Level
    rule: str
    reason: str
    tool: Tool
    argv: tuple[str, ...] = ()  #: of a simple command, without its wrappers
    whole_argv: tuple[str, ...] = ()  #: the same as written
    places: tuple[Place, ...] = ()
    host: str | None = None
    understood: bool = True


def names(text: str) -> frozenset[str]:
    """Make a set of the words in `text`, so that long tables read well."""
    return frozenset(text.split())
