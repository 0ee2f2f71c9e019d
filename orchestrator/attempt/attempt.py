"""Carries one attempt through: workspace, set-up, the agent's turn, commit, checks, clean-up.

Never raises for a fault of the agent or its surroundings: every end is an `AttemptReport`.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

from orchestrator.attempt.beat import beat
from orchestrator.attempt.checks import Place, run_lines
from orchestrator.attempt.environment import Belongings, agent_variables, attempt_belongings
from orchestrator.attempt.fix_rounds import added, can_go_on, failed_check, follow_up
from orchestrator.attempt.gate import certify, environment_digest, run_gate
from orchestrator.attempt.limits import Overdue, watch
from orchestrator.attempt.masking import attempt_mask, masked_report, masked_sinks
from orchestrator.attempt.session import AttemptSession
from orchestrator.attempt.spec import AttemptReport, AttemptSpec, Sinks, Surroundings
from orchestrator.attempt.stop import StopSignal, first_of
from orchestrator.attempt.tripping import under_tripwire
from orchestrator.attempt.usage import counting
from orchestrator.errors import GitError, OrchestratorError, SpawnError, WorkspaceError
from orchestrator.model.confinement import Confinement
from orchestrator.model.event import EventKind, Phase
from orchestrator.model.outcome import Outcome, ProcessExit, TurnEnd
from orchestrator.model.result import CheckResult, Status, VerifyResult
from orchestrator.ports import Workspace, Workspaces, Wrap
from orchestrator.safe_text import final_text, last_line
from orchestrator.secrets import Mask

#: How much of a check's log is read for its last line.
LAST_LINE_WINDOW = 4096
#: How long an adapter may go on after its processes are gone before it is given up.
ADAPTER_END_S = 2.0

_STOP_KINDS = {
    "timeout": (Status.TIMED_OUT, "run_timeout", "stopped: the run's time limit was reached"),
    "task_timeout": (
        Status.TIMED_OUT,
        "timeout",
        "not done within its time limit, a percentage of what finished tasks took",
    ),
    "budget": (Status.CANCELLED, "run_budget", "stopped: the run's budget is spent"),
    "halt": (Status.CANCELLED, "halted", "stopped: the halt rule ended the run"),
    "interrupt": (Status.CANCELLED, "interrupted", "stopped: the run was interrupted"),
    "request": (Status.CANCELLED, "stopped", "stopped on request"),
}


#: Kinds of error of what was stopped from outside, and may go on where it was: `_STOP_KINDS` and the
#: scheduler's own.
STOPPED = frozenset(
    {"run_timeout", "run_budget", "halted", "interrupted", "stopped", TurnEnd.RATE_LIMITED.value}
)
UNFINISHED = frozenset({Status.CANCELLED, Status.PARKED})


async def run_attempt(
    around: Surroundings,
    spec: AttemptSpec,
    sinks: Sinks,
    stop: StopSignal,
    on_report: Callable[[AttemptReport], None],
) -> None:
    """Carry `spec` out, tell what came of it, then clear the workspace away.

    `on_report` is called once the attempt's processes are gone and its work is safe: its slot is free.
    """
    mask = attempt_mask(spec, around.environment)
    sinks = masked_sinks(sinks, mask)
    _enter(sinks, Phase.PREPARING)
    try:
        spec, workspace = await _open_workspace(around.workspaces, spec)
    except (WorkspaceError, GitError) as err:
        on_report(masked_report(AttemptReport(outcome=_failed("workspace", err.message)), mask))
        return
    made = {
        "path": str(workspace.path),
        "branch": workspace.branch,
        "start_commit": workspace.start_commit,
        "of_attempt": spec.continues or spec.attempt,
    }
    sinks.emit(EventKind.WORKSPACE_CREATED, made)
    attempt = _Attempt(spec, workspace, around, sinks, stop, mask=mask)
    report = masked_report(await attempt.carry_out(), mask)
    on_report(report)
    await attempt.leave(report)


async def _open_workspace(workspaces: Workspaces, spec: AttemptSpec) -> tuple[AttemptSpec, Workspace]:
    """Go on in the workspace of an earlier attempt, or make one: then the agent begins anew, too."""
    if spec.continues is not None:
        found = await workspaces.reopen(spec.task.id, spec.continues)
        if found is not None:
            return spec, found
        spec = replace(spec, continues=None, resume_id=None)
    return spec, await workspaces.create(spec.task.id, spec.attempt, spec.needs)


def _enter(sinks: Sinks, phase: Phase) -> None:
    sinks.emit(EventKind.ATTEMPT_PHASE, {"phase": phase.value})


def _failed(kind: str, message: str, status: Status = Status.FAILED) -> Outcome:
    return Outcome(status=status, error_kind=kind, error_message=message)


class _Attempt:
    def __init__(
        self,
        spec: AttemptSpec,
        workspace: Workspace,
        around: Surroundings,
        sinks: Sinks,
        stop: StopSignal,
        *,
        mask: Mask,
    ) -> None:
        self.spec, self.workspace, self.around, self.sinks, self.stop = spec, workspace, around, sinks, stop
        self.mask = mask
        self.env: Mapping[str, str] = {}
        self.wrap: Wrap = list

    async def carry_out(self) -> AttemptReport:
        tripwire = self.around.tripwire
        if tripwire is None:
            return await self._carry_out()
        try:
            return await under_tripwire(tripwire, self.around.pool, self.spec, self._carry_out)
        except GitError as err:
            message = f"the repository cannot be watched: {err.message}"
            return AttemptReport(outcome=_failed("tripwire", message))

    async def _carry_out(self) -> AttemptReport:
        around = self.around
        try:
            async with attempt_belongings(
                self.spec, around.environment, around.pool, self.mask
            ) as belongings:
                folders = (self.workspace.path, belongings.tmp_dir)
                with around.meter.gauge(self.spec.limits, folders) as self.gauge:
                    return self._within_limits(await self._work(belongings))
        except (OSError, WorkspaceError) as err:
            return AttemptReport(outcome=_failed("system", f"the attempt could not go on: {err}"))

    async def _work(self, belongings: Belongings) -> AttemptReport:
        self.env = belongings.env
        self._confine(belongings)
        session = AttemptSession(
            spec=self.spec,
            workspace=self.workspace,
            belongings=belongings,
            around=self.around,
            sinks=replace(self.sinks, emit=counting(self.sinks.emit, self.gauge)),
            wrap=self.wrap,
            mask=self.mask,
        )
        try:
            outcome = await self._prepare() or await self._turn(session)
            _enter(self.sinks, Phase.FINISHING)
            report = await self._conclude(session, outcome)
            return await self._mend(session, report)
        finally:
            session.release()

    async def _mend(self, session: AttemptSession, report: AttemptReport) -> AttemptReport:
        """Give a failing check back to the agent, for as many rounds as there may be."""
        for number in range(1, self.spec.fix_rounds + 1):
            failed = failed_check(report)
            if failed is None or self.stop.asked or self.gauge.over.done():
                break
            if not can_go_on(self.spec.agent.name, report.outcome):
                why = f"; agent `{self.spec.agent.name}` told no session of its own, so it cannot be told"
                message = f"{report.outcome.error_message}{why}"
                return replace(report, outcome=replace(report.outcome, error_message=message))
            told = {"round": number, "of": self.spec.fix_rounds}
            self.sinks.emit(
                EventKind.GATE_GIVEN_BACK, {**told, "command": failed.command, "exit_code": failed.exit_code}
            )
            session.go_on(
                follow_up(self.spec.task, failed, _tail(Path(failed.log_path))),
                resume_id=report.outcome.session_id,
                env={"ORCHESTRATOR_FIX_ROUND": str(number)},
            )
            outcome = await self._turn(session)
            outcome = replace(outcome, usage=added(report.outcome.usage, outcome.usage))
            _enter(self.sinks, Phase.FINISHING)
            report = replace(await self._conclude(session, outcome), fix_rounds_used=number)
        return report

    def _within_limits(self, report: AttemptReport) -> AttemptReport:
        """Add what was measured; fail what went over a limit, whichever part of the attempt it was."""
        report = replace(report, resources=self.gauge.resources())
        if not self.gauge.over.done() or self.stop.asked:
            return report
        over = self.gauge.over.result()
        message = f"stopped: {over.message}"
        outcome = replace(report.outcome, status=over.status, error_kind=over.kind, error_message=message)
        return replace(report, outcome=outcome)

    def _confine(self, belongings: Belongings) -> None:
        """From here on every process of the attempt starts inside the sandbox, where there is one."""
        if self.around.sandbox is not None:
            place = Confinement(
                workspace=self.workspace.path,
                tmp_dir=belongings.tmp_dir,
                prompt_file=belongings.prompt_file,
                config_dir=self.spec.config_dir,
                login_dir=self.spec.login_dir,
                git=self.workspace.git_folders,
            )
            self.wrap = self.around.sandbox.confine(place, self.env)

    async def _prepare(self) -> Outcome | None:
        """Run the set-up commands; return an outcome only when the agent cannot start."""
        if self.spec.continues is not None:
            return self._stopped(Outcome(status=Status.CANCELLED)) if self.stop.asked else None
        checks = await self._lines(self.spec.setup, "setup.log", self.spec.setup_timeout_s)
        failed = [check for check in checks if check.exit_code != 0]
        if self.stop.asked:
            return self._stopped(Outcome(status=Status.CANCELLED))
        return _failed("setup_failed", _say("set-up", failed[0])) if failed else None

    async def _lines(self, lines: tuple[str, ...], log: str, limit_s: float) -> tuple[CheckResult, ...]:
        if not lines:
            return ()
        return await run_lines(
            lines,
            self._place(),
            log_path=self.spec.directory / log,
            log_limit=self.spec.log_limit,
            limit_s=limit_s,
        )

    def _place(self) -> Place:
        return Place(
            cwd=self.workspace.path,
            env=self.env,
            spawner=self.around.spawner,
            clock=self.around.clock,
            stop=self.stop,
            wrap=self.wrap,
            gauge=self.gauge,
            mask=self.mask,
        )

    async def _turn(self, session: AttemptSession) -> Outcome:
        """Let the agent work until it ends, a limit is passed or a stop is asked for."""
        _enter(self.sinks, Phase.RUNNING)
        turn = asyncio.ensure_future(self._agent(session))
        limit = asyncio.ensure_future(self._watch(session.last_output))
        beating = asyncio.ensure_future(
            beat(session, self.gauge, self.sinks.pulse, clock=self.around.clock, pool=self.around.pool)
        )
        over = self.gauge.over
        try:
            ended = await first_of(turn, self.stop.wait(), asyncio.shield(limit), asyncio.shield(over))
            if ended:
                outcome = await turn
            else:
                outcome = await self._cut_short(turn, session, now=over.done())
            overdue = limit.result() if not ended and limit.done() else None
        finally:
            limit.cancel()
            beating.cancel()
        judged = self._judged(outcome, ended, overdue)
        return _with_survivors(judged, await self.stop.end(session.processes))

    def _watch(self, last_output: Callable[[], float | None]) -> asyncio.Future[Overdue]:
        task = self.spec.task
        return asyncio.ensure_future(
            watch(
                self.around.clock,
                timeout_s=task.timeout_s,
                idle_timeout_s=task.idle_timeout_s,
                last_output=last_output,
            )
        )

    async def _agent(self, session: AttemptSession) -> Outcome:
        try:
            return await self.spec.agent.run(session)
        except SpawnError as err:
            return _failed("spawn_failed", _in_one_line(err), Status.SPAWN_FAILED)
        except OrchestratorError as err:
            return _failed("agent_fault", _in_one_line(err))
        except Exception as err:  # noqa: BLE001 (the attempt boundary: one adapter's fault is one result)
            (self.spec.directory / "fault.txt").write_text(self.mask.text(traceback.format_exc()))
            return _failed(
                "internal_error",
                f"the adapter `{self.spec.agent.name}` failed: {type(err).__name__}: {err}; "
                f"the traceback is in {self.spec.directory / 'fault.txt'}",
            )

    async def _cut_short(
        self, turn: asyncio.Future[Outcome], session: AttemptSession, *, now: bool
    ) -> Outcome:
        """Stop the agent's processes, then give the adapter a moment to say what it knows."""
        session.close()
        processes = session.processes
        await self.stop.end(processes, now=now)
        await first_of(turn, asyncio.sleep(ADAPTER_END_S))
        if turn.done():
            return turn.result()
        turn.cancel()
        await asyncio.gather(turn, return_exceptions=True)
        tail = processes[-1].tail() if processes else b""
        return Outcome(status=Status.FAILED, output=final_text(tail))

    def _judged(self, outcome: Outcome, ended: bool, overdue: Overdue | None) -> Outcome:
        if overdue and not self.stop.asked:
            return replace(
                outcome,
                status=Status.TIMED_OUT,
                error_kind=overdue.kind,
                error_message=overdue.message,
            )
        return outcome if ended else self._stopped(outcome)

    def _stopped(self, outcome: Outcome) -> Outcome:
        reason = self.stop.reason or "request"
        status, kind, message = _STOP_KINDS.get(reason, (Status.CANCELLED, "stopped", f"stopped: {reason}"))
        return replace(outcome, status=status, error_kind=kind, error_message=message)

    async def _conclude(self, session: AttemptSession, outcome: Outcome) -> AttemptReport:
        """Commit what the agent left, then run the checks on the committed tree."""
        try:
            commit = await self.workspace.commit(self._message(outcome))
            files = await self.workspace.files_changed()
        except (GitError, WorkspaceError) as err:
            commit, files = None, ()
            if outcome.status is Status.SUCCEEDED:
                outcome = replace(
                    outcome, status=Status.FAILED, error_kind="commit_failed", error_message=err.message
                )
        verify, outcome = await self._verify(outcome, commit)
        return AttemptReport(
            outcome=outcome,
            branch=self.workspace.branch,
            commit=commit,
            files_changed=files,
            verify=verify,
            permissions=session.permissions,
        )

    def _message(self, outcome: Outcome) -> str:
        task = self.spec.task
        ended = "" if outcome.status is Status.SUCCEEDED else f" ({outcome.status.value}, unfinished)"
        return f"{task.name}{ended}\n\nTask: {task.id}\nRun: {self.spec.run_id}\n"

    async def _verify(self, outcome: Outcome, commit: str | None) -> tuple[VerifyResult | None, Outcome]:
        denied = outcome.status is Status.REJECTED and outcome.error_kind == TurnEnd.DENIED
        if not self.spec.verify or not (denied or outcome.status is Status.SUCCEEDED):
            return None, outcome
        _enter(self.sinks, Phase.VERIFYING)
        try:
            verify = await self._gate(commit)
        except (GitError, WorkspaceError) as err:
            return None, _failed(
                "verify_failed", f"the checks had no committed tree to run on: {err.message}"
            )
        failed = [check for check in verify.commands if check.exit_code != 0]
        if self.stop.asked and not verify.passed:
            return verify, self._stopped(outcome)
        if denied:
            # Refused something, it found another way: the gate says whether the task is done.
            return verify, _succeeded(outcome) if verify.passed else outcome
        if failed:
            message = _say("check", failed[0])
            outcome = replace(
                outcome, status=Status.FAILED, error_kind="verify_failed", error_message=message
            )
        return verify, outcome

    async def _gate(self, commit: str | None) -> VerifyResult:
        """Run the checks on what was committed, and on nothing that was only left lying about."""
        restored = await self.workspace.restore(commit) if commit else None
        verify = await run_gate(
            self.spec.verify,
            self._place(),
            directory=self.spec.directory,
            log_limit=self.spec.log_limit,
            limit_s=self.spec.verify_timeout_s,
            retries=self.spec.verify_retries,
        )
        if verify.passed and restored and restored.is_pure and (git := self.workspace.git_folders):
            digest = environment_digest(
                {name: self.mask.text(value) for name, value in self.env.items()},
                setup=self.spec.setup,
                sandboxed=self.around.sandbox is not None,
                without=agent_variables(self.spec.agent),
            )
            with suppress(OSError):  # without it the same tree is only gated once more
                certify(
                    git.common_dir,
                    restored.tree,
                    [self.mask.text(line) for line in self.spec.verify],
                    digest,
                    run_id=self.spec.run_id,
                    flaky=verify.flaky,
                )
        return verify

    async def leave(self, report: AttemptReport) -> None:
        """Take the workspace away unless it is to be kept."""
        reason = self._keep_reason(report)
        if reason is None:
            try:
                salvaged = await self.workspace.remove()
                if salvaged is not None:
                    self.sinks.emit(EventKind.WORKSPACE_SALVAGED, asdict(salvaged))
            except (GitError, WorkspaceError, OSError) as err:
                reason = f"it could not be removed: {err}"
        if reason:
            data = {"path": str(self.workspace.path), "reason": reason}
            self.sinks.emit(EventKind.WORKSPACE_KEPT, data)

    def _keep_reason(self, report: AttemptReport) -> str | None:
        if report.outcome.error_kind == "commit_failed":
            return "its work could not be committed"
        if report.outcome.error_kind == TurnEnd.RATE_LIMITED:
            return "its account is at a limit"
        if report.outcome.status in UNFINISHED or report.outcome.error_kind in STOPPED:
            return "the attempt was stopped before its end"
        if self.spec.keep == "always" or (
            self.spec.keep == "failed" and report.outcome.status is not Status.SUCCEEDED
        ):
            return f"keep: {self.spec.keep}"
        return None


