"""Eight real Claude Codes and eight real Codexes at once, mixed in one run, build MicroBlog."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

from orchestrator.conformance.script import Script, Step, prompt_for
from orchestrator.demo.microblog import build_repository, microblog_tasks
from orchestrator.demo.microblog.repository import SCAFFOLD
from orchestrator.journal.state import load_state
from orchestrator.model.event import Event, EventKind
from orchestrator.model.task import Task
from orchestrator.report.build import build_report
from orchestrator.taskfile import task_from_mapping
from tests.integration.agent_fixtures import real_agents
from tests.integration.run_fixtures import git, make_run

MODULES = SCAFFOLD.parent / "modules"
AGENTS = ("claude", "codex")


def script_of(task: Task) -> Script:
    """What the model does for one module: write its files, try what is refused, test, commit."""
    files = [(name, (MODULES / task.id / name).read_text()) for name in task.files]
    return (
        *(Step(say=f"I write {name}.", write=(name, content)) for name, content in files),
        Step(shell="git push --force origin HEAD"),
        Step(shell="python3 -B -m unittest -q"),
        Step(shell=f"git add -A && git commit -q -m 'Build {task.name}'"),
        Step(say=f"{task.name} is done."),
    )


def mixed_tasks() -> list[Any]:
    return [
        task_from_mapping(
            f"{agent}-{task.id}",
            {
                "name": task.name,
                "prompt": prompt_for(f"{task.id}/{agent}"),
                "agent": agent,
                "verify": list(task.verify or ()),
            },
        )
        for agent in AGENTS
        for task in microblog_tasks(0.0, "clean")
    ]


def test_sixteen_real_agents_build_two_microblogs_at_once(tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    build_repository(repo)
    before = git(repo, "for-each-ref", "refs/heads/main"), git(repo, "status", "--porcelain")
    events: list[Event] = []
    scripts = {task.id: script_of(task) for task in microblog_tasks(0.0, "clean")}
    with real_agents(tmp_path, *AGENTS, scripts=scripts):
        running = make_run(repo, mixed_tasks(), events.append, sandbox="auto", max_workers=16)
        results = asyncio.run(running.execute())

    assert {result.worker_id: result.error_message for result in results if not result.success} == {}
    assert len(results) == 16
    report = build_report(load_state(running.directory))
    assert report["max_overlap"] == 16
    for result in results:
        assert result.permissions.denied >= 1, "the forced push was let through"
        assert result.session_id and result.output.endswith("is done.")
        assert result.usage.input_tokens
        assert result.commit
    denied = [event for event in events if event.kind is EventKind.PERMISSION_DECIDED]
    assert any("push" in str(event.data["reason"]) for event in denied if event.data["verdict"] == "deny")
    assert len({result.session_id for result in results}) == 16
    assert before == (git(repo, "for-each-ref", "refs/heads/main"), git(repo, "status", "--porcelain"))
    for agent in AGENTS:
        merged(repo, [result.branch or "" for result in results if result.agent == agent])


def merged(repo: Path, branches: list[str]) -> None:
    """All eight of one kind together pass the whole project's tests."""
    git(repo, "checkout", "-q", "--detach", "main")
    git(repo, "merge", "-q", "--no-edit", *branches)
    done = subprocess.run(
        [sys.executable, "-B", "-m", "unittest", "-q"], cwd=repo, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    git(repo, "checkout", "-q", "main")
