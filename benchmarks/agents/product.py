"""The product on the same task, `count` workers at once, in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import time
from pathlib import Path

import psutil

from orchestrator.config import OrchestratorConfig
from orchestrator.core.plan import prepare
from orchestrator.core.run import Run
from orchestrator.model.event import Event, EventKind
from orchestrator.taskfile import task_from_mapping


def main(agent: str, prompt: str, repo: str, count: str, sandbox: str) -> None:
    """Run it; print what it took as one JSON object."""
    tasks = [
        task_from_mapping(
            f"w{number}", {"name": f"w{number}", "prompt": f"{prompt}/{number}", "agent": agent}
        )
        for number in range(int(count))
    ]
    config = OrchestratorConfig(repo=Path(repo), sandbox=sandbox, max_workers=int(count), tripwire="git")
    plan = prepare(config, tasks)
    before = psutil.Process().memory_info().rss
    peak = before

    def weigh(event: Event) -> None:
        nonlocal peak
        if event.kind in {EventKind.AGENT_MESSAGE, EventKind.AGENT_USAGE, EventKind.PERMISSION_DECIDED}:
            peak = max(peak, psutil.Process().memory_info().rss)

    began = time.monotonic()
    results = asyncio.run(Run(plan, on_event=weigh).execute())
    wall = time.monotonic() - began
    print(
        json.dumps(
            {
                "began": began,
                "wall": wall,
                "cpu_own": _cpu(resource.RUSAGE_SELF),
                "cpu_children": _cpu(resource.RUSAGE_CHILDREN),
                "memory": peak - before,
                "failed": [result.error_message for result in results if not result.success],
            }
        )
    )
    sys.stdout.flush()
    os._exit(0)


def _cpu(who: int) -> float:
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main(*sys.argv[1:])
