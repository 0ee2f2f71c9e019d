"""What a run may cost and use: reserved before a start, settled after it by what the agent told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

#: Sums of many small parts differ from the whole by less than this.
_TINY = 1e-9


@dataclass(frozen=True, slots=True)
class Amount:
    """Money, in US dollars, and tokens."""

    cost: float = 0.0
    tokens: float = 0.0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.cost + other.cost, self.tokens + other.tokens)

    def __sub__(self, other: Amount) -> Amount:
        return Amount(self.cost - other.cost, self.tokens - other.tokens)


@dataclass(frozen=True, slots=True)
class Told:
    """What somebody said about costs; None: nothing was said."""

    cost: float | None = None
    tokens: float | None = None

    def over(self, usual: Amount) -> Amount:
        """Fill in what was not said."""
        return Amount(
            usual.cost if self.cost is None else self.cost,
            usual.tokens if self.tokens is None else self.tokens,
        )


@dataclass(frozen=True, slots=True)
class Budget:
    """The limits of a run, or of one task over all its attempts; None: no limit."""

    cost: float | None = None
    tokens: float | None = None
    usual: Amount = field(default_factory=Amount)  #: counts where nothing was told, or measured yet
    at_once: bool = False  #: stop running workers too once it is spent

    @property
    def limited(self) -> bool:
        """Whether there is a limit at all."""
        return self.cost is not None or self.tokens is not None

    def holds(self, used: Amount) -> bool:
        """Whether this much is within the limits."""
        return (self.cost is None or used.cost <= self.cost + _TINY) and (
            self.tokens is None or used.tokens <= self.tokens + _TINY
        )

    def spent_by(self, used: Amount) -> bool:
        """Whether this much leaves nothing."""
        return (self.cost is not None and used.cost >= self.cost - _TINY) or (
            self.tokens is not None and used.tokens >= self.tokens - _TINY
        )

    def describe(self, used: Amount) -> str:
        """Say how much of it is gone."""
        parts = []
        if self.cost is not None:
            digits = 2 if self.cost >= 1 else 4
            parts.append(f"{used.cost:.{digits}f} of {self.cost:.{digits}f} USD")
        if self.tokens is not None:
            parts.append(f"{used.tokens:.0f} of {self.tokens:.0f} tokens")
        return " and ".join(parts)


@dataclass(frozen=True, slots=True)
class Ledger:
    """What was spent and what is reserved."""

    spent: Amount = field(default_factory=Amount)
    held: Mapping[str, Amount] = field(default_factory=dict)  #: reserved, by running worker
    by_task: Mapping[str, Amount] = field(default_factory=dict)  #: spent, by worker
    told_cost: tuple[int, float] = (0, 0.0)  #: how many attempts said what they cost, and the sum
    told_tokens: tuple[int, float] = (0, 0.0)

    @property
    def reserved(self) -> Amount:
        """All that running workers hold."""
        return sum(self.held.values(), Amount())

    def usual(self, configured: Amount) -> Amount:
        """What an attempt is expected to use: the mean of those that told it, else what is configured."""
        (costs, cost), (counts, tokens) = self.told_cost, self.told_tokens
        return Amount(
            cost / costs if costs else configured.cost, tokens / counts if counts else configured.tokens
        )

    def spent_on(self, worker_id: str) -> Amount:
        """What the worker's attempts used so far."""
        return self.by_task.get(worker_id, Amount())


def reserve(ledger: Ledger, worker_id: str, amount: Amount) -> Ledger:
    """Set aside what the worker's attempt is expected to use."""
    return replace(ledger, held={**ledger.held, worker_id: amount})


def settle(ledger: Ledger, worker_id: str, told: Told, unknown: Amount) -> Ledger:
    """Replace the reservation by what was told, and by `unknown` where nothing was."""
    used = told.over(unknown)
    held = {other: amount for other, amount in ledger.held.items() if other != worker_id}
    (costs, cost), (counts, tokens) = ledger.told_cost, ledger.told_tokens
    return Ledger(
        spent=ledger.spent + used,
        held=held,
        by_task={**ledger.by_task, worker_id: ledger.spent_on(worker_id) + used},
        told_cost=(costs, cost) if told.cost is None else (costs + 1, cost + told.cost),
        told_tokens=(counts, tokens) if told.tokens is None else (counts + 1, tokens + told.tokens),
    )
