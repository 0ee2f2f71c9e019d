"""What came of a process, and of an agent's turn."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field

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
