"""The data of a run's own events: what it is, what came of an attempt, how it ended."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from typing import Any

from orchestrator import __version__
from orchestrator.attempt.spec import AttemptReport
from orchestrator.core.content import content_digests
from orchestrator.core.plan import RunPlan
from orchestrator.core.results import told_cost
from orchestrator.core.scheduler import Budget, Ledger
from orchestrator.errors import GitError
from orchestrator.landing.live import foresee
from orchestrator.landing.manifests import rules_of
from orchestrator.model.event import RunStatus
from orchestrator.model.result import TaskResult

_LOG = logging.getLogger("orchestrator")
_ENDS = {
    "halt": RunStatus.HALTED,
    "budget": RunStatus.HALTED,
    "timeout": RunStatus.TIMED_OUT,
    "interrupt": RunStatus.INTERRUPTED,
    "request": RunStatus.INTERRUPTED,
}


def run_account(plan: RunPlan, run_id: str) -> dict[str, Any]:
    """Say what a run is that starts."""
    digests = content_digests(plan.config, plan.tasks, plan.agents)
    return {
        "run_id": run_id,
        "repo": str(plan.folder),
        "base_ref": plan.config.base,
        "base_commit": plan.base_commit,
        "isolation": plan.isolation,
        "boundary": plan.boundary,
        "max_workers": plan.max_workers,
        "timeout_s": plan.config.timeout,
        "pid": os.getpid(),
        "version": __version__,
        "tasks": [
            {
                "id": task.id,
                "name": task.name,
                "agent": plan.agents[task.id].name,
                "needs": list(task.needs),
                "variant_of": task.variant_of,
                "estimate_s": task.estimate_s,
                "digest": digests[task.id],
            }
            for task in plan.tasks
        ],
    }


def resume_account(plan: RunPlan, reason: str, elapsed_s: float, again: Iterable[str]) -> dict[str, Any]:
    """Say with what a run goes on."""
    return {
        "reason": reason,
        "elapsed_s": round(elapsed_s, 6),
        "again": list(again),
        "boundary": plan.boundary,
        "max_workers": plan.max_workers,
        "timeout_s": plan.config.timeout,
        "pid": os.getpid(),
        "version": __version__,
    }


def attempt_account(report: AttemptReport, duration: float) -> dict[str, Any]:
    """Say what came of an attempt."""
    outcome = report.outcome
    cost, tokens = told_cost(outcome)
    return {
        "cost_usd": cost,
        "tokens": tokens,
        "status": outcome.status.value,
        "error_kind": outcome.error_kind,
        "error_message": outcome.error_message,
        "exit_code": outcome.exit.exit_code if outcome.exit else None,
        "signal": outcome.exit.signal if outcome.exit else None,
        "duration": round(duration, 6),
        "resources": dict(report.resources) if report.resources else None,
        "commit": report.commit,
        "verified": report.verify.passed if report.verify else None,
    }


def finished_work(results: Iterable[TaskResult]) -> dict[str, str]:
    """The commits that there are to compare, by worker."""
    return {result.worker_id: result.commit for result in results if result.commit and result.files_changed}


def conflict_account(plan: RunPlan, run_id: str, results: Iterable[TaskResult]) -> dict[str, Any] | None:
    """Say who conflicts with whom. What git cannot say is a warning: the work itself is done."""
    if plan.repository is None or plan.base_commit is None:
        return None
    needs = {task.id: task.needs for task in plan.tasks}
    try:
        return foresee(
            plan.repository,
            plan.base_commit,
            finished_work(results),
            needs,
            rules=rules_of(plan.config),
            ref=plan.config.base,
        )
    except GitError as err:
        _LOG.warning("the branches of run %s could not be compared: %s", run_id, err.message)
        return None


def budget_account(budget: Budget, ledger: Ledger) -> dict[str, Any] | None:
    """Say what is gone of the run's budget; None without one."""
    if not budget.limited:
        return None
    spent = {"spent_usd": round(ledger.spent.cost, 6), "spent_tokens": round(ledger.spent.tokens)}
    return {"cost_usd": budget.cost, "tokens": budget.tokens, **spent}


def run_status(results: Iterable[TaskResult], stopping: str | None) -> RunStatus:
    """Say how a run ended."""
    if all(result.success for result in results):
        return RunStatus.SUCCEEDED
    return _ENDS.get(stopping or "", RunStatus.FAILED)
