"""What each task of a run is to do, as a digest: tasks with the same one are the same work."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.attempt.masking import run_mask
from orchestrator.config import OrchestratorConfig
from orchestrator.model.task import Task
from orchestrator.ports import Agent

_LENGTH = 24


def content_digests(
    config: OrchestratorConfig, tasks: Sequence[Task], agents: Mapping[str, Agent]
) -> dict[str, str]:
    """Return the digest of each task, by id.

    It covers what its agent is told and how the work is checked, and the same of all that it needs; not its
    id, its name, its place or its limits. Secret values are not part of it.
    """
    by_id = {task.id: task for task in tasks}
    mask = run_mask(config.pass_env, [config.env, *(task.env for task in tasks)])
    found: dict[str, str] = {}

    def digest(task_id: str) -> str:
        if task_id not in found:
            task = by_id[task_id]
            content = _content(config, task, agents[task_id].name)
            content["needs"] = sorted(map(digest, task.needs))
            text = mask.text(json.dumps(content, sort_keys=True))
            found[task_id] = hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]
        return found[task_id]

    return {task.id: digest(task.id) for task in tasks}


def _content(config: OrchestratorConfig, task: Task, agent: str) -> dict[str, Any]:
    several = {"attempts": task.attempts, "agents": list(task.agents), "models": list(task.models)}
    return {
        **(several if task.variants else {}),
        "prompt": task.prompt,
        "command": list(task.command),
        "terminal": task.terminal,
        "agent": agent,
        "model": task.model or config.model,
        "files": list(task.files),
        "setup": list(config.setup),
        "verify": list(config.verify if task.verify is None else task.verify),
        "env": {**config.env, **task.env},
    }
