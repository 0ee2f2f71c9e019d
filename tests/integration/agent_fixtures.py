"""The real coding agents, each with a fresh home, dummy keys and a scripted model on loopback.

    with real_agents(tmp_path, "claude") as model:
        model.scripts["hello"] = [Step(write=("hello.txt", "hello\n")), Step(say="Done.")]
        [result] = run(make_repository(tmp_path / "repo"), [agent_task("w1", "claude", "hello")])

`dev.py test` installs them; ORCHESTRATOR_TEST_CLAUDE, _CODEX and _GEMINI name others.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from orchestrator.conformance.model_server import ModelServer
from orchestrator.conformance.script import Script, prompt_for
from orchestrator.conformance.surroundings import clean_environment, in_environment
from orchestrator.taskfile import task_from_mapping

INSTALLED = Path(__file__).resolve().parents[2] / ".agents"
#: In CI these are always there; what is missing elsewhere is skipped.
FIRST_TIER = ("claude", "codex")
_SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin"


def program(name: str) -> Path:
    """The real program, or the end of the test."""
    found = Path(os.environ.get(f"ORCHESTRATOR_TEST_{name.upper()}") or INSTALLED / name)
    if found.is_file():
        return found
    lacking = (
        f"{found} is not there: `python3 dev.py test` installs the agent `{name}` (Codex and Gemini need npm)"
    )
    if name in FIRST_TIER and os.environ.get("CI") == "true":
        pytest.fail(lacking)
    pytest.skip(lacking)


@contextmanager
def real_agents(
    folder: Path, *names: str, scripts: Mapping[str, Script] | None = None
) -> Iterator[ModelServer]:
    """Be in an environment with these programs on its PATH, and a model server for them."""
    programs = folder / "programs"
    programs.mkdir()
    for name in names:
        (programs / name).symlink_to(program(name))
    source = {**os.environ, "PATH": f"{programs}:{_SYSTEM_PATH}"}
    with ModelServer(scripts) as server:
        environment = clean_environment(server.url, folder / "user", source)
        with in_environment({**environment, "ORCHESTRATOR_HOME": os.environ["ORCHESTRATOR_HOME"]}):
            yield server


def agent_task(task_id: str, agent: str, script: str, **settings: Any) -> Any:
    """A task of which the scripted model plays `script`."""
    wanted = {"name": task_id, "prompt": prompt_for(script), "agent": agent, "timeout": 60, **settings}
    return task_from_mapping(task_id, wanted)
