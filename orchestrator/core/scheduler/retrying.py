"""Which ends are tried again, and after how long: by the kind of the failure."""

from __future__ import annotations

from orchestrator.model.outcome import TurnEnd
from orchestrator.model.result import Status

#: Ends that another attempt may mend. A refusal or a person's answer would only be met again.
RETRIED = frozenset({Status.FAILED, Status.TIMED_OUT, Status.SPAWN_FAILED})
#: Kinds of failure that stay whatever is tried: a person has to do something first.
LASTING = frozenset({TurnEnd.AUTH, TurnEnd.BUDGET, TurnEnd.REFUSED, TurnEnd.DENIED, "tripwire"})
#: First and longest wait in seconds; a server that fails needs more time than a program that crashed.
_USUAL = (1.0, 60.0)
_WAITS: dict[str | None, tuple[float, float]] = {TurnEnd.MODEL: (5.0, 300.0)}


def hopeful(status: Status, kind: str | None) -> bool:
    """Whether another attempt may end better."""
    return status in RETRIED and kind not in LASTING


def back_off_s(kind: str | None, failures: int) -> float:
    """How long to wait after so many failures: twice as long each time."""
    first, longest = _WAITS.get(kind, _USUAL)
    return min(longest, first * 2.0 ** min(failures - 1, 30))
