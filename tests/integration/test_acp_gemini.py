"""The real Gemini CLI, driven through whole runs by the Agent Client Protocol, against a scripted model."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from orchestrator.agents.acp_presets import gemini
from orchestrator.attempt.spec import AttemptSpec
from orchestrator.config import OrchestratorConfig
from orchestrator.conformance.model_server import ModelServer
from orchestrator.conformance.script import Failure, Step
from orchestrator.core.plan import prepare
from orchestrator.core.results import Worker
from orchestrator.core.run import Run
from orchestrator.model.event import Event, EventKind
from orchestrator.model.outcome import TurnEnd
from orchestrator.model.result import Status, TaskResult
from tests.integration.agent_fixtures import agent_task, real_agents
from tests.integration.run_fixtures import git, make_repository, make_run, run
from tests.integration.sessions_fixtures import until

pytestmark = pytest.mark.slow

WORK = [Step(write=("hello.txt", "hello\n")), Step(shell="cp hello.txt copy.txt"), Step(say="All done.")]


def _one(tmp_path: Path, script: list[Step], **settings: Any) -> tuple[TaskResult, ModelServer]:
    """Run one task; return its result, and the model server with all that it was asked."""
    with real_agents(tmp_path, "gemini", scripts={"it": script}) as model:
        task = agent_task("w1", "gemini", "it", **settings)
        [result] = run(make_repository(tmp_path / "repo"), [task])
    return result, model


def _entries(result: TaskResult) -> list[dict[str, Any]]:
    assert result.transcript_path
    return [json.loads(line) for line in Path(result.transcript_path).read_text().splitlines()]


def test_gated_work_is_done_and_told(tmp_path: Path) -> None:
    result, _ = _one(tmp_path, WORK)
    assert (result.status, result.error_message) == (Status.SUCCEEDED, None)
    assert result.output == "All done."
    assert result.files_changed == ("copy.txt", "hello.txt")
    assert (result.permissions.allowed, result.permissions.denied) == (2, 0)
    assert (result.usage.input_tokens, result.usage.output_tokens) == (300, 60)
    roles = [entry["role"] for entry in _entries(result)]
    assert roles == ["prompt", *["tool", "permission", "result"] * 2, "agent"]


def test_what_is_refused_is_not_done(tmp_path: Path) -> None:
    script = [Step(shell="git push --force origin main"), Step(say="It could not be done.")]
    result, _ = _one(tmp_path, script)
    assert (result.status, result.error_kind) == (Status.REJECTED, TurnEnd.DENIED)
    assert (result.permissions.allowed, result.permissions.denied) == (0, 1)
    assert "git push --force origin main" in str(result.error_message)


def test_a_repositorys_own_settings_do_not_count_but_its_words_do(tmp_path: Path) -> None:
    with real_agents(tmp_path, "gemini", scripts={"it": WORK}) as model:
        repo = make_repository(tmp_path / "repo")
        (repo / ".gemini").mkdir()
        allowed = {"tools": {"allowed": ["run_shell_command", "write_file"]}}
        (repo / ".gemini/settings.json").write_text(json.dumps(allowed))
        (repo / ".env").write_text("GEMINI_MODEL=model-of-the-repository\n")
        (repo / "GEMINI.md").write_text("Words of the repository.\n")
        git(repo, "add", "-f", ".")
        git(repo, "commit", "-q", "-m", "settings")
        plan = prepare(OrchestratorConfig(repo=repo), [agent_task("w1", "gemini", "it")], trust_content=True)
        [result] = asyncio.run(Run(plan).execute())
    assert (result.status, result.permissions.allowed) == (Status.SUCCEEDED, 2)
    bodies = [json.dumps(seen.body) for seen in model.requests if not seen.aside]
    assert all("Words of the repository." in body for body in bodies)
    assert not any("model-of-the-repository" in seen.path for seen in model.requests)


@pytest.mark.parametrize(("status", "kind"), [(401, TurnEnd.AUTH), (400, TurnEnd.MODEL)])
def test_errors_of_the_model(tmp_path: Path, status: int, kind: TurnEnd) -> None:
    result, _ = _one(tmp_path, [Step(failure=Failure(status=status, message="not today"))])
    assert (result.status, result.error_kind) == (Status.FAILED, kind)


def test_a_limit_that_outlasts_the_run_parks_the_task(tmp_path: Path) -> None:
    script = [Step(failure=Failure(status=429, message="not today"))]
    with real_agents(tmp_path, "gemini", scripts={"it": script}):
        repo = make_repository(tmp_path / "repo")
        [result] = run(repo, [agent_task("w1", "gemini", "it")], timeout=55)
    assert (result.status, result.error_kind) == (Status.PARKED, TurnEnd.RATE_LIMITED)


class Again(Run):
    """Gives every attempt the session of the one before, as if that had been begun a day earlier.

    Gemini CLI names a session's file by the minute, and empties the one it is about to load in the same one.
    """

    def _spec(self, worker: Worker, number: int) -> AttemptSpec:
        spec = super()._spec(worker, number)
        for file in spec.config_dir.glob(".gemini/tmp/*/chats/session-*.jsonl"):
            file.rename(file.with_name(f"session-2020-01-01T00-00-{file.name.rpartition('-')[2]}"))
        return replace(spec, resume_id=worker.report.outcome.session_id if worker.report else None)


def test_a_session_is_resumed_and_pays_only_for_itself(tmp_path: Path) -> None:
    failing = Step(failure=Failure(status=400, message="not now", times=1))
    events: list[Event] = []
    with real_agents(tmp_path, "gemini", scripts={"it": [*WORK[:1], failing, Step(say="Done.")]}) as model:
        task = agent_task("w1", "gemini", "it", retries=1)
        plan = prepare(OrchestratorConfig(repo=make_repository(tmp_path / "repo")), [task])
        [result] = asyncio.run(Again(plan, on_event=events.append).execute())
    sessions = [event.data["session_id"] for event in events if event.kind is EventKind.AGENT_SESSION]
    assert (result.status, result.attempts, sessions) == (Status.SUCCEEDED, 2, [result.session_id] * 2)
    last = model.requests_of("it")[-1]
    assert len([item for item in last.request.items if "SCRIPT:it" in item.text]) == 2


class Lost(Run):
    """Asks for a session that is not there."""

    def _spec(self, worker: Worker, number: int) -> AttemptSpec:
        return replace(super()._spec(worker, number), resume_id="00000000-0000-4000-8000-000000000000")


def test_a_session_that_is_lost_begins_anew(tmp_path: Path) -> None:
    with real_agents(tmp_path, "gemini", scripts={"it": [Step(say="Done.")]}):
        plan = prepare(
            OrchestratorConfig(repo=make_repository(tmp_path / "repo")), [agent_task("w1", "gemini", "it")]
        )
        [result] = asyncio.run(Lost(plan).execute())
    assert (result.status, result.output) == (Status.SUCCEEDED, "Done.")
    notices = [entry["text"] for entry in _entries(result) if entry["role"] == "notice"]
    assert "could not be continued, a new one begins" in notices[0]


def _sleepers(folder: Path) -> list[int]:
    """The pids of `sleep` below a folder."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if process.name() == "sleep" and Path(process.cwd()).is_relative_to(folder):
                found.append(process.pid)
    return found


