"""The product as a contender: one run through the whole path, in a process of its own."""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.makespan.jobs import Account, Job
from benchmarks.makespan.workloads import lost_lines
from orchestrator.config import OrchestratorConfig
from orchestrator.core.plan import prepare
from orchestrator.core.run import Run
from orchestrator.model.result import TaskResult
from orchestrator.model.task import Task


def main(job_file: str, account_file: str) -> None:
    """Run the job: from tasks in hand to results in hand."""
    job = Job.load(Path(job_file))
    tasks = make_tasks(job)
    config = OrchestratorConfig(
        repo=job.repo or job.scratch,
        agent="command",
        isolation="worktree" if job.repo else "none",
        sandbox="off",  # the peers have none
        max_workers=job.slots,
    )
    own, children, began = _cpu(resource.RUSAGE_SELF), _cpu(resource.RUSAGE_CHILDREN), time.monotonic()
    results = asyncio.run(Run(prepare(config, tasks, shared_folder=True)).execute())
    wall = time.monotonic() - began
    Account(
        wall=wall,
        cpu_own=_cpu(resource.RUSAGE_SELF) - own,
        cpu_children=_cpu(resource.RUSAGE_CHILDREN) - children,
        lost_lines=sum(_lost(result) for result in results),
        failed=sum(not result.success for result in results),
        intervals=intervals(results),
    ).save(Path(account_file))


def make_tasks(job: Job) -> list[Task]:
    """One task per worker. The id goes in as the prompt, so that nothing is typed on a terminal."""
    return [
        Task(
            id=name,
            name=name,
            prompt=name,
            command=(job.program, "{prompt}", *job.arguments(number)[1:]),
            terminal=job.terminal,
        )
        for number, name in enumerate(job.ids)
    ]


def intervals(results: Sequence[TaskResult]) -> list[tuple[float, float]]:
    """When each worker held its slot."""
    return [(result.queue_wait, result.queue_wait + result.duration) for result in results]


def _lost(result: TaskResult) -> int:
    output = Path(result.log_path).read_bytes() if result.log_path else b""
    return lost_lines([result.worker_id], output)


def _cpu(who: int) -> float:
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
