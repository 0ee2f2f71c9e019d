"""Checks everything that can be checked before a run starts, and settles its open settings."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

import psutil

from orchestrator.agents.defined import defined_agents
from orchestrator.agents.registry import get_agent
from orchestrator.config import OrchestratorConfig, workspaces_dir
from orchestrator.core.trust import require_trust
from orchestrator.core.variants import expand
from orchestrator.errors import InputError, RepositoryError
from orchestrator.git.repository import Repository, open_repository, resolve_base
from orchestrator.model.result import TaskResult
from orchestrator.model.task import Task
from orchestrator.policy import load_policy
from orchestrator.ports import Agent, Policy
from orchestrator.sandbox.opening import SandboxSettings
from orchestrator.sandbox.settle import settle_sandbox
from orchestrator.taskfile import check_tasks, contended_files
from orchestrator.workspaces.overlay import overlay_fault
from orchestrator.workspaces.worktree import copy_fault

#: Agents wait for their model most of the time: 0.4 to 7 % of a core each, 110 to 250 MiB (measured).
WORKERS_PER_CORE = 4
FEWEST_WORKERS = 8
#: Agents that stop by themselves at a limit of their cost.
HOLDING_COST = frozenset({"claude"})
MEMORY_PER_WORKER = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """A run that may start: every setting settled, every agent found."""

    config: OrchestratorConfig
    tasks: tuple[Task, ...]
    agents: Mapping[str, Agent]  #: by task id
    fallbacks: Mapping[str, tuple[Agent, ...]]  #: by task id: what goes on when its agent is at a limit
    folder: Path  #: the repository's root, or the folder that `isolation: none` works in
    repository: Repository | None
    base_commit: str | None
    isolation: str  #: `worktree`, `clone` or `none`
    overlay: bool  #: clones show one shared checkout instead of having their own
    sandbox: SandboxSettings | None  #: None: the agents run without one
    boundary: str  #: what stands between the agents and the machine, in words
    max_workers: int
    policy: Policy
    warnings: tuple[str, ...] = ()
    built_on: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  #: commits of earlier runs
    kept: Mapping[str, TaskResult] = field(default_factory=dict)  #: results of an earlier run, by task id


def prepare(
    config: OrchestratorConfig,
    tasks: Sequence[Task],
    *,
    shared_folder: bool = False,
    built_on: Mapping[str, tuple[str, ...]] | None = None,
    trust_content: bool = False,
) -> RunPlan:
    """Check `tasks` and `config` against each other and the machine; start nothing.

    `shared_folder` lets many workers share one folder under `isolation: none`; the benchmarks of
    the engine alone need it. `built_on` gives commits that a task's workspace starts from besides
    those of its needs. `trust_content` approves what the repository would get executed.
    Raises InputError or RepositoryError, naming every fault it found.
    """
    check_tasks(tasks)
    asked = [task for task in tasks if not task.variant_of]
    tasks = expand(tasks)
    agents = _agents(config, tasks)
    folder, repository, base = _repository(config)
    _check_copies(config, folder)
    sandbox, isolation, boundary = settle_sandbox(config)
    _check_variants(tasks, isolation)
    no_overlay = overlay_fault(workspaces_dir()) if isolation == "clone" else None
    fallbacks = _fallbacks(config, tasks)
    every = [*agents.values(), *chain.from_iterable(fallbacks.values())]
    untrusted = require_trust(repository, base, every, trusted=trust_content)
    max_workers = _max_workers(config, len(tasks), isolation, shared_folder=shared_folder)
    return RunPlan(
        config=config,
        tasks=tuple(tasks),
        agents=agents,
        fallbacks=fallbacks,
        folder=folder,
        repository=repository,
        base_commit=base,
        isolation=isolation,
        sandbox=sandbox,
        overlay=isolation == "clone" and no_overlay is None,
        boundary=f"{boundary}; full checkouts: {no_overlay}" if no_overlay else boundary,
        max_workers=max_workers,
        policy=load_policy(config.policy),
        warnings=(
            *_warnings(asked, repository if isolation != "none" else None),
            *untrusted,
        ),
        built_on=_for_variants(tasks, built_on or {}),
    )


def _for_variants(
    tasks: Sequence[Task], built_on: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    found = {task.id: built_on.get(task.variant_of or task.id, ()) for task in tasks}
    return {task_id: commits for task_id, commits in found.items() if commits}


def require_programs(plan: RunPlan) -> None:
    """Raise InputError when a task's command names a program that this machine has not.

    For the command line, where a missing tool is wrong input. In Python it is that worker's result,
    SPAWN_FAILED. What `setup` may install, and a path inside the workspace, is left to the start.
    """
    if plan.config.setup:
        return
    faults = [fault for task in plan.tasks if task.command and (fault := _program_fault(plan, task))]
    if faults:
        raise InputError("\n".join(faults), hint="install it, or correct `command` or PATH")


def _program_fault(plan: RunPlan, task: Task) -> str | None:
    program = task.command[0]
    if os.sep in program and not Path(program).is_absolute():
        return None
    path = {**os.environ, **plan.config.env, **task.env}.get("PATH")
    if shutil.which(program, path=path):
        return None
    where = "it is no executable file" if os.sep in program else f"it is not on the PATH ({path})"
    return f"task `{task.id}`: command: there is no program `{program}`: {where}"


def _warnings(tasks: Sequence[Task], repository: Repository | None) -> tuple[str, ...]:
    return (*(repository.warnings if repository else ()), *contended_files(tasks))


def _fallbacks(config: OrchestratorConfig, tasks: Sequence[Task]) -> dict[str, tuple[Agent, ...]]:
    """Find the agents that tasks may fall over to; each must be able to take the task as it is."""
    found = {}
    for task in tasks:
        names = config.fallback if task.fallback is None else task.fallback
        if task.command or not names:
            continue
        own = _agents(config, [task])[task.id].name
        others = [replace(task, agent=name) for name in dict.fromkeys(names) if name != own]
        try:
            found[task.id] = tuple(_agents(config, [other])[task.id] for other in others)
        except InputError as err:
            raise InputError(f"fallback: {err.message}", hint=err.hint) from err
    return found


def _agents(config: OrchestratorConfig, tasks: Sequence[Task]) -> dict[str, Agent]:
    agents: dict[str, Agent] = {}
    defined = defined_agents(config)
    faults: list[str] = []
    for task in tasks:
        name = task.agent or ("command" if task.command else config.agent or "claude")
        try:
            agents[task.id] = get_agent(name, defined)
        except InputError as err:
            chosen = task.agent or config.agent
            default = "" if chosen else "`agent` chooses another, such as `demo`, which needs no key"
            faults.append(f"task `{task.id}`: {err.message}; {err.hint or default}".removesuffix("; "))
            continue
        agent = agents[task.id]
        if (
            fault := agent.fault(task)
            or _cost_fault(config, task, agent)
            or _round_fault(config, task, agent)
        ):
            faults.append(f"task `{task.id}`: {fault}")
    if faults:
        raise InputError("\n".join(faults))
    return agents


def _round_fault(config: OrchestratorConfig, task: Task, agent: Agent) -> str | None:
    rounds = config.fix_rounds if task.fix_rounds is None else task.fix_rounds
    if not rounds or agent.name != "demo":
        return None
    return "fix_rounds: agent `demo` plays a script and cannot be given a failing check"


def _cost_fault(config: OrchestratorConfig, task: Task, agent: Agent) -> str | None:
    if (task.max_cost_usd or config.max_cost) is None or agent.name in HOLDING_COST:
        return None
    return f"max_cost: agent `{agent.name}` cannot hold it; {', '.join(sorted(HOLDING_COST))} can"


def _repository(config: OrchestratorConfig) -> tuple[Path, Repository | None, str | None]:
    folder = config.repo.expanduser().absolute()
    if not folder.is_dir():
        raise RepositoryError(f"repo: there is no folder {folder}", hint="give a folder with --repo")
    if config.isolation == "none":
        return folder, _repository_if_any(folder), None
    repository = open_repository(folder)
    return repository.root, repository, resolve_base(repository, config.base)


def _repository_if_any(folder: Path) -> Repository | None:
    """Without isolation a repository is not needed, but changes can be told where there is one."""
    try:
        return open_repository(folder)
    except RepositoryError:
        return None


def _check_variants(tasks: Sequence[Task], isolation: str) -> None:
    several = [task.id for task in tasks if task.variants]
    if several and isolation == "none":
        raise InputError(
            f"task `{several[0]}`: attempts: variants need workspaces of their own, and isolation is `none`",
            hint="leave `isolation` out, or give the task one attempt",
        )


def _check_copies(config: OrchestratorConfig, folder: Path) -> None:
    faults = [f"copy: {name!r}: {fault}" for name in config.copy_files if (fault := copy_fault(folder, name))]
    if faults:
        raise InputError("\n".join(faults))


def _max_workers(config: OrchestratorConfig, count: int, isolation: str, *, shared_folder: bool) -> int:
    if isolation == "none" and not shared_folder:
        if (config.max_workers or 1) > 1:
            raise InputError(
                f"isolation: `none` is for one worker at a time, max_workers is {config.max_workers}",
                hint="set max_workers to 1, or let each worker have its own worktree",
            )
        return 1
    return min(count, config.max_workers or default_max_workers())


def default_max_workers() -> int:
    """How many agents this machine takes at once, from its cores and its free memory."""
    by_cores = max(FEWEST_WORKERS, WORKERS_PER_CORE * (os.cpu_count() or 1))
    by_memory = psutil.virtual_memory().available // MEMORY_PER_WORKER
    return max(1, min(by_cores, by_memory))
