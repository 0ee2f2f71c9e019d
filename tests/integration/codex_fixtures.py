"""A session over a small program that speaks Codex's protocol."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.agents.codex import CodexAgent
from orchestrator.agents.codex_turn import Patience
from orchestrator.model.outcome import Outcome
from orchestrator.model.task import Task
from tests.integration.acp_fixtures import AcpSession
from tests.integration.sessions_fixtures import ENV, bench

PROGRAM = Path(__file__).with_name("codex_server.py")


@dataclass
class CodexSession(AcpSession):
    """As the attempt's own, with a key for a login."""

    login_dir: Path | None = None


def drive(
    tmp_path: Path, scenario: str, patience: Patience | None = None, **values: Any
) -> tuple[Outcome, CodexSession]:
    """Run one scenario of the small program to its outcome."""
    folder = tmp_path / "programs"
    folder.mkdir()
    program = folder / "codex"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S {PROGRAM} "$@"\n')
    program.chmod(0o755)
    env = {**ENV, "PATH": f"{folder}:{ENV['PATH']}", "SCENARIO": scenario, "OPENAI_API_KEY": "key-of-nobody"}
    return drive_in(env, tmp_path, patience, **values)


def drive_in(
    env: Mapping[str, str], tmp_path: Path, patience: Patience | None, **values: Any
) -> tuple[Outcome, CodexSession]:
    """Run the `codex` of `env` to its outcome, stop what is left as the attempt would, and return both."""
    for name in ("workspace", "config"):
        (tmp_path / name).mkdir()

    async def main() -> tuple[Outcome, CodexSession]:
        task = Task(id="worker_01", name="a task", prompt="do it SCRIPT:it", model="scripted-model")
        async with bench(tmp_path / "workspace", limit=1_000_000) as made:
            session = CodexSession(task=task, bench=made, config_dir=tmp_path / "config", env=env, **values)
            try:
                return await asyncio.wait_for(CodexAgent(patience).run(session), 60), session
            finally:
                await session.release()

    return asyncio.run(main())
