"""How a task ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, Self


class Status(StrEnum):
    """How a worker ended. Every task ends in exactly one of these."""

    SUCCEEDED = "succeeded"  #: the agent finished and its checks passed
    FAILED = "failed"  #: the agent, its set-up or its checks failed
    TIMED_OUT = "timed_out"  #: a time limit of the task or the run ended it
    CANCELLED = "cancelled"  #: stopped or never started: interrupt, halt, a failed need
    SPAWN_FAILED = "spawn_failed"  #: the agent's program could not be started
    REJECTED = "rejected"  #: what the agent needed to do was refused
    PARKED = "parked"  #: waits for a person: the agent asked something unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """One `verify` or `setup` command, as run by us."""

    command: str
    exit_code: int | None  #: None when it was stopped by its time limit
    duration: float  #: seconds
    log_path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyResult:
    """The gate on the worker's own workspace."""

    passed: bool
    commands: tuple[CheckResult, ...] = ()
    flaky: bool = False  #: it failed before it passed on the same tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """A workspace whose tracked files are those of a tree."""

    tree: str
    is_pure: bool  #: there is nothing else in it, not even ignored files


@dataclass(frozen=True, slots=True, kw_only=True)
class PermissionCounts:
    """How many permission requests ended how; `asked` ones count as allowed or denied as well."""

    allowed: int = 0
    denied: int = 0
    asked: int = 0  #: what the policy left to a person, whatever came of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What the agent says it used; None where it does not say."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    turns: int | None = None  #: requests to the model, as the agent counts them


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """The result of one worker. Durations are seconds on a monotonic clock, stamps are UTC."""

    worker_id: str
    name: str
    agent: str
    status: Status
    output: str = ""  #: the agent's final message, or the end of its output
    error_message: str | None = None
    error_kind: str | None = None  #: one word for machines, such as `need_failed` or `exit_status`
    duration: float = 0.0  #: from the start in its slot to its end, all attempts
    queue_wait: float = 0.0  #: from the run's start to the start in its slot
    attempts: int = 0
    exit_code: int | None = None
    signal: str | None = None  #: such as `SIGKILL`
    started_at: datetime | None = None
    finished_at: datetime | None = None
    branch: str | None = None
    commit: str | None = None
    files_changed: tuple[str, ...] = ()
    session_id: str | None = None
    verify: VerifyResult | None = None
    fix_rounds_used: int = 0  #: how often a failing gate was given back to its agent, in the last attempt
    permissions: PermissionCounts = field(default_factory=PermissionCounts)
    usage: Usage = field(default_factory=Usage)
    log_path: str | None = None
    transcript_path: str | None = None
    variants: tuple[Mapping[str, Any], ...] = ()  #: what it was chosen from, and why; see "Variants"
    notes: tuple[str, ...] = ()  #: what is worth a look though nothing failed, such as `no_changes`
    retry_at: datetime | None = None  #: when the limit that ended it is over, as far as the agent was told
    kept_from: str | None = None  #: the earlier run that it was taken over from

    @property
    def success(self) -> bool:
        """Whether the task succeeded."""
        return self.status is Status.SUCCEEDED

    def to_json(self) -> dict[str, Any]:
        """Return the result as the report's JSON object."""
        document: dict[str, Any] = _plain(self)
        document["success"] = self.success
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read back what `to_json` wrote."""
        values = {f.name: document[f.name] for f in fields(cls) if f.name in document}
        values["status"] = Status(values["status"])
        for stamp in ("started_at", "finished_at", "retry_at"):
            if values.get(stamp):
                values[stamp] = datetime.fromisoformat(values[stamp])
        for name in ("files_changed", "notes", "variants"):
            values[name] = tuple(values.get(name, ()))
        if values.get("verify"):
            checks = tuple(CheckResult(**check) for check in values["verify"]["commands"])
            flaky = values["verify"].get("flaky", False)
            values["verify"] = VerifyResult(passed=values["verify"]["passed"], commands=checks, flaky=flaky)
        values["permissions"] = PermissionCounts(**values.get("permissions", {}))
        values["usage"] = Usage(**values.get("usage", {}))
        return cls(**values)


def _plain(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
