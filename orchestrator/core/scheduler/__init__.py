"""Which task may start now, and why not: a pure state machine, (state, event) -> (state, actions).

No clock, no I/O, no randomness: what happens is told by events, what to do is answered by actions.
A task is ready once all it needs have succeeded; there are no level barriers. Of the ready ones the
one at the head of the longest estimated path starts first, then the one given first.
"""

from orchestrator.core.scheduler.budget import Amount, Budget, Ledger, Told
from orchestrator.core.scheduler.ending import Step
from orchestrator.core.scheduler.halting import HaltRule, halt_rule
from orchestrator.core.scheduler.layout import initial_state
from orchestrator.core.scheduler.messages import (
    AccountLimited,
    AccountOpen,
    Action,
    AttemptEnded,
    Begin,
    DelayRetry,
    EndWorker,
    Event,
    GapOver,
    HaltRun,
    LimitAttempt,
    LimitPassed,
    Measured,
    RetryDue,
    SayWaiting,
    StartAttempt,
    StopAttempt,
    StopRequested,
    WaitAccount,
    WaitGap,
)
from orchestrator.core.scheduler.retrying import LASTING, RETRIED
from orchestrator.core.scheduler.state import Admission, Node, Quota, SchedulerState, Stage, Terms, Waiting
from orchestrator.core.scheduler.stepping import step

__all__ = [
    "LASTING",
    "RETRIED",
    "AccountLimited",
    "AccountOpen",
    "Action",
    "Admission",
    "Amount",
    "AttemptEnded",
    "Begin",
    "Budget",
    "DelayRetry",
    "EndWorker",
    "Event",
    "GapOver",
    "HaltRule",
    "HaltRun",
    "Ledger",
    "LimitAttempt",
    "LimitPassed",
    "Measured",
    "Node",
    "Quota",
    "RetryDue",
    "SayWaiting",
    "SchedulerState",
    "Stage",
    "StartAttempt",
    "Step",
    "StopAttempt",
    "StopRequested",
    "Terms",
    "Told",
    "WaitAccount",
    "WaitGap",
    "Waiting",
    "halt_rule",
    "initial_state",
    "step",
]
