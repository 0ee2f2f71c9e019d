"""Lets the agent of a worker resolve a conflict that landing met, in a further attempt of that worker."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from orchestrator.agents.logins import lent_folder
from orchestrator.attempt.limits import Limits
from orchestrator.attempt.spec import AttemptReport, AttemptSpec, Sinks
from orchestrator.config import workspaces_dir
from orchestrator.core.conditions import choices, time_limit
from orchestrator.core.isolation import git_author, make_tripwire, make_workspaces
from orchestrator.core.plan import RunPlan
from orchestrator.core.recording import Recorder
from orchestrator.errors import InputError, WorkspaceError
from orchestrator.executors.local import local_executor
from orchestrator.git.history import list_branches
from orchestrator.journal.runs import journal_path
from orchestrator.journal.store import read_events
from orchestrator.landing.gate import Ground
from orchestrator.landing.resolving import Answer, Asked
from orchestrator.model.event import EventKind
from orchestrator.model.result import Status, TaskResult
from orchestrator.workspaces.leftovers import remove_leftovers
from orchestrator.workspaces.names import SHIELDS, attempt_of, workspace_name
from orchestrator.workspaces.pool import in_pool

#: What is told of such an attempt; the rest would make its worker, which has ended, look as if it went on.
_TOLD = frozenset(
    {
        EventKind.PERMISSION_REQUESTED,
        EventKind.PERMISSION_DECIDED,
        EventKind.WORKSPACE_KEPT,
        EventKind.WORKSPACE_SALVAGED,
    }
)


async def give_back(
    ground: Ground,
    plan_of: Callable[[], RunPlan],
    results: Mapping[str, TaskResult],
    recorder: Recorder,
    asked: Asked,
) -> Answer:
    """Carry out one round. Raises InputError when the agent cannot be run any more as it was."""
    plan = await in_pool(ground.pool, plan_of)
    number = await in_pool(ground.pool, partial(_next_attempt, ground, asked.candidate.worker_id))
    spec = _spec(ground, plan, results[asked.candidate.worker_id], asked, number)
    worker_id = spec.task.id
    data = {
        "worker_id": worker_id,
        "round": asked.round,
        "of": asked.of,
        "attempt": number,
        "agent": spec.agent.name,
        "files": list(asked.files),
        "session_id": spec.resume_id,
        "log_path": str(spec.log_path),
    }
    await recorder.record(EventKind.LANDING_RESOLVING, data)
    reports: list[AttemptReport] = []
    async with local_executor(
        run_tmp=ground.environment.run_tmp,
        workspaces=make_workspaces(plan, ground.run_id, ground.pool),
        policy=plan.policy,
        clock=ground.clock,
        pool=ground.pool,
        pass_env=plan.config.pass_env,
        git_author=git_author(plan),
        base_commit=ground.base_commit,
        sandbox=ground.sandbox,
        tripwire=make_tripwire(plan),
    ) as execute:
        await execute(spec, _sinks(recorder, worker_id, number), ground.stop, reports.append)
    (report,) = reports
    outcome = report.outcome
    fault = None
    if outcome.status is not Status.SUCCEEDED:
        fault = f"its agent ended as {outcome.status.value}: {outcome.error_message or outcome.error_kind}"
    return Answer(
        attempt=number,
        agent=spec.agent.name,
        commit=report.commit,
        session_id=outcome.session_id,
        fault=fault,
    )


def _spec(ground: Ground, plan: RunPlan, result: TaskResult, asked: Asked, number: int) -> AttemptSpec:
    """The rules are those of the worker's own attempts; the gate comes later, on what landing makes of it."""
    config, name = plan.config, asked.candidate.worker_id
    task = next(task for task in plan.tasks if task.id == name)
    agents = choices(plan, name)
    choice = next((at for at, agent in enumerate(agents) if agent.name == result.agent), None)
    if choice is None:
        raise InputError(f"the task `{name}` has no agent `{result.agent}` any more")
    agent = agents[choice]
    return AttemptSpec(
        run_id=ground.run_id,
        task=replace(
            task,
            prompt=asked.prompt,
            model=task.model or config.model,
            timeout_s=time_limit(config, task)[0],
            max_cost_usd=task.max_cost_usd or config.max_cost,
            env={**task.env, "ORCHESTRATOR_RESOLVE_ROUND": str(asked.round)},
        ),
        attempt=number,
        agent=agent,
        directory=ground.folder / "attempts" / f"{name}@{number}",
        config_dir=ground.folder / "agents" / (name if choice == 0 else f"{name}@{agent.name}"),
        login_dir=lent_folder(agent.name) if plan.sandbox else None,
        resume_id=asked.session_id or result.session_id,
        follow_up=True,
        needs=(asked.start,),
        setup=config.setup,
        setup_timeout_s=config.setup_timeout,
        log_limit=config.log_limit,
        limits=Limits(memory=config.max_memory, processes=config.max_processes, disk=config.max_disk),
        env=config.env,
    )


def _next_attempt(ground: Ground, worker_id: str) -> int:
    """Clear away what rounds left that were killed; return a number that no attempt of the worker has had."""
    events = read_events(journal_path(ground.folder))
    rounds = [event.data for event in events if event.kind is EventKind.LANDING_RESOLVING]
    names = {workspace_name(data["worker_id"], data["attempt"]) for data in rounds}
    directory = workspaces_dir() / ground.run_id
    author = ground.config.author
    left = remove_leftovers(ground.repo, ground.run_id, directory, author=author, only=names.__contains__)
    if left.faults:
        raise WorkspaceError(f"what an earlier round left cannot be put away: {'; '.join(left.faults)}")
    used = [event.attempt or 0 for event in events if event.worker_id == worker_id]
    used += [data["attempt"] for data in rounds if data["worker_id"] == worker_id]
    prefix = f"orchestrator/{ground.run_id}/"
    taken = [name.removeprefix(prefix) for name in list_branches(ground.repo.common_dir, prefix)]
    with suppress(FileNotFoundError):
        taken += [entry.name for entry in (directory / SHIELDS).iterdir()]
    used += [number for name, number in map(attempt_of, taken) if name == worker_id]
    return max(used, default=0) + 1


def _sinks(recorder: Recorder, worker_id: str, number: int) -> Sinks:
    """Tell what matters of the attempt. Nobody is asked: what a person would have to allow is denied."""

    def emit(kind: EventKind, data: Mapping[str, Any]) -> None:
        if kind in _TOLD:
            recorder.emit(kind, data, worker_id, number)

    def record(kind: EventKind, data: Mapping[str, Any]) -> Awaitable[None]:
        return recorder.record(kind, data, worker_id, number)

    return Sinks(emit, record)
