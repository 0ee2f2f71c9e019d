"""A session over real processes for the ACP adapter's tests."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.agents.acp import AcpAgent
from orchestrator.agents.acp_settings import AcpSettings
from orchestrator.model.event import EventKind
from orchestrator.model.outcome import Outcome
from orchestrator.model.request import Decision, Level, PermissionRequest, Verdict
from orchestrator.model.task import Task
from orchestrator.model.transcript import Role
from orchestrator.ports import OnOutput
from orchestrator.sessions.output import OutputLog
from orchestrator.sessions.process import SpawnedProcess
from tests.integration.sessions_fixtures import ENV, Bench, bench

PROGRAM = Path(__file__).with_name("acp_agent.py")
Judge = Callable[[PermissionRequest], Awaitable[Verdict]]


async def allow(_: PermissionRequest) -> Verdict:
    return Verdict.ALLOW


async def deny(_: PermissionRequest) -> Verdict:
    return Verdict.DENY


@dataclass
class AcpSession:
    """A `ports.Session` that keeps what it hears; the judge is a coroutine."""

    task: Task
    bench: Bench
    config_dir: Path
    judge: Judge = allow
    resume_id: str | None = None
    follow_up: bool = False
    env: Mapping[str, str] = field(default_factory=lambda: dict(ENV))
    emitted: list[tuple[EventKind, dict[str, Any]]] = field(default_factory=list)
    told: list[tuple[Role, str]] = field(default_factory=list)
    asked: list[PermissionRequest] = field(default_factory=list)
    processes: list[SpawnedProcess] = field(default_factory=list)
    logs: list[OutputLog] = field(default_factory=list)

    @property
    def workspace(self) -> Path:
        return self.bench.folder

    @property
    def prompt_file(self) -> Path:
        return self.bench.folder.parent / "prompt.md"

    def emit(self, kind: EventKind, **data: Any) -> None:
        self.emitted.append((kind, data))

    def transcribe(self, role: Role, text: str, **_: Any) -> None:
        self.told.append((role, text))

    async def decide(self, request: PermissionRequest) -> Decision:
        self.asked.append(request)
        verdict = await self.judge(request)
        return Decision(verdict=verdict, level=Level.SAFE, rule="test", reason="the test says so")

    async def spawn(
        self,
        argv: Sequence[str],
        *,
        terminal: bool = False,
        env: Mapping[str, str] | None = None,
        errors_apart: bool = False,
        on_output: OnOutput | None = None,
    ) -> SpawnedProcess:
        errors = OutputLog(self.bench.folder.parent / "errors.log", 1000) if errors_apart else None
        if errors:
            self.logs.append(errors)
        process = await self.bench.spawn(
            argv, env={**self.env, **(env or {})}, terminal=terminal, stderr_log=errors, on_output=on_output
        )
        self.processes.append(process)
        return process

    async def release(self) -> None:
        """Stop what is left, as the attempt would, and close the logs."""
        for process in self.processes:
            await process.stop(now=True)
        for log in self.logs:
            log.close()

    def texts(self, role: Role) -> list[str]:
        return [text for told, text in self.told if told is role]


def settings(scenario: str, **values: Any) -> AcpSettings:
    command = (sys.executable, "-I", "-S", str(PROGRAM), scenario)
    return AcpSettings(**{"name": "fake", "command": command, **values})


def drive(
    tmp_path: Path,
    scenario: str,
    *,
    agent: AcpSettings | None = None,
    model: str | None = None,
    **values: Any,
) -> tuple[Outcome, AcpSession]:
    """Run one scenario to its outcome, stop what is left as the attempt would, and return both."""
    workspace = tmp_path / "workspace"
    workspace.mkdir(exist_ok=True)
    config_dir = tmp_path / "config"
    config_dir.mkdir(exist_ok=True)

    async def main() -> tuple[Outcome, AcpSession]:
        task = Task(id="worker_01", name="a task", prompt="do it", model=model)
        async with bench(workspace) as made:
            session = AcpSession(task=task, bench=made, config_dir=config_dir, **values)
            try:
                run = AcpAgent(agent or settings(scenario)).run(session)
                return await asyncio.wait_for(run, 60), session
            finally:
                await session.release()

    return asyncio.run(main())
