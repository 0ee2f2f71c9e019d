"""Picks the workspace strategy of a run, and opens its sandbox."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from orchestrator import config
from orchestrator.core.plan import RunPlan
from orchestrator.landing.manifests import rules_of, settle_known
from orchestrator.ports import Sandbox, Workspaces
from orchestrator.sandbox.opening import open_sandbox
from orchestrator.workspaces.clone import CloneWorkspaces
from orchestrator.workspaces.none import NoWorkspaces
from orchestrator.workspaces.tripwire import Tripwire
from orchestrator.workspaces.worktree import WorktreeWorkspaces


def make_workspaces(plan: RunPlan, run_id: str, pool: Executor) -> Workspaces:
    """Return what makes the workers' workspaces, as the plan has settled it."""
    if plan.repository is None or plan.base_commit is None or plan.isolation == "none":
        return NoWorkspaces(plan.folder, pool=pool, repo=plan.repository)
    make: Callable[..., Workspaces] = WorktreeWorkspaces
    if plan.isolation == "clone":
        make = partial(CloneWorkspaces, overlay=plan.overlay)
    return make(
        plan.repository,
        run_id=run_id,
        base_commit=plan.base_commit,
        directory=config.workspaces_dir() / run_id,
        author=plan.config.author,
        copy_files=plan.config.copy_files,
        salvage_ignored=plan.config.salvage_ignored,
        pool=pool,
        settle=partial(settle_known, rules=rules_of(plan.config)),
    )


@asynccontextmanager
async def opened_sandbox(plan: RunPlan, run_tmp: Path) -> AsyncIterator[Sandbox | None]:
    """Hold the run's sandbox; None where the plan has none."""
    if plan.sandbox is None:
        yield None
        return
    async with open_sandbox(plan.sandbox, os.environ, state_home=config.home(), run_tmp=run_tmp) as sandbox:
        yield sandbox


def make_tripwire(plan: RunPlan) -> Tripwire | None:
    """Return what watches the user's repository; None where agents are meant to work in it."""
    watched = plan.config.tripwire
    if plan.repository is None or plan.isolation == "none" or watched == "off":
        return None
    ours = config.workspaces_dir().resolve()
    return Tripwire(plan.repository, checkout=watched == "all", ours=ours)


def git_author(plan: RunPlan) -> str | None:
    """Return the identity for agents' own commits, for a user who has none."""
    if plan.repository is None or plan.repository.identity is not None:
        return None
    return plan.config.author
