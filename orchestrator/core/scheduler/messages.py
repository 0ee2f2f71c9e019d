"""What the scheduler is told, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.model.result import Status


@dataclass(frozen=True, slots=True)
class Begin:
    """The run begins."""


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """An attempt ended and its slot is free. Instants are of any clock that never goes back."""

    worker_id: str
    status: Status
    kind: str | None = None  #: of the failure
    wait_s: float = 0.0  #: no next attempt can succeed before that, as the agent was told; 0: not told
    at: float = 0.0  #: now
    left_s: float | None = None  #: of the run's own time limit
    duration_s: float | None = None
    cost: float | None = None  #: in US dollars; None: the agent did not say
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class AccountLimited:
    """An agent told, while it works, that its account is at a limit; `wait_s` 0: it did not say how long."""

    worker_id: str
    wait_s: float = 0.0
    at: float = 0.0
    left_s: float | None = None


@dataclass(frozen=True, slots=True)
class AccountOpen:
    """The wait for an account is over; `until` is that of the WaitAccount it answers."""

    account: str
    until: float


@dataclass(frozen=True, slots=True)
class GapOver:
    """The pause after a start of this account is over."""

    account: str


@dataclass(frozen=True, slots=True)
class RetryDue:
    """The wait before a worker's next attempt is over."""

    worker_id: str


@dataclass(frozen=True, slots=True)
class LimitPassed:
    """An attempt ran past the limit that LimitAttempt gave it."""

    worker_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Measured:
    """What the machine has room for, until the next measurement."""

    room: int | None = None  #: so many more attempts; None: no bound
    kind: str = ""  #: of what is short: `memory`, `disk` or `pressure`
    detail: str = ""
    floor: bool = False  #: not even a single one may start


@dataclass(frozen=True, slots=True)
class StopRequested:
    """Nothing new may start; running workers are stopped, `now`: without grace."""

    reason: str
    now: bool = False


Event = (
    Begin
    | AttemptEnded
    | AccountLimited
    | AccountOpen
    | GapOver
    | RetryDue
    | LimitPassed
    | Measured
    | StopRequested
)


@dataclass(frozen=True, slots=True)
class StartAttempt:
    """Start this attempt; its slot is taken from now on."""

    worker_id: str
    attempt: int
    choice: int = 0  #: which of the node's accounts: 0 is the task's own agent, others are fall-overs
    max_cost: float | None = None  #: what it may cost, for an agent that can hold that


@dataclass(frozen=True, slots=True)
class StopAttempt:
    """Stop the running attempt."""

    worker_id: str
    reason: str
    now: bool


@dataclass(frozen=True, slots=True)
class LimitAttempt:
    """Send LimitPassed once the attempt has run for this long; replaces what was said before."""

    worker_id: str
    attempt: int
    limit_s: float


@dataclass(frozen=True, slots=True)
class DelayRetry:
    """Send RetryDue after this many seconds."""

    worker_id: str
    attempt: int
    delay_s: float


@dataclass(frozen=True, slots=True)
class WaitAccount:
    """Send AccountOpen after this many seconds; replaces what was said before of this account."""

    account: str
    delay_s: float
    until: float


@dataclass(frozen=True, slots=True)
class WaitGap:
    """Send GapOver after this many seconds."""

    account: str
    delay_s: float


@dataclass(frozen=True, slots=True)
class SayWaiting:
    """Tell why a worker that could start does not; an empty `kind`: it waits for a slot alone."""

    worker_id: str
    kind: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class EndWorker:
    """The worker has its final status; without an attempt's own result, `kind` and `message` say why."""

    worker_id: str
    status: Status
    kind: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class HaltRun:
    """A rule of the run was met: its halt rule, or its budget."""

    detail: str
    reason: str = "halt"


Action = (
    StartAttempt
    | StopAttempt
    | LimitAttempt
    | DelayRetry
    | WaitAccount
    | WaitGap
    | SayWaiting
    | EndWorker
    | HaltRun
)
