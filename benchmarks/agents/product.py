"""The product on the same task, `count` workers at once, in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from benchmarks.agents.bare import BARE_PROMPT
from orchestrator.config import OrchestratorConfig
from orchestrator.core.plan import prepare
from orchestrator.core.run import Run
from orchestrator.model.event import Event, EventKind
from orchestrator.taskfile import task_from_mapping

#: The scripted model does not care; some agents use other tools for a model that they know.
MODEL = "scripted-model"


def main(job_text: str) -> None:
    """Run a job; print what it took as one JSON object.

    The job, as JSON: `agent`, `prompt`, `repo`, `count`, `sandbox` and `bare`: the agent's own command line
    and environment, to be run as a plain command instead of through its adapter; null: through its adapter.
    """
    job = json.loads(job_text)
    tasks = [task_from_mapping(f"w{number}", _task(job, number)) for number in range(job["count"])]
    config = OrchestratorConfig(repo=Path(job["repo"]), sandbox=job["sandbox"], max_workers=job["count"])
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


def _task(job: Mapping[str, Any], number: int) -> dict[str, Any]:
    prompt = f"{job['prompt']}/{number}"
    if not job["bare"]:
        return {"name": job["agent"], "prompt": prompt, "agent": job["agent"], "model": MODEL}
    argv, env = job["bare"]
    command = [prompt if word == BARE_PROMPT else word for word in argv]
    return {"name": job["agent"], "prompt": prompt, "command": command, "env": env}


def _cpu(who: int) -> float:
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main(sys.argv[1])
