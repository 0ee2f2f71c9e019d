"""The session object that an agent adapter is handed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from orchestrator.attempt.environment import Belongings
from orchestrator.attempt.spec import AttemptSpec, Sinks, Surroundings
from orchestrator.attempt.stop import first_of
from orchestrator.attempt.transcript import Transcript
from orchestrator.errors import SpawnError
from orchestrator.model.event import EventKind, Phase
from orchestrator.model.request import Decision, Level, PermissionRequest, Verdict
from orchestrator.model.result import PermissionCounts
from orchestrator.model.task import Task
from orchestrator.model.transcript import Role
from orchestrator.ports import OnOutput, Process, Workspace, Wrap
from orchestrator.secrets import Mask
from orchestrator.sessions.output import OutputLog


class AttemptSession:
    """Implements `ports.Session`; remembers every process it started so that none is left."""

    def __init__(
        self,
        *,
        spec: AttemptSpec,
        workspace: Workspace,
        belongings: Belongings,
        around: Surroundings,
        sinks: Sinks,
        wrap: Wrap,
        mask: Mask,
    ) -> None:
        self._spec, self._workspace, self._belongings = spec, workspace, belongings
        self._around, self._sinks, self._wrap = around, sinks, wrap
        self._transcript = Transcript(
            spec.transcript_path, limit=spec.log_limit, clock=around.clock, mask=mask
        )
        self._mask = mask
        self._errors: OutputLog | None = None
        self._verdicts = dict.fromkeys(Verdict, 0)
        self._waiting = 0  # questions that a person has not answered yet
        self._answered_at: float | None = None
        self.last_heard: float | None = None  # the monotonic instant of what was last said by its protocol
        self._closed = asyncio.Event()
        self._round_env: Mapping[str, str] = {}
        self.follow_up = (
            spec.follow_up
        )  #: whether the prompt is the next thing to say in the session that goes on
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
        return self._belongings.prompt_file

    @property
    def env(self) -> Mapping[str, str]:
        """The whole environment of the agent's processes."""
        return {**self._belongings.env, **self._round_env}

    @property
    def config_dir(self) -> Path:
        """The worker's own folder for its agent's settings and sessions."""
        return self._spec.config_dir

    @property
    def login_dir(self) -> Path | None:
        """The folder in which the user's login is lent to sandboxed workers."""
        return self._spec.login_dir

    @property
    def resume_id(self) -> str | None:
        """The agent's own session to go on with."""
        return self._spec.resume_id

    @property
    def permissions(self) -> PermissionCounts:
        """How many requests were answered how."""
        return PermissionCounts(
            allowed=self._verdicts[Verdict.ALLOW],
            denied=self._verdicts[Verdict.DENY],
            asked=self._verdicts[Verdict.ASK],
        )

    def go_on(self, prompt: str, *, resume_id: str | None, env: Mapping[str, str]) -> None:
        """Make ready for a further turn of the agent, which is told `prompt`."""
        prompt = self._mask.text(prompt)
        self._belongings.prompt_file.write_text(prompt, encoding="utf-8", errors="surrogateescape")
        self._spec = replace(self._spec, task=replace(self._spec.task, prompt=prompt), resume_id=resume_id)
        self._round_env, self.follow_up = env, True

    def close(self) -> None:
        """Let nothing start any more; what is just starting is ended at once."""
        self._closed.set()

    def release(self) -> None:
        """Close the session's own files, once its processes are gone."""
        self._transcript.close()
        if self._errors:
            self._errors.close()

    @property
    def asks(self) -> bool:
        """Whether it waits for a person's answer."""
        return self._waiting > 0

    def last_output(self) -> float | None:
        """The monotonic instant of the newest byte from any of its processes; waiting for us is not idle."""
        if self._waiting:
            return self._around.clock.monotonic()
        instants = [process.last_output for process in self.processes]
        return max([*instants, self._answered_at] if self._answered_at else instants, default=None)

    def emit(self, kind: EventKind, **data: Any) -> None:
        """Record something that the agent did or said."""
        self.last_heard = self._around.clock.monotonic()
        self._sinks.emit(kind, data)

    def transcribe(self, role: Role, text: str, **data: Any) -> None:
        """Add an entry to the attempt's transcript."""
        self.last_heard = self._around.clock.monotonic()
        self._transcript.add(role, text, data)

    async def decide(self, request: PermissionRequest) -> Decision:
        """Judge by the policy, or ask a person; the answer is durable before the agent hears it."""
        self.emit(
            EventKind.PERMISSION_REQUESTED,
            request_id=request.id,
            tool=request.tool.value,
            path=request.path,
            command=request.command,
            arguments=dict(request.arguments),
        )
        decision = self._judge(request)
        self._verdicts[decision.verdict] += 1
        if decision.verdict is Verdict.ASK:
            decision = await self._ask(request, decision)
            self._verdicts[decision.verdict] += 1
        self.transcribe(
            Role.PERMISSION,
            request.command or request.path or json.dumps(dict(request.arguments), default=str),
            tool=request.tool.value,
            verdict=decision.verdict.value,
            rule=decision.rule,
            reason=decision.reason,
        )
        answer = {"request_id": request.id, **asdict(decision)}
        await self._sinks.record(EventKind.PERMISSION_DECIDED, answer)
        return decision

    async def _ask(self, request: PermissionRequest, decision: Decision) -> Decision:
        """Wait for a person; what was allowed is judged again, for the workspace may have changed."""
        self._waiting += 1
        self.emit(EventKind.ATTEMPT_PHASE, phase=Phase.WAITING.value)
        try:
            answer = await self._answer(request, decision)
        finally:
            self._waiting -= 1
            self._answered_at = self._around.clock.monotonic()
            if not self._waiting:
                self.emit(EventKind.ATTEMPT_PHASE, phase=Phase.RUNNING.value)
        if answer.verdict is not Verdict.ALLOW:
            return answer
        now = self._judge(request)
        if now.verdict is not Verdict.DENY:
            return answer
        reason = f"{now.reason} (a person allowed it, but it is no longer what it was)"
        return replace(now, reason=reason, by=answer.by, question=answer.question)

    async def _answer(self, request: PermissionRequest, decision: Decision) -> Decision:
        """Return the answer; a denial when nobody is left to hear one."""
        asking = asyncio.ensure_future(self._sinks.ask(request, decision))
        try:
            if await first_of(asking, self._closed.wait(), self._all_ended()):
                return asking.result()
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        why = "attempt was stopped" if self._closed.is_set() else "agent ended"
        reason = f"the {why} before anybody answered"
        return Decision(verdict=Verdict.DENY, level=decision.level, rule="withdrawn", reason=reason)

    async def _all_ended(self) -> None:
        """Return once no process is left that could hear an answer; never for an agent without any."""
        if not self.processes:
            await self._closed.wait()
        while self.processes:
            heard = list(self.processes)
            await asyncio.gather(*(process.wait() for process in heard))
            if len(heard) == len(self.processes):
                return

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
        env: Mapping[str, str] | None = None,
        errors_apart: bool = False,
        on_output: OnOutput | None = None,
    ) -> Process:
        """Start a process in the workspace; its output goes to the attempt's log."""
        if self._closed.is_set():
            raise SpawnError(f"`{argv[0]}` was not started: the attempt is being stopped")
        process = await self._around.spawner.spawn(
            self._wrap(argv),
            cwd=self.workspace,
            env={**self.env, **(env or {})},
            terminal=terminal,
            log=self._belongings.log,
            stderr_log=self._error_log() if errors_apart else None,
            on_output=on_output,
            exit_file=self._spec.directory / f"exit-{len(self.processes) + 1}.json",
        )
        self.processes.append(process)
        self.emit(EventKind.PROCESS_STARTED, pid=process.pid, argv=list(argv), terminal=terminal)
        await self._end_if_closed(process)
        return process

    def _error_log(self) -> OutputLog:
        if self._errors is None:
            self._errors = OutputLog(self._spec.errors_path, self._spec.log_limit, self._mask)
        return self._errors

    async def _end_if_closed(self, process: Process) -> None:
        """The attempt may have been stopped while the process was starting."""
        if self._closed.is_set():
            await process.stop(now=True)
