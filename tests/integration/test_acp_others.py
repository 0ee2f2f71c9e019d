"""Further real agents on ACP, where ORCHESTRATOR_TEST_ACP names folders with their programs (like PATH)."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from orchestrator.conformance.script import Step
from orchestrator.model.outcome import TurnEnd
from orchestrator.model.result import Status, TaskResult
from tests.integration.agent_fixtures import agent_task, real_agents
from tests.integration.run_fixtures import make_repository, run

pytestmark = pytest.mark.slow

PROGRAMS = {
    "opencode": "opencode",
    "qwen": "qwen",
    "claude-acp": "claude-agent-acp",
    "codex-acp": "codex-acp",
}


def _opencode_settings(home: Path, url: str) -> None:
    """The model server as a user of OpenCode would name it."""
    options = {"baseURL": f"{url}/v1", "apiKey": "key-of-the-scripted-model"}
    models = {"scripted": {"name": "scripted", "limit": {"context": 128000, "output": 8000}}}
    provider = {"npm": "@ai-sdk/openai-compatible", "name": "own", "options": options, "models": models}
    settings = {"model": "own/scripted", "small_model": "own/scripted", "provider": {"own": provider}}
    folder = home / ".config/opencode"
    folder.mkdir(parents=True)
    (folder / "opencode.json").write_text(json.dumps({**settings, "enabled_providers": ["own"]}))


def _one(tmp_path: Path, name: str, script: list[Step]) -> TaskResult:
    folders = os.environ.get("ORCHESTRATOR_TEST_ACP")
    if not folders or not shutil.which(PROGRAMS[name], path=folders):
        pytest.skip(f"`{PROGRAMS[name]}` is in no folder that ORCHESTRATOR_TEST_ACP names")
    with real_agents(tmp_path, scripts={"it": script}) as model:
        _opencode_settings(Path(os.environ["HOME"]), model.url)
        os.environ["PATH"] = f"{folders}:{os.environ['PATH']}"
        [result] = run(make_repository(tmp_path / "repo"), [agent_task("w1", name, "it")])
    return result


@pytest.mark.parametrize("name", list(PROGRAMS))
def test_gated_work(tmp_path: Path, name: str) -> None:
    # Qwen Code refuses relative paths: it writes through its shell.
    write = Step(shell="touch hello.txt") if name == "qwen" else Step(write=("hello.txt", "hello\n"))
    result = _one(tmp_path, name, [write, Step(shell="cp hello.txt copy.txt"), Step(say="All done.")])
    assert (result.status, result.error_message) == (Status.SUCCEEDED, None)
    assert result.output == "All done."
    assert result.files_changed == ("copy.txt", "hello.txt")
    assert (result.permissions.allowed, result.permissions.denied) == (2, 0)


@pytest.mark.parametrize("name", list(PROGRAMS))
def test_a_denial(tmp_path: Path, name: str) -> None:
    result = _one(tmp_path, name, [Step(shell="git push --force origin main"), Step(say="Could not.")])
    assert (result.status, result.error_kind) == (Status.REJECTED, TurnEnd.DENIED)
    assert (result.permissions.allowed, result.permissions.denied) == (0, 1)
