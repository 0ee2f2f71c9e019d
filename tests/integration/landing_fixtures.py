"""Runs whose work is to land, and what must hold after any landing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.core.landing import land_again
from orchestrator.journal.state import load_state
from orchestrator.landing.land import Wishes
from orchestrator.landing.plan import LandingResult
from tests.integration.run_fixtures import git, make_run, shell, task


def writes(name: str, text: str = "x") -> list[str]:
    """A command that writes `text` to a file."""
    return shell(f"mkdir -p $(dirname {name}) && printf '%s\\n' '{text}' > {name}")


def finished_run(repo: Path, commands: Mapping[str, Sequence[str]], **settings: Any) -> Path:
    """Run one task per command to its end; return the run's folder."""
    needs = settings.pop("needs", {})
    tasks = [task(name, command, needs=needs.get(name, [])) for name, command in commands.items()]
    run = make_run(repo, tasks, **settings)
    asyncio.run(run.execute())
    return run.directory


def land(folder: Path, *, history: str | None = None, pr: str | None = None, **wishes: Any) -> LandingResult:
    return asyncio.run(land_again(folder, Wishes(**wishes), history=history, pull_requests=pr))


def landing_of(folder: Path) -> Mapping[str, Any]:
    return load_state(folder).landing


def branch_of(folder: Path) -> str:
    return f"orchestrator/{folder.name}/integration"


def files_in(repo: Path, commit: str) -> list[str]:
    return git(repo, "ls-tree", "-r", "--name-only", commit).splitlines()


def tasks_in(repo: Path, folder: Path, since: str = "main") -> list[str]:
    """The tasks that the integration branch says have landed, oldest first, from its own commits."""
    commits = git(repo, "rev-list", "--first-parent", "--reverse", f"{since}..{branch_of(folder)}").split()
    format_ = "--format=%(trailers:key=Task,valueonly,separator=%x2C)"
    return [git(repo, "show", "-s", format_, commit) for commit in commits]
