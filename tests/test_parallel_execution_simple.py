"""Phase 0.6: two workers, a sum and a product, at the same time.

Runs by itself (`python tests/test_parallel_execution_simple.py [AGENT]`; the exit status is the verdict)
and under pytest. Fifteen and eighteen seconds are scaled to a tenth.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from orchestrator import OrchestratorConfig, StructuredLogger, TaskResult
from orchestrator.core.worker_manager import WorkerManager
from orchestrator.demo.microblog import build_repository
from orchestrator.report.verdict import overlaps, verification_block

TASKS = {
    "worker_01_simple": ("A sum", "What is 17 + 25? Answer with the number.", "42", 1.5),
    "worker_02_simple": ("A product", "What is 6 * 9? Answer with the number.", "54", 1.8),
}
#: What starting, preparing and collecting may add to the slowest worker.
TOLERANCE_S = 1.0


def run(folder: Path, agent: str = "demo", *, max_workers: int = 2) -> tuple[list[TaskResult], float]:
    """Run both workers; return their results and how long all of it took."""
    build_repository(folder)
    config = OrchestratorConfig(repo=folder, agent=agent)
    with WorkerManager(config, StructuredLogger("simple")) as manager:
        for worker_id, (name, question, answer, seconds) in TASKS.items():
            script = json.dumps([{"work": seconds}, {"say": answer}])
            prompt = f"{question}\n\n```demo\n{script}\n```\n"
            manager.spawn_worker(worker_id, {"name": name, "prompt": prompt})
        started = time.monotonic()
        return manager.wait_all(max_workers=max_workers, timeout=300), time.monotonic() - started


def faults(results: Sequence[TaskResult], total: float) -> list[str]:
    """Say everything that is not as it must be."""
    durations = [result.duration for result in results]
    checks = {
        "every worker has a result, in the order of spawning": [r.worker_id for r in results] == list(TASKS),
        "every worker succeeded": all(result.success for result in results),
        "every answer is right": all(TASKS[r.worker_id][2] in r.output for r in results),
        "both ran at one instant": overlaps(map(interval, results)) == 2,
        "the total is less than the sum": total < sum(durations),
        f"the total is the slowest worker's time, within {TOLERANCE_S} s": total - max(durations)
        <= TOLERANCE_S,
    }
    return [check for check, holds in checks.items() if not holds]


def interval(result: TaskResult) -> tuple[float, float]:
    """Return when a worker ran, in its slot."""
    assert result.started_at is not None
    started = result.started_at.timestamp()
    return started, started + result.duration


def block(results: Sequence[TaskResult], total: float) -> str:
    """Return the verification block; its verdict comes from overlapping intervals."""
    durations = [(result.worker_id, result.duration) for result in results]
    return verification_block(durations, total, overlaps(map(interval, results)) == len(results))


def test_two_workers_run_at_the_same_time(tmp_path: Path) -> None:
    results, total = run(tmp_path / "repo")
    print(block(results, total))
    assert not faults(results, total), [(r.status, r.error_message) for r in results]


def test_one_after_the_other_is_not_taken_for_parallel(tmp_path: Path) -> None:
    results, total = run(tmp_path / "repo", max_workers=1)
    assert "both ran at one instant" in faults(results, total)
    assert "SEQUENTIAL" in block(results, total)


def main() -> int:
    """Run in a fresh folder, print the block and every fault; return the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ORCHESTRATOR_HOME"] = str(Path(folder) / "home")
        results, total = run(Path(folder) / "repo", *sys.argv[1:2])
    print(block(results, total))
    wrong = faults(results, total)
    for fault in wrong:
        print(f"NOT TRUE: {fault}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
