"""What there is of an agent's program on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """One agent's program as found. Nothing here cost a request to a model."""

    channel: str  #: how it is driven, in a word or two: `control protocol`, `app-server`, `acp`, `terminal`
    program: Path | None = None  #: as found, links followed; None: not installed
    version: str | None = None
    tested: tuple[str, ...] = ()  #: the versions that our own tests run with
    login: str | None = None  #: in words, as far as it can be told; None: cannot be told
    lacks: tuple[str, ...] = ()  #: what a person has to do before it can work; empty: ready
