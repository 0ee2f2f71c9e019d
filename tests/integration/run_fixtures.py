"""Real repositories and real runs for the engine's tests."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from orchestrator.config import OrchestratorConfig
from orchestrator.core.plan import prepare
from orchestrator.core.run import Run
from orchestrator.model.event import Event
from orchestrator.model.result import TaskResult
from orchestrator.taskfile import task_from_mapping

IDENTITY = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.org"]


def git(repo: Path, *argv: str) -> str:
    done = subprocess.run(
        ["git", *IDENTITY, *argv], cwd=repo, check=True, capture_output=True, text=True, timeout=30
    )
    return done.stdout.strip()


def make_repository(folder: Path) -> Path:
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    (folder / "README.md").write_text("hello\n")
    (folder / ".gitignore").write_text("ignored/\n")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def python(code: str) -> list[str]:
    """A command that runs `code` in a fresh, quick interpreter."""
    return [sys.executable, "-I", "-S", "-c", code]


def shell(line: str) -> list[str]:
    return ["/bin/sh", "-c", line]


def task(task_id: str, command: Sequence[str], **settings: Any) -> Any:
    return task_from_mapping(
        task_id, {"name": task_id, "prompt": "do it", "command": list(command), **settings}
    )


def make_run(
    repo: Path, tasks: Sequence[Any], on_event: Callable[[Event], None] | None = None, **settings: Any
) -> Run:
    # Tasks of these tests tell what they saw in files outside their workspaces; sandbox tests ask for one.
    config = OrchestratorConfig(repo=repo, **{"sandbox": "off", **settings})
    return Run(prepare(config, tasks), on_event=on_event)


def run(repo: Path, tasks: Sequence[Any], **settings: Any) -> list[TaskResult]:
    return asyncio.run(make_run(repo, tasks, **settings).execute())
