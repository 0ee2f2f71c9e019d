"""What came of a process, and of an agent's turn."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from orchestrator.model.result import Status, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessExit:
    """How a process ended, after its whole tree was gone and its output was read to the end."""

    exit_code: int | None  #: None when a signal ended it
    signal_number: int | None = None
    survivors: tuple[int, ...] = ()  #: pids of descendants that even SIGKILL did not end
    output_bytes: int = 0  #: bytes it wrote in all, also those beyond the log's cap

    @property
    def signal(self) -> str | None:
        """The signal's name, such as `SIGKILL`."""
        if self.signal_number is None:
            return None
        try:
            return signal.Signals(self.signal_number).name
        except ValueError:
            return f"SIG{self.signal_number}"

    def describe(self) -> str:
        """Say it in words: `exited with status 3`, `was ended by SIGKILL`."""
        if self.signal:
            return f"was ended by {self.signal}"
        return f"exited with status {self.exit_code}"


class TurnEnd(StrEnum):
    """Why an agent's turn is not simply done: its `error_kind`, the same for every agent."""

    DENIED = "permission_denied"  #: it came to its end, but something it asked for was refused
    INTERRUPTED = "agent_interrupted"  #: its turn was cut off, and not by us
    REFUSED = "model_refused"  #: the model would not do it
    CONTEXT = "context_exhausted"
    BUDGET = "budget_exhausted"
    TURNS = "turns_exhausted"
    RATE_LIMITED = "rate_limited"  #: `retry_at` says until when, if the agent was told
    AUTH = "auth_failed"
    MODEL = "model_error"  #: the model's server failed or could not be reached, after the agent's own retries
    CRASHED = "crashed"  #: its program ended without an end of the turn
    PROTOCOL = "protocol_error"  #: its program said what its protocol does not allow
    NO_RESPONSE = "no_response"  #: its program runs, and says nothing that it should
    UNKNOWN_PROMPT = "unknown_prompt"  #: it waits at a question that nobody knows


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The end of an agent's turn as its adapter reads it; the gate has not spoken yet."""

    status: Status
    output: str = ""
    error_message: str | None = None
    error_kind: str | None = None
    exit: ProcessExit | None = None
    session_id: str | None = None
    usage: Usage = field(default_factory=Usage)
    retry_at: datetime | None = (
        None  #: when a limit that ended the turn is over, as far as the agent was told
    )
