"""What is to be done: a task, and the rules its id must keep."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

#: A task is tried so many times at once, at most.
MOST_VARIANTS = 16
ID_PATTERN = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")


def id_fault(task_id: str) -> str | None:
    """Say why `task_id` cannot name a worker, its folder and its branch; None when it can."""
    if not ID_PATTERN.fullmatch(task_id):
        return "expected 1 to 64 of A-Z a-z 0-9 . _ -, starting with a letter or a digit"
    if ".." in task_id or task_id.endswith((".", ".lock")):
        return "git cannot name a branch so: no `..`, and no `.` or `.lock` at the end"
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One piece of work for one agent. Immutable; the same object may be given many times.

    Fields left at None take the run's own setting.
    """

    id: str
    name: str
    prompt: str
    needs: tuple[str, ...] = ()
    files: tuple[str, ...] = ()  #: declared outputs, relative to the repository's root
    may_touch: tuple[str, ...] = ()  #: shared files it may change as well
    agent: str | None = None
    model: str | None = None
    command: tuple[str, ...] = ()  #: argument vector, for agent `command`
    terminal: bool = False  #: run `command` on a pty instead of pipes
    timeout_s: float | None = None
    timeout_percent: float | None = None  #: of the median of finished tasks, instead of `timeout_s`
    idle_timeout_s: float | None = None
    max_cost_usd: float | None = None  #: what its agent may spend in one attempt
    budget_usd: float | None = None  #: what all its attempts may cost together
    budget_tokens: int | None = None
    expected_cost_usd: float | None = None  #: of one attempt; None: as the others
    expected_tokens: int | None = None
    fallback: tuple[str, ...] | None = None  #: agents to go on with when its own is at a limit
    retries: int | None = None
    fix_rounds: int | None = None  #: how often a failing gate is given back to its agent
    attempts: int | None = None  #: so many variants are made at once, of which one is chosen
    agents: tuple[str, ...] = ()  #: of its variants, in turn
    models: tuple[str, ...] = ()  #: the same
    judge: tuple[str, ...] = ()  #: the program that chooses among its variants
    variant_of: str | None = None  #: the task that it is one of several attempts at
    variants: tuple[str, ...] = ()  #: the workers that it chooses from, once all of them have ended
    estimate_s: float | None = None  #: expected length; longer paths start first
    verify: tuple[str, ...] | None = None
    env: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
