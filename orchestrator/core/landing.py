"""Lands a run's work: at the run's end, or later from its folder."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor as Pool
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator.attempt.masking import run_mask
from orchestrator.attempt.spec import EnvironmentSource
from orchestrator.attempt.stop import StopSignal
from orchestrator.clock import SystemClock
from orchestrator.config import OrchestratorConfig, home, workspaces_dir
from orchestrator.core.plan import RunPlan
from orchestrator.core.recording import Recorder
from orchestrator.core.resolving import give_back
from orchestrator.core.resuming import plan_again
from orchestrator.errors import InputError
from orchestrator.executors.recovery import end_orphans
from orchestrator.git.repository import Repository, open_repository
from orchestrator.journal.runs import RunLock, journal_path
from orchestrator.journal.state import RunState, load_state
from orchestrator.journal.store import Journal, read_events
from orchestrator.journal.stored_plan import StoredPlan, load_plan
from orchestrator.journal.withheld import put_back
from orchestrator.landing.gate import Ground, gate_of_base, processes
from orchestrator.landing.land import Recorded, Wishes, land
from orchestrator.landing.plan import Candidate, LandingResult
from orchestrator.landing.pull_requests import open_pull_requests, require_base, require_forge
from orchestrator.model.event import Event, EventKind
from orchestrator.model.result import TaskResult
from orchestrator.model.task import Task
from orchestrator.ports import Clock, DurableSink, Sandbox
from orchestrator.sandbox.opening import open_sandbox
from orchestrator.sandbox.settle import settle_sandbox
from orchestrator.secrets import Mask
from orchestrator.workspaces.environment import make_run_tmp, remove_run_tmp
from orchestrator.workspaces.names import BASE_PLACE, LANDING_PLACE

_THREADS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What a landing takes over from its run, or from the record of it."""

    run_id: str
    folder: Path
    repo: Repository
    base_commit: str
    config: OrchestratorConfig
    run_tmp: Path
    pool: Pool
    sandbox: Sandbox | None
    clock: Clock
    mask: Mask


@asynccontextmanager
async def open_ground(
    site: Site, record: DurableSink, stop: StopSignal, place: str = LANDING_PLACE
) -> AsyncIterator[Ground]:
    """Hold what gates run on; at the end their processes are gone."""
    author = None if site.repo.identity is not None else site.config.author
    async with processes(site.pool) as (spawner, meter):
        yield Ground(
            run_id=site.run_id,
            repo=site.repo,
            base_commit=site.base_commit,
            config=site.config,
            folder=site.folder,
            place=(workspaces_dir() / site.run_id).resolve() / place,
            environment=EnvironmentSource(
                user=dict(os.environ),
                pass_env=site.config.pass_env,
                git_author=author,
                base_commit=site.base_commit,
                run_tmp=site.run_tmp,
            ),
            spawner=spawner,
            meter=meter,
            clock=site.clock,
            pool=site.pool,
            sandbox=site.sandbox,
            stop=stop,
            mask=site.mask,
            record=record,
        )


def sort_results(
    tasks: Sequence[Task], results: Mapping[str, TaskResult]
) -> tuple[list[Candidate], list[str]]:
    """Return the work that may land, and the ids of those that succeeded without any."""
    candidates, empty = [], []
    for task in tasks:
        result = results.get(task.id)
        if task.variant_of or result is None or not result.success:
            continue
        if result.commit is None or not result.files_changed:
            empty.append(task.id)
            continue
        candidates.append(
            Candidate(
                worker_id=task.id,
                name=task.name,
                agent=result.agent,
                branch=result.branch or "",
                commit=result.commit,
                needs=task.needs,
                prompt=task.prompt,
                verify=task.verify or (),
            )
        )
    needs = {task.id: task.needs for task in tasks}
    without = {name: needs[name] for name in empty}
    return [replace(each, needs=_through(each.needs, without)) for each in candidates], empty


