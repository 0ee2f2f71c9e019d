"""The signs of life of one attempt."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """How many seconds ago each sign was last seen; None: not since the agent's start, or nobody can tell."""

    age: float  #: seconds since the agent was started
    output: float | None = None  #: a byte from any of its processes
    events: float | None = None  #: something said or done by its protocol, or an entry of its transcript
    cpu: float | None = None  #: time of the processor used by its tree
    files: float | None = None  #: the newest change of a file in its workspace
    processes: int | None = None  #: of its tree, living; None: not known
    memory: int | None = None  #: bytes of its tree, shared ones by their share
    asks: bool = False  #: it waits for a person's answer
