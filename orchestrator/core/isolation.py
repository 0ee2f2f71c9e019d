"""Picks the workspace strategy of a run."""

from __future__ import annotations

from concurrent.futures import Executor

from orchestrator import config
from orchestrator.core.plan import RunPlan
from orchestrator.ports import Workspaces
from orchestrator.workspaces.none import NoWorkspaces
from orchestrator.workspaces.worktree import WorktreeWorkspaces


def make_workspaces(plan: RunPlan, run_id: str, pool: Executor) -> Workspaces:
    """Return what makes the workers' workspaces, as the plan has settled it."""
    if plan.repository is None or plan.base_commit is None or plan.isolation == "none":
        return NoWorkspaces(plan.folder, pool=pool, repo=plan.repository)
    return WorktreeWorkspaces(
        plan.repository,
        run_id=run_id,
        base_commit=plan.base_commit,
        directory=config.workspaces_dir() / run_id,
        author=plan.config.author,
        copy_files=plan.config.copy_files,
        pool=pool,
    )


def git_author(plan: RunPlan) -> str | None:
    """Return the identity for agents' own commits, for a user who has none."""
    if plan.repository is None or plan.repository.identity is not None:
        return None
    return plan.config.author