def _through(needs: Iterable[str], without: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Replace needs that have no work by what those need in turn."""
    found: dict[str, None] = {}
    for need in needs:
        found |= dict.fromkeys(_through(without[need], without) if need in without else (need,))
    return tuple(found)


async def gate_base(site: Site, record: DurableSink) -> bool:
    """Run the gate on the base commit; say whether it passes."""
    async with open_ground(site, record, StopSignal(), BASE_PLACE) as ground:
        return (await gate_of_base(ground)).passed


def steps_of(folder: Path) -> list[Recorded]:
    """Return what earlier landings of the run in `folder` recorded before they moved its branch."""
    events = read_events(journal_path(folder))
    return [event.data for event in events if event.kind is EventKind.LANDING_STEPPED]


async def land_again(
    folder: Path,
    wishes: Wishes | None,
    *,
    history: str | None = None,
    pull_requests: str | None = None,
    on_event: Callable[[Event], None] | None = None,
    stop: StopSignal | None = None,
) -> LandingResult:
    """Land the run in `folder`, whose process is gone; goes on where an earlier landing ended.

    Raises JournalError while the run is alive, InputError when there is nothing that could be landed.
    """
    async with AsyncExitStack() as stack:
        lock = RunLock.acquire(folder)
        stack.callback(lock.release)
        plan, state = load_plan(folder), load_state(folder)
        config = _with_secrets(plan)
        if config.isolation == "none" or plan.base_commit is None:
            raise InputError(f"run {folder.name} worked in your own folder, so there are no branches to land")
        results = {worker.id: worker.result for worker in state.workers.values() if worker.result}
        candidates, empty = sort_results(plan.tasks, results)
        wishes = replace(wishes or Wishes(), history=_history(folder, state, history))
        _check_only(wishes, state, candidates, empty)
        mask = run_mask(config.pass_env, [config.env])
        clock = SystemClock()
        recorder = Recorder(mask, clock=clock, on_event=on_event)
        recorder.journal = Journal(journal_path(folder))
        stack.callback(recorder.journal.close)
        pool = stack.enter_context(ThreadPoolExecutor(_THREADS, "orchestrator"))
        await asyncio.get_running_loop().run_in_executor(pool, end_orphans)
        run_tmp = make_run_tmp(folder.name)
        stack.callback(remove_run_tmp, folder.name)
        settings, _, _ = settle_sandbox(config)
        sandbox = None
        if settings is not None:
            opening = open_sandbox(settings, os.environ, state_home=home(), run_tmp=run_tmp)
            sandbox = await stack.enter_async_context(opening)
        site = Site(
            run_id=folder.name,
            folder=folder,
            repo=open_repository(config.repo, warn=False),
            base_commit=plan.base_commit,
            config=config,
            run_tmp=run_tmp,
            pool=pool,
            sandbox=sandbox,
            clock=clock,
            mask=mask,
        )
        ground = await stack.enter_async_context(open_ground(site, recorder.record, stop or StopSignal()))
        after = _opening(site, plan, candidates, pull_requests) if pull_requests else None
        again = partial(_plan_again, plan, state)
        return await land(
            ground,
            candidates,
            wishes,
            recorded=steps_of(folder),
            empty=empty,
            after=after,
            give_back=partial(give_back, ground, again, results, recorder),
        )


def _plan_again(plan: StoredPlan, state: RunState) -> RunPlan:
    """What an agent needs to work once more as it did. Raises InputError, such as for withheld secrets."""
    return plan_again(put_back(plan, None, os.environ), state, {})


def _opening(
    site: Site, plan: StoredPlan, candidates: Sequence[Candidate], way: str
) -> Callable[[LandingResult], None]:
    """Return what opens pull requests at the end. Raises InputError when it could not, before anything."""
    forge = require_forge(site.repo)
    base = require_base(site.repo, plan.config.base)

    def after(result: LandingResult) -> None:
        result.pull_requests += open_pull_requests(
            site.repo,
            result,
            candidates,
            run_id=site.run_id,
            base=base,
            each=way == "each",
            forge=forge,
        )

    return after


def _with_secrets(plan: StoredPlan) -> OrchestratorConfig:
    """Fill in the secret values that the record of the run leaves out, from the environment."""
    mine = [place for place in plan.withheld if place.split(".")[0] != "tasks" or ".verify." in place]
    names = [place.removeprefix("env.") for place in mine if place.startswith("env.")]
    missing = [name for name in names if name not in os.environ]
    other = [place for place in mine if not place.startswith("env.")]
    if missing or other:
        what = ", ".join([*(f"the variable {name}" for name in missing), *(f"`{place}`" for place in other)])
        raise InputError(
            f"the record of the run leaves out secrets that its gate needs: {what}",
            hint="export the variables; a command line should name a variable, and `pass_env` pass it on",
        )
    if not names:
        return plan.config
    env: dict[str, Any] = {**plan.config.env, **{name: os.environ[name] for name in names}}
    return plan.config.model_copy(update={"env": env})


def _history(folder: Path, state: RunState, asked: str | None) -> Any:
    """The form of history: as asked, but never two forms on one branch."""
    events = read_events(journal_path(folder))
    before = [event.data["history"] for event in events if event.kind is EventKind.LANDING_STARTED]
    if not before or not state.landing["landed"]:
        return asked or "merge"
    if asked not in {None, before[-1]}:
        raise InputError(
            f"--history {asked}: what has landed of this run was landed as `{before[-1]}`, "
            "and a landed branch is never rewritten",
            hint=f"leave --history out, or rename {state.landing['branch']} and land anew",
        )
    return before[-1]


def _check_only(
    wishes: Wishes, state: RunState, candidates: Sequence[Candidate], empty: Sequence[str]
) -> None:
    known = {each.worker_id for each in candidates} | set(empty)
    for name in wishes.only or ():
        if name not in state.workers:
            raise InputError(
                f"--only: the run has no task {name!r}", hint=f"it has {', '.join(state.workers)}"
            )
        if name not in known:
            result = state.workers[name].result
            ended = f"ended as {result.status.value}" if result else "has no result"
            raise InputError(f"--only: task `{name}` {ended}; only what succeeded is landed")
