"""What an agent asks to do, and what it was answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any


class Tool(StrEnum):
    """The kind of thing an agent asks to do, whatever its own name for it."""

    READ = "read"
    WRITE = "write"
    DELETE = "delete"
    SHELL = "shell"
    NETWORK = "network"
    MCP = "mcp"
    OTHER = "other"


class Verdict(StrEnum):
    """What the policy or a person answers."""

    ALLOW = "allow"
    DENY = "deny"
    ASK = "ask"


class Level(StrEnum):
    """How much harm a request could do."""

    SAFE = "SAFE"
    CAUTION = "CAUTION"
    DANGEROUS = "DANGEROUS"
    PROHIBITED = "PROHIBITED"


@dataclass(frozen=True, slots=True, kw_only=True)
class PermissionRequest:
    """One question of an agent. Paths are as the agent gave them, relative to the workspace."""

    id: str
    tool: Tool
    path: str | None = None
    command: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The answer to a permission request, the rule that gave it, and the reason told to the agent."""

    verdict: Verdict
    level: Level
    rule: str
    reason: str
    by: str | None = None  #: the person who answered; None when no person did
    question: int | None = None  #: its number in the run's queue, when it was put to people
