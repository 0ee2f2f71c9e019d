"""Takes secrets out of everything that an attempt tells: its events, its questions, its report."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from orchestrator.attempt.environment import agent_variables
from orchestrator.attempt.spec import AttemptReport, AttemptSpec, EnvironmentSource, Sinks
from orchestrator.model.event import EventKind
from orchestrator.model.request import Decision, PermissionRequest
from orchestrator.secrets import Mask, secret_values

#: What we name ourselves, or need again exactly as it is to go on with a session or a question.
_OURS = frozenset({"request_id", "session_id", "digest", "branch", "start_commit", "log_path", "phase", "by"})
#: What of a result may be in somebody's own words.
_TOLD = ("name", "output", "error_message", "verify")
_OUR_KINDS = frozenset({EventKind.WORKSPACE_CREATED, EventKind.ATTEMPT_PHASE})


def attempt_mask(spec: AttemptSpec, source: EnvironmentSource) -> Mask:
    """Return the mask of an attempt: the user's secrets and those that its own settings hold."""
    values = [
        value
        for environment in (source.user, spec.env, spec.task.env)
        for value in secret_values(environment, (*source.pass_env, *agent_variables(spec.agent)))
    ]
    return Mask(values)


def run_mask(pass_env: Collection[str], settings: Iterable[Mapping[str, str]]) -> Mask:
    """Return the mask of what a run itself tells: of the user's secrets and of those in its `settings`."""
    return Mask(
        value for environment in (os.environ, *settings) for value in secret_values(environment, pass_env)
    )


def masked_sinks(sinks: Sinks, mask: Mask) -> Sinks:
    """Return sinks that hear no secret."""

    def emit(kind: EventKind, data: Mapping[str, Any]) -> None:
        sinks.emit(kind, masked(kind, data, mask))

    async def record(kind: EventKind, data: Mapping[str, Any]) -> None:
        await sinks.record(kind, masked(kind, data, mask))

    async def ask(request: PermissionRequest, decision: Decision) -> Decision:
        return await sinks.ask(request, replace(decision, reason=mask.text(decision.reason)))

    return Sinks(emit, record, ask, sinks.pulse)


def masked_report(report: AttemptReport, mask: Mask) -> AttemptReport:
    """Return the report without secrets in its texts. Names of files and branches stay as they are."""
    outcome = report.outcome
    verify = report.verify
    if verify:
        commands = tuple(replace(check, command=mask.text(check.command)) for check in verify.commands)
        verify = replace(verify, commands=commands)
    return replace(
        report,
        outcome=replace(
            outcome,
            output=mask.text(outcome.output),
            error_message=outcome.error_message and mask.text(outcome.error_message),
        ),
        verify=verify,
    )


def masked(kind: EventKind, data: Mapping[str, Any], mask: Mask) -> Mapping[str, Any]:
    """Return an event's data without secrets."""
    if kind in _OUR_KINDS:
        return data
    if kind is EventKind.RUN_STARTED:  # paths and ids, which must be found again, and names
        return {**data, "tasks": [{**task, "name": mask.text(task["name"])} for task in data["tasks"]]}
    if kind is EventKind.WORKER_FINISHED:
        result = data["result"]
        return {**data, "result": {**result, **{key: mask.data(result[key]) for key in _TOLD}}}
    return {key: value if key in _OURS else mask.data(value) for key, value in data.items()}
