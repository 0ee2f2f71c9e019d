"""What one turn of Codex used, from figures that grow over the whole thread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.model.result import Usage


class UsageCount:
    """Counts from the first figures of this process on; a thread that goes on comes with its past."""

    def __init__(self) -> None:
        self._before: tuple[int, int] | None = None
        self._total = (0, 0)

    def add(self, params: Mapping[str, Any], *, ours: bool = True) -> None:
        """Take new figures in; those of another turn than `ours` are the thread's past."""
        figures = params.get("tokenUsage")
        if not isinstance(figures, dict):
            return
        total, last = _tokens(figures.get("total")), _tokens(figures.get("last"))
        if not ours:
            self._before = total
        elif self._before is None:
            self._before = (total[0] - last[0], total[1] - last[1])
        # A context that overflowed is told as a thread that used nothing.
        self._total = max(self._total, total)

    def usage(self) -> Usage:
        """What was used since; nothing where Codex told nothing. It tells no cost and no requests."""
        if self._before is None:
            return Usage()
        return Usage(
            input_tokens=max(0, self._total[0] - self._before[0]),
            output_tokens=max(0, self._total[1] - self._before[1]),
        )


def _tokens(figures: Any) -> tuple[int, int]:
    found = figures if isinstance(figures, dict) else {}
    first, second = found.get("inputTokens"), found.get("outputTokens")
    return (first if isinstance(first, int) else 0, second if isinstance(second, int) else 0)
