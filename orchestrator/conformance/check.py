"""Checks an agent by scripted cases, each a real run over a fresh repository with a scripted model."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.config import AgentKeys, OrchestratorConfig
from orchestrator.conformance.cases import BEGUN, CASES, EXIT, INTERRUPT, MESSAGE, POLICY, Case
from orchestrator.conformance.evidence import (
    Evidence,
    Grade,
    Judgement,
    failed,
    processes_of,
)
from orchestrator.conformance.model_server import ModelServer
from orchestrator.conformance.script import prompt_for
from orchestrator.conformance.surroundings import clean_environment, in_environment
from orchestrator.conformance.two_turns import TwoTurns
from orchestrator.core.plan import RunPlan, prepare
from orchestrator.core.run import Run
from orchestrator.git.process import run_git
from orchestrator.model.event import Event, EventKind
from orchestrator.ports import Agent, ProgramAgent
from orchestrator.taskfile import task_from_mapping

_CASE_S = 60.0
_AT_ONCE = 4
_LOOK_S = 0.02
_IDENTITY = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "check"), ("EMAIL", "check@localhost"))
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """How an agent did in one case."""

    case: str
    about: str
    grade: Grade
    why: str
    seconds: float


def check_agent(
    name: str, agent: Agent, folder: Path, *, defined: Mapping[str, AgentKeys] | None = None
) -> list[CaseResult]:
    """Run every case in `folder`, which must be empty; only the first when no model was asked in that.

    Replaces this process's environment meanwhile.
    """
    with ModelServer() as server, in_environment(clean_environment(server.url, folder, os.environ)):
        check = _Check(name, agent, folder, server, defined or {})
        first = asyncio.run(check.run([MESSAGE]))
        found = _judged(MESSAGE, first[0])
        if not first[0].requests:
            return [found]
        results = [found, _judged(EXIT, first[0])]
        for case, evidence in zip(CASES, asyncio.run(check.run(CASES)), strict=True):
            results.append(_judged(case, evidence))
        results.append(_judged(INTERRUPT, asyncio.run(check.interrupt(INTERRUPT))))
        return results


def _judged(case: Case, evidence: Evidence) -> CaseResult:
    judgement: Judgement = case.judge(evidence)
    if evidence.left and judgement.grade is not Grade.FAILED:
        judgement = failed(f"left running: {', '.join(evidence.left)}")
    return CaseResult(
        case=case.name,
        about=case.about,
        grade=judgement.grade,
        why=judgement.why,
        seconds=round(evidence.result.duration, 3),
    )


class _Check:
    """Makes one agent's runs."""

    def __init__(
        self,
        name: str,
        agent: Agent,
        folder: Path,
        server: ModelServer,
        defined: Mapping[str, AgentKeys],
    ) -> None:
        self._name, self._agent, self._folder, self._server = name, agent, folder, server
        self._defined = defined
        self._repo = folder / "repository"
        _make_repository(self._repo)
        (folder / "policy.yaml").write_text(POLICY)

    async def run(self, cases: Sequence[Case]) -> list[Evidence]:
        """Run the cases side by side, each as a task of one run."""
        events: list[Event] = []
        run = Run(self._plan(cases), on_event=events.append)
        results = await run.execute()
        left = processes_of(run.run_id)
        return [
            Evidence(
                result=result,
                events=[event for event in events if event.worker_id == case.name],
                requests=[seen for script in case.scripts for seen in self._server.requests_of(script)],
                left=left,
            )
            for case, result in zip(cases, results, strict=True)
        ]

    async def interrupt(self, case: Case) -> Evidence:
        """Run the case, and stop the run when the agent's command has begun."""
        events: list[Event] = []
        run = Run(self._plan([case]), on_event=events.append)
        executing = asyncio.ensure_future(run.execute())
        while not executing.done() and not _has_begun(events):
            await asyncio.wait([executing], timeout=_LOOK_S)
        stopped = None if executing.done() else time.monotonic()
        run.stop()
        [result] = await executing
        return Evidence(
            result=result,
            events=events,
            requests=self._server.requests_of(case.name),
            left=processes_of(run.run_id),
            stop_s=None if stopped is None else time.monotonic() - stopped,
        )

    def _plan(self, cases: Sequence[Case]) -> RunPlan:
        for case in cases:
            self._server.scripts.update(case.scripts)
        config = OrchestratorConfig(
            repo=self._repo,
            agents=self._defined,
            policy=str(self._folder / "policy.yaml"),
            isolation="worktree",
            sandbox="off",
            max_workers=_AT_ONCE,
        )
        tasks = [
            task_from_mapping(
                case.name,
                {
                    "name": case.name,
                    "prompt": prompt_for(case.name),
                    "agent": self._name,
                    "timeout": _CASE_S,
                },
            )
            for case in cases
        ]
        plan = prepare(config, tasks)
        return replace(plan, agents={case.name: self._agent_for(case) for case in cases})

    def _agent_for(self, case: Case) -> Agent:
        if case.then and isinstance(self._agent, ProgramAgent):
            return TwoTurns(self._agent, prompt_for(case.then))
        return self._agent


def _has_begun(events: Sequence[Event]) -> bool:
    made = [event.data["path"] for event in events if event.kind is EventKind.WORKSPACE_CREATED]
    return any((Path(path) / BEGUN).exists() for path in made)


def _make_repository(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "README.md").write_text("A repository to check an agent in.\n")
    for argv in (
        ["init", "--quiet", "--initial-branch=main", "--template="],
        ["add", "--all"],
        ["commit", "--quiet", "--message=first"],
    ):
        run_git(argv, cwd=folder, env=_IDENTITY)
