"""What goes into an attempt and what comes out of it: plain data, for this machine or another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor as Pool
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from orchestrator.attempt.limits import Limits
from orchestrator.attempt.usage import Meter
from orchestrator.model.outcome import Outcome
from orchestrator.model.pulse import Pulse
from orchestrator.model.request import Decision, PermissionRequest, Verdict
from orchestrator.model.result import PermissionCounts, VerifyResult
from orchestrator.model.task import Task
from orchestrator.ports import Agent, Ask, Clock, DurableSink, EventSink, Policy, Sandbox, Workspaces
from orchestrator.sessions.spawner import Spawner
from orchestrator.workspaces.tripwire import Tripwire


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptSpec:
    """Everything that is asked of one attempt."""

    run_id: str
    task: Task
    attempt: int
    agent: Agent
    directory: Path  #: where its logs go
    config_dir: Path  #: the agent's own settings and sessions, kept from attempt to attempt
    login_dir: Path | None = None  #: where a sandboxed agent finds the user's login; None: at its own place
    resume_id: str | None = None  #: the agent's own session to go on with
    follow_up: bool = False  #: whether the prompt is the next thing to say in that session
    continues: int | None = None  #: the earlier attempt in whose workspace it goes on
    needs: tuple[str, ...] = ()  #: commits that its workspace builds on
    setup: tuple[str, ...] = ()
    setup_timeout_s: float = 600.0
    verify: tuple[str, ...] = ()
    verify_timeout_s: float = 600.0
    verify_retries: int = 0
    fix_rounds: int = 0  #: how often a failing gate is given back to the agent
    keep: str = "never"
    log_limit: int = 64 * 1024 * 1024
    limits: Limits = field(default_factory=Limits)
    env: Mapping[str, str] = field(default_factory=dict)  #: set for every worker of the run

    @property
    def log_path(self) -> Path:
        """The agent's own output."""
        return self.directory / "output.log"

    @property
    def errors_path(self) -> Path:
        """What the agent wrote on stderr, where its stdout speaks a protocol."""
        return self.directory / "errors.log"

    @property
    def transcript_path(self) -> Path:
        """What was said and done, for people; there is none before its first entry."""
        return self.directory / "transcript.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptReport:
    """What came of an attempt."""

    outcome: Outcome
    branch: str | None = None
    commit: str | None = None
    files_changed: tuple[str, ...] = ()
    verify: VerifyResult | None = None
    fix_rounds_used: int = 0
    permissions: PermissionCounts = field(default_factory=PermissionCounts)
    variants: tuple[Mapping[str, Any], ...] = ()  #: what was chosen from
    resources: Mapping[str, float | int] | None = None  #: cpu_s, peak_rss_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentSource:
    """Where the environments of all attempts of a run come from."""

    user: Mapping[str, str]  #: the user's own environment, of which only named variables pass
    pass_env: Sequence[str]
    git_author: str | None  #: for a user without a git identity
    base_commit: str | None
    run_tmp: Path  #: holds the TMPDIR of each attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What every attempt on one machine shares."""

    workspaces: Workspaces
    policy: Policy
    clock: Clock
    spawner: Spawner
    pool: Pool
    environment: EnvironmentSource
    meter: Meter
    tripwire: Tripwire | None = None  #: over the user's repository, where there is one
    sandbox: Sandbox | None = None


async def nobody_to_ask(request: PermissionRequest, decision: Decision) -> Decision:
    """Deny what only a person could allow."""
    del request
    return replace(
        decision, verdict=Verdict.DENY, reason=f"denied: there is nobody to ask ({decision.reason})"
    )


def ignore_pulse(pulse: Pulse) -> None:
    """Take a pulse that nobody looks at."""
    del pulse


@dataclass(frozen=True, slots=True)
class Sinks:
    """Where an attempt's events go, and who answers its questions; `record` returns once it is durable."""

    emit: EventSink
    record: DurableSink
    ask: Ask = nobody_to_ask
    pulse: Callable[[Pulse], None] = ignore_pulse
