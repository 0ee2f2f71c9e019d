"""Carries an attempt through under the tripwire, and fails it when something of the user's changed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor as Pool
from dataclasses import replace
from pathlib import Path

from orchestrator.attempt.spec import AttemptReport, AttemptSpec
from orchestrator.model.result import Status
from orchestrator.secrets import user_mask
from orchestrator.workspaces.tripwire import Alarm, Tripwire

EVIDENCE = "tripwire.diff"


async def under_tripwire(
    tripwire: Tripwire, pool: Pool, spec: AttemptSpec, work: Callable[[], Awaitable[AttemptReport]]
) -> AttemptReport:
    """Do `work`, with a look at the user's repository before and after it. Raises GitError."""
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(pool, tripwire.begin, spec.task.id)
    try:
        report = await work()
    finally:
        alarm = await loop.run_in_executor(pool, tripwire.end, spec.task.id)
    return _alarmed(report, alarm, spec.directory) if alarm else report


def _alarmed(report: AttemptReport, alarm: Alarm, directory: Path) -> AttemptReport:
    """Keep the evidence and fail the attempt. What was stopped stays stopped; its message says both."""
    evidence = directory / EVIDENCE
    evidence.write_text(user_mask().text(alarm.evidence()), encoding="utf-8", errors="replace")
    outcome = report.outcome
    before = f"{outcome.error_message}; " if outcome.error_message else ""
    message = (
        f"{before}{alarm.message}; the difference is in {evidence}. If it was you, see `tripwire` in the "
        f"documentation; this worker's work is on its branch"
    )
    status = outcome.status if outcome.status is Status.CANCELLED else Status.FAILED
    return replace(
        report, outcome=replace(outcome, status=status, error_kind="tripwire", error_message=message)
    )
