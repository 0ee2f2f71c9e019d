"""Phase 1: the eight workers of MicroBlog in one run, and who conflicts with whom.

Runs by itself (`python tests/test_phase1_parallel_execution.py [AGENT]`; the exit status is the verdict)
and under pytest. A minute is scaled to a tenth of a second: 20, 20, 25, 25, 20, 20, 25, 20 units.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

from orchestrator import OrchestratorConfig, StructuredLogger, TaskResult
from orchestrator.core.worker_manager import WorkerManager
from orchestrator.demo.microblog import build_repository, microblog_tasks
from orchestrator.git.process import run_git
from orchestrator.report.verdict import overlaps, verification_block

UNIT_S = 0.1
TASKS = microblog_tasks(UNIT_S)
#: What starting, preparing and collecting may add to the slowest worker.
TOLERANCE_S = 1.5
#: The criteria of the original design.
COMPLETED, CONFLICTS = 0.75, 0.20


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase1:
    """What one run gave."""

    results: Sequence[TaskResult]
    total: float
    conflicts: Sequence[tuple[str, str]]
    untouched: bool


def run(folder: Path, agent: str = "demo") -> Phase1:
    """Run the eight workers in a fresh repository."""
    build_repository(folder)
    before = _state(folder)
    config = OrchestratorConfig(repo=folder, agent=agent, isolation="worktree")
    with WorkerManager(config, StructuredLogger("phase1")) as manager:
        for task in TASKS:
            manager.spawn_worker(task.id, replace(task, agent=agent))
        started = time.monotonic()
        results = manager.wait_all(max_workers=8, timeout=1800)
        total = time.monotonic() - started
    branches = {result.worker_id: result.branch for result in results if result.branch}
    conflicts = [
        pair
        for pair in combinations(branches, 2)
        if _conflict(folder, *(str(branches[worker_id]) for worker_id in pair))
    ]
    return Phase1(results=results, total=total, conflicts=conflicts, untouched=_state(folder) == before)


def _state(repo: Path) -> tuple[bytes, bytes]:
    status = run_git(["status", "--porcelain", "--ignored"], cwd=repo).stdout
    return run_git(["rev-parse", "HEAD", "main"], cwd=repo).stdout, status


def _conflict(repo: Path, ours: str, theirs: str) -> bool:
    return run_git(["merge-tree", "--write-tree", ours, theirs], cwd=repo, check=False).exit_code == 1


def faults(phase: Phase1) -> list[str]:
    """Say everything that is not as it must be."""
    results = phase.results
    durations = [result.duration for result in results]
    declared = {task.id: sorted(task.files) for task in TASKS}
    succeeded = [result for result in results if result.success]
    pairs = len(results) * (len(results) - 1) / 2
    checks = {
        "every worker has a result, in the order of spawning": [r.worker_id for r in results]
        == list(declared),
        "three quarters of the workers succeeded": len(succeeded) >= COMPLETED * len(TASKS),
        "every worker wrote its declared files and no others": all(
            sorted(result.files_changed) == declared[result.worker_id] for result in succeeded
        ),
        "fewer than a fifth of the pairs conflict": len(phase.conflicts) < CONFLICTS * pairs,
        "all eight ran at one instant": overlaps(map(interval, results)) == len(TASKS),
        "the total is less than the sum": phase.total < sum(durations),
        f"the total is the slowest worker's time, within {TOLERANCE_S} s": (
            phase.total - max(durations) <= TOLERANCE_S
        ),
        "the user's checkout and branches are as before": phase.untouched,
    }
    return [check for check, holds in checks.items() if not holds]


def interval(result: TaskResult) -> tuple[float, float]:
    """Return when a worker ran, in its slot."""
    assert result.started_at is not None
    started = result.started_at.timestamp()
    return started, started + result.duration


def block(phase: Phase1) -> str:
    """Return the verification block; its verdict comes from overlapping intervals."""
    durations = [(result.worker_id, result.duration) for result in phase.results]
    parallel = overlaps(map(interval, phase.results)) == len(phase.results)
    return verification_block(durations, phase.total, parallel)


def test_eight_workers_build_microblog_at_the_same_time(tmp_path: Path) -> None:
    phase = run(tmp_path / "repo")
    print(block(phase))
    assert not faults(phase), [
        (r.worker_id, r.status, r.error_message) for r in phase.results if not r.success
    ]
    assert all(result.success for result in phase.results)
    assert phase.conflicts == []


def main() -> int:
    """Run in a fresh folder, print the block and every fault; return the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ORCHESTRATOR_HOME"] = str(Path(folder) / "home")
        phase = run(Path(folder) / "repo", *sys.argv[1:2])
    print(block(phase))
    print(
        f"\nConflicting pairs: {len(phase.conflicts)} of {len(phase.results) * (len(phase.results) - 1) // 2}"
    )
    wrong = faults(phase)
    for fault in wrong:
        print(f"NOT TRUE: {fault}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
