"""Runs attempts on this machine."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Executor as Pool
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from orchestrator.attempt.attempt import run_attempt
from orchestrator.attempt.spec import AttemptReport, AttemptSpec, EnvironmentSource, Sinks, Surroundings
from orchestrator.attempt.stop import StopSignal
from orchestrator.attempt.usage import Meter
from orchestrator.executors.recovery import end_orphans
from orchestrator.ports import Clock, Policy, Sandbox, Workspaces
from orchestrator.sessions.spawner import Spawner
from orchestrator.workspaces.tripwire import Tripwire

_LOG = logging.getLogger("orchestrator")
#: Carries one attempt out, wherever that is; see `attempt.run_attempt`.
Execute = Callable[[AttemptSpec, Sinks, StopSignal, Callable[[AttemptReport], None]], Awaitable[None]]


@asynccontextmanager
async def local_executor(
    *,
    run_tmp: Path,
    workspaces: Workspaces,
    policy: Policy,
    clock: Clock,
    pool: Pool,
    pass_env: tuple[str, ...],
    git_author: str | None,
    base_commit: str | None,
    sandbox: Sandbox | None = None,
    tripwire: Tripwire | None = None,
) -> AsyncIterator[Execute]:
    """Hold what all attempts on this machine share; at the end every process of theirs is gone.

    What a run left that died is ended first.
    """
    if left := await asyncio.get_running_loop().run_in_executor(pool, end_orphans):
        _LOG.warning("ended %d processes that a run left which was killed", len(left))
    spawner = await Spawner.start()
    meter = Meter(pool)
    try:
        around = Surroundings(
            workspaces=workspaces,
            policy=policy,
            clock=clock,
            spawner=spawner,
            pool=pool,
            sandbox=sandbox,
            meter=meter,
            tripwire=tripwire,
            environment=EnvironmentSource(
                user=dict(os.environ),
                pass_env=pass_env,
                git_author=git_author,
                base_commit=base_commit,
                run_tmp=run_tmp,
            ),
        )
        yield partial(run_attempt, around)
    finally:
        await meter.aclose()
        await spawner.aclose()
