"""An agent that does its task in two turns: the second goes on with the first one's session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from orchestrator.model.installation import Installation
from orchestrator.model.outcome import Outcome
from orchestrator.model.result import Status
from orchestrator.model.task import Task
from orchestrator.ports import Process, ProgramAgent, Session


class TwoTurns:
    """Lets `agent` do the task, then `prompt`, as a later attempt of the same worker would."""

    def __init__(self, agent: ProgramAgent, prompt: str) -> None:
        self._agent, self._prompt = agent, prompt
        self.name = agent.name

    @property
    def variables(self) -> Sequence[str]:
        """As the agent's."""
        return self._agent.variables

    def look(self, env: Mapping[str, str]) -> Installation:
        """As the agent's."""
        return self._agent.look(env)

    def fault(self, task: Task) -> str | None:
        """As the agent's."""
        return self._agent.fault(task)

    async def run(self, session: Session) -> Outcome:
        """Both turns; the outcome of the first when there is nothing to go on with."""
        before = _Turn(session, session.task, session.prompt_file, None)
        first = await self._agent.run(cast("Session", before))
        await before.end()
        if first.status is not Status.SUCCEEDED or first.session_id is None:
            return first
        prompt_file = session.prompt_file.with_name("prompt-2.md")
        prompt_file.write_text(self._prompt)
        task = replace(session.task, prompt=self._prompt)
        after = _Turn(session, task, prompt_file, first.session_id)
        return await self._agent.run(cast("Session", after))


class _Turn:
    """A session as it is for one of the turns; it is the attempt's own in everything else."""

    def __init__(self, session: Session, task: Task, prompt_file: Path, resume_id: str | None) -> None:
        self._session = session
        self._processes: list[Process] = []
        self.task, self.prompt_file, self.resume_id = task, prompt_file, resume_id

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    async def spawn(self, argv: Sequence[str], **settings: Any) -> Process:
        """Start a process, and remember it."""
        process = await self._session.spawn(argv, **settings)
        self._processes.append(process)
        return process

    async def end(self) -> None:
        """Stop what the turn left running, as an attempt does."""
        for process in self._processes:
            await process.stop()
