"""The session object that an agent adapter is handed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.attempt.spec import AttemptSpec, Sinks, Surroundings
from orchestrator.errors import SpawnError
from orchestrator.model.event import EventKind, Phase
from orchestrator.model.request import Decision, Level, PermissionRequest, Verdict
from orchestrator.model.result import PermissionCounts
from orchestrator.model.task import Task
from orchestrator.ports import OnOutput, Process, Workspace
from orchestrator.sessions.output import OutputLog


class AttemptSession:
    """Implements `ports.Session`; remembers every process it started so that none is left."""

    def __init__(
        self,
        *,
        spec: AttemptSpec,
        workspace: Workspace,
        env: Mapping[str, str],
        prompt_file: Path,
        log: OutputLog,
        around: Surroundings,
        sinks: Sinks,
    ) -> None:
        self._spec, self._workspace, self._env = spec, workspace, env
        self._prompt_file, self._log, self._around, self._sinks = prompt_file, log, around, sinks
        self._verdicts = dict.fromkeys(Verdict, 0)
        self._closed = False
        self.processes: list[Process] = []

    @property
    def task(self) -> Task:
        """What is to be done."""
        return self._spec.task

    @property
    def workspace(self) -> Path:
        """Where the agent works."""
        return self._workspace.path

    @property
    def prompt_file(self) -> Path:
        """A file that holds the prompt, outside the workspace."""
        return self._prompt_file

    @property
    def env(self) -> Mapping[str, str]:
        """The whole environment of the agent's processes."""
        return self._env

    @property
    def permissions(self) -> PermissionCounts:
        """How many requests were answered how."""
        return PermissionCounts(
            allowed=self._verdicts[Verdict.ALLOW],
            denied=self._verdicts[Verdict.DENY],
            asked=self._verdicts[Verdict.ASK],
        )

    def close(self) -> None:
        """Let nothing start any more; what is just starting is ended at once."""
        self._closed = True

    def last_output(self) -> float | None:
        """The monotonic instant of the newest byte from any of its processes."""
        return max((process.last_output for process in self.processes), default=None)

    def emit(self, kind: EventKind, **data: Any) -> None:
        """Record something that the agent did or said."""
        self._sinks.emit(kind, data)

    async def decide(self, request: PermissionRequest) -> Decision:
        """Judge by the policy; the answer is durable before the agent hears it."""
        self.emit(
            EventKind.PERMISSION_REQUESTED,
            request_id=request.id,
            tool=request.tool.value,
            path=request.path,
            command=request.command,
            arguments=dict(request.arguments),
        )
        self.emit(EventKind.ATTEMPT_PHASE, phase=Phase.WAITING.value)
        decision = self._judge(request)
        self._verdicts[decision.verdict] += 1
        answer = {
            "request_id": request.id,
            "verdict": decision.verdict.value,
            "level": decision.level.value,
            "rule": decision.rule,
            "reason": decision.reason,
        }
        await self._sinks.record(EventKind.PERMISSION_DECIDED, answer)
        self.emit(EventKind.ATTEMPT_PHASE, phase=Phase.RUNNING.value)
        return decision

    def _judge(self, request: PermissionRequest) -> Decision:
        try:
            return self._around.policy.judge(request, self.workspace)
        except Exception as err:  # noqa: BLE001 (a policy that fails must deny, whatever its fault)
            reason = f"denied: the policy failed on this request ({type(err).__name__}: {err})"
            return Decision(verdict=Verdict.DENY, level=Level.DANGEROUS, rule="policy-fault", reason=reason)

    async def spawn(
        self,
        argv: Sequence[str],
        *,
        terminal: bool = False,
        on_output: OnOutput | None = None,
    ) -> Process:
        """Start a process in the workspace; its output goes to the attempt's log."""
        if self._closed:
            raise SpawnError(f"`{argv[0]}` was not started: the attempt is being stopped")
        process = await self._around.spawner.spawn(
            argv,
            cwd=self.workspace,
            env=self._env,
            terminal=terminal,
            log=self._log,
            on_output=on_output,
            exit_file=self._spec.directory / f"exit-{len(self.processes) + 1}.json",
        )
        self.processes.append(process)
        self.emit(EventKind.PROCESS_STARTED, pid=process.pid, argv=list(argv), terminal=terminal)
        await self._end_if_closed(process)
        return process

    async def _end_if_closed(self, process: Process) -> None:
        """The attempt may have been stopped while the process was starting."""
        if self._closed:
            await process.stop(now=True)
