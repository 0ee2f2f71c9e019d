"""Turns what a person gave `run` (files, prompts, options) into settings and tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.config import OrchestratorConfig
from orchestrator.errors import InputError
from orchestrator.model.task import Task
from orchestrator.taskfile import load_markdown_tasks, load_task_file, tasks_from_prompts

_MARKDOWN = {".md", ".markdown"}


def read_tasks(
    files: Sequence[Path], prompts: Sequence[str], options: Mapping[str, Any]
) -> tuple[OrchestratorConfig, tuple[Task, ...]]:
    """Read the tasks; `options` that are not None count more than what the task file says."""
    config, tasks = _read(files, prompts)
    given = {name: value for name, value in options.items() if value is not None}
    if not given:
        return config, tasks
    said = config.model_dump(by_alias=True, exclude_unset=True)
    return OrchestratorConfig(**{**said, **given}), tasks


def _read(files: Sequence[Path], prompts: Sequence[str]) -> tuple[OrchestratorConfig, tuple[Task, ...]]:
    if files and prompts:
        raise InputError("give either files or prompts, not both", hint="put the prompts into the task file")
    if prompts:
        return OrchestratorConfig(), tasks_from_prompts(prompts)
    if not files:
        hint = "give a task file (`orchestrator init` writes one), Markdown files, or prompts with -p"
        raise InputError("there is nothing to run", hint=hint)
    markdown = [path for path in files if path.suffix.lower() in _MARKDOWN]
    if markdown and len(markdown) == len(files):
        plan = load_markdown_tasks(markdown)
    elif len(files) == 1:
        plan = load_task_file(files[0])
    else:
        names = ", ".join(str(path) for path in files)
        hint = "one task file holds all tasks of a run; Markdown files are one task each"
        raise InputError(f"expected one task file or only Markdown files, got {names}", hint=hint)
    return plan.config, tuple(plan.tasks)
