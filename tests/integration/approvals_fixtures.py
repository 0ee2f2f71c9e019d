"""Agents that ask, and a policy that leaves shell commands to a person."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.config import OrchestratorConfig
from orchestrator.core.plan import prepare
from orchestrator.core.run import Run
from orchestrator.journal.runs import journal_path
from orchestrator.journal.store import add_request, read_events
from orchestrator.model.event import Event, EventKind
from orchestrator.model.request import Decision, PermissionRequest
from orchestrator.model.result import TaskResult
from orchestrator.taskfile import task_from_mapping

#: Rules that leave every shell command to a person.
ASK_FOR_SHELL = """\
version: 1
extends: unattended
ask:
  - {id: shell-asks, tools: [shell]}
"""
Judge = Callable[[PermissionRequest], Decision]


class JudgedBy:
    """A policy that is one function."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    def judge(self, request: PermissionRequest, workspace: Path) -> Decision:
        del workspace
        return self._judge(request)


def make_asking_run(
    repo: Path, tasks: Sequence[Any], *, judge: Judge | None = None, **settings: Any
) -> tuple[Run, Questions]:
    """A run whose agents must ask a person for every command; or by a judge of the test's own."""
    questions = Questions()
    rules = repo.parent / "policy.yaml"
    rules.write_text(ASK_FOR_SHELL)
    plan = prepare(OrchestratorConfig(repo=repo, policy=str(rules), **{"sandbox": "off", **settings}), tasks)
    if judge:
        plan = replace(plan, policy=JudgedBy(judge))
    return Run(plan, on_event=questions.take), questions


def asking(task_id: str, *commands: str, steps: Sequence[Any] = (), **settings: Any) -> Any:
    """A task whose demo agent asks for these commands one after the other."""
    script = [*({"ask": command} for command in commands), *steps]
    prompt = f"Ask.\n```demo\n{json.dumps(script)}\n```\n"
    return task_from_mapping(task_id, {"name": task_id, "prompt": prompt, "agent": "demo", **settings})


class Questions:
    """Collects the questions of a run as they are put; `next` waits for one."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._queue: asyncio.Queue[Event] = asyncio.Queue()

    def take(self, event: Event) -> None:
        self.events.append(event)
        if event.kind is EventKind.PERMISSION_DECIDED and event.data["verdict"] == "ask":
            self._queue.put_nowait(event)

    async def next(self) -> Event:
        return await asyncio.wait_for(self._queue.get(), 60)

    def decided(self, worker_id: str | None = None) -> list[dict[str, Any]]:
        return [
            dict(event.data)
            for event in self.events
            if event.kind is EventKind.PERMISSION_DECIDED
            and event.data["verdict"] != "ask"
            and worker_id in {None, event.worker_id}
        ]


def reply(run: Run, event: Event, verdict: str = "allow", **more: Any) -> int:
    """Leave an answer in the journal, as `orchestrator answer` does."""
    data = {"question": event.data["question"], "digest": event.data["digest"], "verdict": verdict, **more}
    return add_request(journal_path(run.directory), "answer", data)


async def refusal(run: Run, request: int) -> str:
    """Wait until the run refused this answer; return its reason."""
    async with asyncio.timeout(30):
        while True:
            for event in read_events(journal_path(run.directory)):
                if event.kind is EventKind.ANSWER_REFUSED and event.data["request"] == request:
                    return str(event.data["reason"])
            await asyncio.sleep(0.02)


async def carry_out(run: Run, person: Callable[[], Any]) -> list[TaskResult]:
    """Execute the run while `person` acts; a fault of the person's ends the run."""
    running = asyncio.ensure_future(run.execute())
    try:
        await person()
    except BaseException:
        run.stop(now=True)
        await running
        raise
    return await asyncio.wait_for(running, 60)