def test_a_stop_in_a_hanging_tool_leaves_nothing(tmp_path: Path) -> None:
    seen: list[int] = []
    allowed = asyncio.Event()

    def on_event(event: Event) -> None:
        if event.kind is EventKind.PERMISSION_DECIDED:
            allowed.set()

    async def stopped(repo: Path) -> TaskResult:
        made = make_run(repo, [agent_task("w1", "gemini", "it")], on_event)
        running = asyncio.ensure_future(made.execute())
        await asyncio.wait_for(allowed.wait(), 60)
        await until(lambda: bool(seen.extend(_sleepers(tmp_path)) or seen))
        made.stop()
        [result] = await running
        return result

    with real_agents(tmp_path, "gemini", scripts={"it": [Step(shell="sleep 600")]}):
        result = asyncio.run(stopped(make_repository(tmp_path / "repo")))
    assert (result.status, result.permissions.allowed) == (Status.CANCELLED, 1)
    assert seen
    assert not any(psutil.pid_exists(pid) for pid in seen)
    assert _sleepers(tmp_path) == []


def test_the_installation_is_found(tmp_path: Path) -> None:
    with real_agents(tmp_path, "gemini"):
        found = gemini().look(dict(os.environ))
        without = gemini().look({"PATH": "/nowhere", "HOME": str(tmp_path)})
    assert found.program is not None and found.version in found.tested
    assert (found.channel, found.login, found.lacks) == ("acp", "GEMINI_API_KEY is set", ())
    assert (without.program, without.version, without.login) == (None, None, None)
    assert without.lacks[0] == "install it with: npm install -g @google/gemini-cli"
