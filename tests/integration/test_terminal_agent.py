"""Real programs on a terminal, through a whole run, read off their screens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import orchestrator.agents
from orchestrator.conformance.script import Step
from orchestrator.model.outcome import TurnEnd
from orchestrator.model.result import Status, TaskResult
from tests.integration.agent_fixtures import agent_task, real_agents
from tests.integration.run_fixtures import make_repository, run

POLICY = """
version: 1
extends: unattended
allow:
  - {id: touch, tools: [shell], commands: [{program: touch}]}
"""
LONG = "touch " + " ".join(f"file_number_{number:02}.txt" for number in range(20))


def escalated(command: str) -> Step:
    """Codex asks about a command only when the model wants it outside Codex's own sandbox."""
    more = {"sandbox_permissions": "require_escalated", "justification": "it is needed"}
    return Step(tool=("exec_command", {"cmd": command, **more}))


def _run(tmp_path: Path, agent: str, script: list[Step], **settings: Any) -> TaskResult:
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    with real_agents(tmp_path, agent.removesuffix("-terminal")) as model:
        model.scripts["script"] = script
        repo = make_repository(tmp_path / "repo")
        [result] = run(
            repo,
            [agent_task("w1", agent, "script", **settings)],
            policy=str(policy),
            isolation="worktree",
            sandbox="off",
        )
    return result


def test_claude_code_writes_runs_a_long_command_and_is_refused_another(tmp_path: Path) -> None:
    script = [
        Step(write=("hello.txt", "Do you want to proceed?\n1. Yes\n2. No\n")),
        Step(shell=LONG),
        Step(shell="git push --force"),
        Step(say="I ended without it."),
    ]
    result = _run(tmp_path, "claude-terminal", script, verify=["test -f file_number_19.txt"])
    assert (result.status, result.error_message) == (Status.SUCCEEDED, None), result.output
    assert "hello.txt" in result.files_changed
    assert "file_number_19.txt" in result.files_changed
    assert (result.permissions.allowed, result.permissions.denied) == (2, 1)
    assert result.output == "I ended without it."
    assert result.session_id is not None


def test_codex_runs_what_is_allowed_exactly_and_tells_its_tokens(tmp_path: Path) -> None:
    script = [
        escalated("touch a.txt\ttabbed.txt"),
        escalated("rm -rf a.txt\t/etc/passwd"),
        Step(say="Codex is done."),
    ]
    result = _run(tmp_path, "codex-terminal", script, model="scripted-model")
    assert (result.status, result.error_kind) == (Status.REJECTED, TurnEnd.DENIED), result.error_message
    assert "rm -rf a.txt\t/etc/passwd" in (result.error_message or "")
    assert {"a.txt", "tabbed.txt"} <= set(result.files_changed)
    assert (result.permissions.allowed, result.permissions.denied) == (1, 1)
    assert result.output == "Codex is done."
    assert result.usage.input_tokens is not None


def test_a_question_that_nobody_knows_is_parked_with_its_screen(tmp_path: Path) -> None:
    """The user's own signature replaces the shipped one; this one knows no prompts at all."""
    shipped = Path(orchestrator.agents.__file__).parent / "signatures" / "claude-ax.yaml"
    own = tmp_path / "user/home/.config/orchestrator/signatures/claude-ax.yaml"
    own.parent.mkdir(parents=True)
    own.write_text(shipped.read_text().partition("prompts:")[0])
    result = _run(tmp_path, "claude-terminal", [Step(shell="touch never.txt"), Step(say="never said")])
    assert (result.status, result.error_kind) == (Status.PARKED, TurnEnd.UNKNOWN_PROMPT), result.output
    assert "> touch never.txt" in (result.error_message or "")
    assert "Select with numbers" in result.output
    assert (result.permissions.allowed, result.permissions.denied) == (0, 0)
    assert result.files_changed == ()


@pytest.mark.slow
def test_gemini_writes_what_is_allowed(tmp_path: Path) -> None:
    script = [Step(write=("hello.txt", "hello\n")), Step(say="Gemini is done.")]
    result = _run(tmp_path, "gemini-terminal", script)
    assert (result.status, result.error_message) == (Status.SUCCEEDED, None)
    assert result.files_changed == ("hello.txt",)
    assert (result.permissions.allowed, result.permissions.denied) == (1, 0)
    assert result.output == "Gemini is done."
