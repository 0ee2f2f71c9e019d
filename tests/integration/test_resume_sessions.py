"""Real Claude Code in a run that is killed: its own session goes on, in its own workspace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.config import workspaces_dir
from orchestrator.conformance.model_server import ModelServer
from orchestrator.conformance.script import Step, prompt_for
from orchestrator.workspaces.overlay import unmount
from tests.integration.agent_fixtures import real_agents
from tests.integration.run_fixtures import git, make_repository

COMMAND = [sys.executable, "-m", "orchestrator"]


@pytest.fixture
def model(tmp_path: Path) -> Iterator[ModelServer]:
    with real_agents(tmp_path, "claude") as server:
        yield server


@pytest.mark.parametrize("isolation", ["worktree", "clone"])
def test_a_killed_session_goes_on(model: ModelServer, tmp_path: Path, isolation: str) -> None:
    repo = make_repository(tmp_path / "repo")
    model.scripts["cut"] = [Step(shell="echo kept > kept.txt"), Step(hang=True)]
    prompt = json.dumps(prompt_for("cut"))
    (repo / "t.yaml").write_text(
        f'version: 1\nsandbox: "off"\nisolation: {isolation}\nsetup: ["echo once >> {tmp_path}/setup"]\n'
        f"tasks: [{{id: a, agent: claude, prompt: {prompt}}}]\n"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    going = subprocess.Popen([*COMMAND, "run", "t.yaml", "--no-progress"], cwd=repo, env=env)
    deadline = time.monotonic() + 60
    while not any(seen.step == 1 for seen in model.requests):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    going.kill()
    going.wait()

    # Told that it was cut off, with the task once more, it plays the script from its beginning.
    model.scripts["cut"] = [Step(shell="cat kept.txt && echo new > new.txt"), Step(say="Done.")]
    for place in workspaces_dir().glob("*/a"):
        unmount(place)  # as after a reboot; nothing to do where it is no overlay
    argv = [*COMMAND, "resume", "--json"]
    done = subprocess.run(argv, cwd=repo, env=env, capture_output=True, text=True, timeout=100, check=False)

    assert done.returncode == 0, done.stderr
    [result] = json.loads(done.stdout)["results"]
    assert (result["status"], result["attempts"], result["branch"].rpartition("/")[2]) == (
        "succeeded",
        2,
        "a",
    )
    assert result["files_changed"] == ["kept.txt", "new.txt"]
    assert git(repo, "show", f"{result['branch']}:kept.txt") == "kept"
    said = [item.text for item in model.requests[-1].request.items]
    assert sum("SCRIPT:cut" in text for text in said) == 2
    assert any("You were cut off" in text for text in said)
    assert (tmp_path / "setup").read_text() == "once\n"
