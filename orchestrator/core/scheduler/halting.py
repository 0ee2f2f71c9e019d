"""The halt rule: how many failures, successes or ends make the run stop."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.model.result import Status

_WORDS = {"fail": "did not succeed", "success": "succeeded", "done": "are done"}


@dataclass(frozen=True, slots=True, kw_only=True)
class HaltRule:
    """When ends of tasks end the run. `limit` None: never."""

    limit: int | None = None
    counts: str = "fail"  #: what is counted: `fail`, `success` or `done`
    at_once: bool = False  #: stop running workers too, not only new starts

    def met(self, statuses: Iterable[Status], total: int) -> str | None:
        """Say in words that the limit is reached; None while it is not."""
        if self.limit is None:
            return None
        reached = sum(_counted(status, self.counts) for status in statuses)
        if reached < self.limit:
            return None
        return f"{reached} of {total} tasks {_WORDS[self.counts]}, the limit is {self.limit}"


def _counted(status: Status, counts: str) -> bool:
    if status is Status.CANCELLED:
        return False
    return counts == "done" or (status is Status.SUCCEEDED) == (counts == "success")


def halt_rule(text: str, total: int) -> HaltRule:
    """Read `never`, `soon,fail=2`, `now,success=20%`; a percentage is of all tasks, rounded up."""
    if text == "never":
        return HaltRule()
    when, _, rule = text.partition(",")
    counts, _, limit = rule.partition("=")
    number = math.ceil(total * int(limit[:-1]) / 100) if limit.endswith("%") else int(limit)
    return HaltRule(limit=max(1, number), counts=counts, at_once=when == "now")
