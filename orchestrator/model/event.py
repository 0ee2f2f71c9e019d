"""What happened: the events of the journal. State, status and report are folds over these.

The `data` of each kind (JSON values only; durations in seconds, stamps ISO-8601 UTC):

run.started           run_id, repo, base_ref, base_commit, isolation, boundary, max_workers, timeout_s,
                      pid, version, tasks: [{id, name, agent, needs, estimate_s, digest}] in spawn order
run.stopping          reason (`interrupt`, `request`, `timeout`, `halt`, `budget`,
                      `base_gate`), detail
run.paused            reason (`disk_full`, `journal`), detail: nothing new starts, what runs goes on
run.unpaused          reason, paused_s
run.woke              slept_s: the machine was suspended that long; deadlines leave it out
run.resumed           pid, version, elapsed_s (of the run so far, without the time it was down), reason
                      (`resume`, `retry`), again (ids of the workers that start again), boundary, max_workers,
                      timeout_s
conflicts.overlap     a, b, file, kind: seen in what two workers have made so far, once for each
conflicts.found       pairs: [{a, b, files, conflicts: [{kind, files, hunks}]}], order, conflicting, target,
                      against_target, resolved, hints: [{kind, a, b, files, what, text}]
run.finished          status (a `RunStatus`), wall_seconds, budget (null without one): cost_usd, tokens,
                      spent_usd, spent_tokens
attempt.started       log_path, queue_wait, agent (which may be one that the task fell over to); continues,
                      session_id: the attempt whose workspace, and the agent's session, that go on, or null
workspace.created     path, branch, start_commit, of_attempt (whose it was; this one's when it is new)
attempt.phase         phase (a `Phase`)
process.started       pid, argv, terminal
permission.requested  request_id, tool, path, command, arguments
permission.decided    request_id, verdict, level, rule, reason, by, question. With verdict `ask` the question
                      waits for a person: number in `question`, digest, deadline; the final one follows
answer.refused        request (its number in the requests table), question, reason, by
agent.session         session_id
agent.message         text
agent.usage           input_tokens, output_tokens, cost_usd, turns
agent.limited         until (a stamp): its account is at a limit, as it was told while it works
gate.given_back       round, of, command, exit_code: a failing check is told to the agent, in a further turn
workspace.kept        path, reason
workspace.salvaged    ref, commit, files: what was in it beyond the branch is kept there
attempt.finished      status, error_kind, error_message, exit_code, signal, duration,
                      cost_usd, tokens (null when it did not tell),
                      resources (cpu_s, peak_rss_bytes; null when it was over before they were measured),
                      commit, verified (whether its checks passed; null when none ran)
worker.retrying       delay_s, error_kind
worker.waiting        why it does not start: reason (`memory`, `disk`, `pressure`, `quota`, `start_interval`,
                      `budget`; null: for a slot alone), detail, until (a stamp, or null)
worker.liveness       what shows that it is alive has changed: state (`alive`, `silent`, `stuck`, `dead`), at,
                      seen: {output, events, cpu, files} (stamps, or null), processes, memory_bytes, asks
worker.finished       result (TaskResult.to_json), done, total
gate.finished         on (`base`, `landing`), commit, tree, workers (those whose work is in the tree), passed,
                      flaky, cached (a certificate was there), certificate, reason, commands
landing.started       branch, history, wanted (worker ids), into
landing.stepped       branch, old, new, workers: [{worker_id, commit}]. Durable before the branch moves; it
                      counts once `new` is in the branch
landing.held          worker_id, kind (`conflict`, `gate`, `need`, `missing`, `stopped`), reason, files
landing.resolving     worker_id, round, of, attempt, agent, files, session_id, log_path: a conflict is given
                      to its agent. Durable before the agent starts
landing.resolved      worker_id, round, of, attempt, agent, files, fault (null: it is resolved, and has
                      landed)
landing.finished      the report's `landing`
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any


class EventKind(StrEnum):
    """Names of everything that is journalled, in past tense."""

    RUN_STARTED = "run.started"
    RUN_RESUMED = "run.resumed"
    RUN_STOPPING = "run.stopping"
    RUN_PAUSED = "run.paused"
    RUN_UNPAUSED = "run.unpaused"
    RUN_WOKE = "run.woke"
    CONFLICTS_OVERLAP = "conflicts.overlap"
    CONFLICTS_FOUND = "conflicts.found"
    RUN_FINISHED = "run.finished"
    ATTEMPT_STARTED = "attempt.started"
    WORKSPACE_CREATED = "workspace.created"
    ATTEMPT_PHASE = "attempt.phase"
    PROCESS_STARTED = "process.started"
    PERMISSION_REQUESTED = "permission.requested"
    PERMISSION_DECIDED = "permission.decided"
    ANSWER_REFUSED = "answer.refused"
    AGENT_SESSION = "agent.session"
    AGENT_MESSAGE = "agent.message"
    AGENT_USAGE = "agent.usage"
    AGENT_LIMITED = "agent.limited"
    WORKSPACE_KEPT = "workspace.kept"
    GATE_GIVEN_BACK = "gate.given_back"
    WORKSPACE_SALVAGED = "workspace.salvaged"
    ATTEMPT_FINISHED = "attempt.finished"
    WORKER_RETRYING = "worker.retrying"
    WORKER_WAITING = "worker.waiting"
    WORKER_LIVENESS = "worker.liveness"
    WORKER_FINISHED = "worker.finished"
    GATE_FINISHED = "gate.finished"
    LANDING_STARTED = "landing.started"
    LANDING_STEPPED = "landing.stepped"
    LANDING_HELD = "landing.held"
    LANDING_RESOLVING = "landing.resolving"
    LANDING_RESOLVED = "landing.resolved"
    LANDING_FINISHED = "landing.finished"


class RunStatus(StrEnum):
    """How a run stands, or how it ended."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"  #: every task succeeded
    FAILED = "failed"  #: some task did not succeed
    HALTED = "halted"  #: the halt rule or the budget ended it
    TIMED_OUT = "timed_out"  #: the run's own time limit ended it
    INTERRUPTED = "interrupted"  #: a person ended it
    DIED = "died"  #: its process is gone without an end; derived, never journalled


class Phase(StrEnum):
    """What a worker is doing, as a person would want to see it."""

    QUEUED = "queued"  #: no slot yet, or a need is not done
    PREPARING = "preparing"  #: workspace and set-up commands
    RUNNING = "running"  #: the agent works
    WAITING = "waiting"  #: the agent waits for an answer to a permission request
    VERIFYING = "verifying"  #: our own checks run
    FINISHING = "finishing"  #: work is committed, processes are gone, the workspace goes
    FINISHED = "finished"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened in a run. `seq` is given by the journal, 0 before that."""

    kind: EventKind
    at: datetime
    worker_id: str | None = None
    attempt: int | None = None
    data: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    seq: int = 0