def _succeeded(outcome: Outcome) -> Outcome:
    return replace(outcome, status=Status.SUCCEEDED, error_kind=None, error_message=None)


def _in_one_line(err: OrchestratorError) -> str:
    return f"{err.message} {err.hint}" if err.hint else err.message


def _with_survivors(outcome: Outcome, exits: Sequence[ProcessExit]) -> Outcome:
    """A process that outlasted SIGKILL may still write: such a worker has not succeeded."""
    survivors = [str(pid) for ended in exits for pid in ended.survivors]
    if not survivors:
        return outcome
    message = f"processes that even SIGKILL did not end: {', '.join(survivors)}"
    if outcome.error_message:
        message = f"{outcome.error_message}; {message}"
    status = Status.FAILED if outcome.status is Status.SUCCEEDED else outcome.status
    return replace(
        outcome, status=status, error_kind=outcome.error_kind or "survivors", error_message=message
    )


def _say(what: str, check: CheckResult) -> str:
    ended = "ran past its time limit" if check.exit_code is None else f"exited with status {check.exit_code}"
    log = Path(check.log_path)
    said = last_line(_tail(log))
    return f"{what} command `{check.command}` {ended}{f': {said}' if said else ''}; see {log}"


def _tail(log: Path) -> bytes:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - LAST_LINE_WINDOW))
        return file.read()
