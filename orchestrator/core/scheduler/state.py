"""Everything that the scheduler's next decision depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from orchestrator.core.scheduler.budget import Budget, Ledger, Told
from orchestrator.core.scheduler.halting import HaltRule
from orchestrator.model.result import Status


class Stage(Enum):
    """Where a worker stands."""

    BLOCKED = auto()  #: some need has not succeeded yet
    READY = auto()  #: may start as soon as a slot is free and nothing else speaks against it
    RUNNING = auto()  #: holds a slot
    DELAYED = auto()  #: waits before its next attempt, holds no slot
    ENDED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What holds for one task's attempts besides what the task itself says."""

    accounts: tuple[str, ...] = ("",)  #: whose limits hold: its own agent's, then those it may fall over to
    timeout_percent: float | None = None  #: of the median of finished tasks
    expected: Told = field(default_factory=Told)  #: what an attempt uses, as the task says
    max_cost: float | None = None  #: where its agent holds that by itself
    holds_cost: bool = False
    budget: Budget = field(default_factory=Budget)  #: for all its attempts


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """What the scheduler knows of one task; fixed for the run."""

    id: str
    index: int  #: place in spawn order
    needs: tuple[str, ...]
    after: tuple[str, ...] = ()  #: what only has to have ended, however
    dependents: tuple[str, ...]
    counted: bool = True  #: by the halt rule; a variant is no task of its own
    retries: int
    path_s: float  #: estimated seconds from its start to the end of all that hangs on it
    terms: Terms


@dataclass(frozen=True, slots=True)
class Quota:
    """An account that reached, or had reached, a limit."""

    until: float | None = None  #: None: open again; endless: not within the run's own time
    strikes: int = 0  #: limits in a row whose end nobody told


@dataclass(frozen=True, slots=True)
class Admission:
    """What the machine has room for; see `Measured`."""

    room: int | None = None
    kind: str = ""
    detail: str = ""
    floor: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a worker that could start does not."""

    kind: str  #: `memory`, `disk`, `pressure`, `quota`, `start_interval` or `budget`
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerState:
    """Everything the next decision depends on."""

    nodes: Mapping[str, Node]
    max_workers: int
    halt: HaltRule = field(default_factory=HaltRule)
    budget: Budget = field(default_factory=Budget)
    start_interval_s: float | None = None  #: between two starts of one account
    stages: Mapping[str, Stage]
    attempts: Mapping[str, int] = field(default_factory=dict)
    failures: Mapping[str, int] = field(default_factory=dict)  #: those that use up a retry
    choices: Mapping[str, int] = field(default_factory=dict)  #: the account of the newest attempt
    statuses: Mapping[str, Status] = field(default_factory=dict)  #: of those that ended
    earlier: frozenset[str] = (
        frozenset()
    )  #: ended before this process of the run; the halt rule counts others
    parked: frozenset[str] = frozenset()  #: whose newest attempt ended at a limit of its account
    waiting: Mapping[str, Waiting] = field(default_factory=dict)
    quotas: Mapping[str, Quota] = field(default_factory=dict)  #: by account
    gaps: frozenset[str] = frozenset()  #: accounts that have just started one
    admission: Admission = field(default_factory=Admission)
    ledger: Ledger = field(default_factory=Ledger)
    durations: tuple[float, ...] = ()  #: of attempts that succeeded, in seconds, sorted
    stopping: str | None = None  #: why nothing new starts
    stopping_now: bool = False

    @property
    def done(self) -> bool:
        """Whether every worker has ended."""
        return len(self.statuses) == len(self.nodes)

    def running(self) -> list[str]:
        """Workers that hold a slot, in spawn order."""
        return [worker_id for worker_id, stage in self.stages.items() if stage is Stage.RUNNING]

    def in_stage(self, *stages: Stage) -> list[str]:
        """Workers in one of these stages, in spawn order."""
        return [worker_id for worker_id, stage in self.stages.items() if stage in stages]
