"""One run: its event loop, its slots, its deadline, and the one result of each worker."""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator.agents.logins import lent_folder
from orchestrator.agents.registry import get_agent
from orchestrator.attempt.limits import Limits
from orchestrator.attempt.masking import run_mask
from orchestrator.attempt.spec import AttemptReport, AttemptSpec, Sinks
from orchestrator.attempt.stop import StopSignal, first_of
from orchestrator.clock import SystemClock
from orchestrator.config import workspaces_dir
from orchestrator.core import choosing, scheduler
from orchestrator.core.accounts import (
    attempt_account,
    budget_account,
    conflict_account,
    finished_work,
    resume_account,
    run_account,
    run_status,
)
from orchestrator.core.admission import MEASURE_S, Reading, admit, read_machine
from orchestrator.core.approvals import Approvals, Asker, read_answer
from orchestrator.core.conditions import choices, opening_state, time_limit, with_room
from orchestrator.core.earlier import Earlier
from orchestrator.core.isolation import git_author, make_tripwire, make_workspaces, opened_sandbox
from orchestrator.core.judging import JUDGE_S
from orchestrator.core.landing import Site, gate_base, open_ground, sort_results, steps_of
from orchestrator.core.liveness import Liveness
from orchestrator.core.overlaps import Standing, overlap_watch
from orchestrator.core.pausing import PatientWorkspaces, Pauses
from orchestrator.core.plan import RunPlan
from orchestrator.core.recording import Recorder
from orchestrator.core.resolving import give_back
from orchestrator.core.results import (
    Worker,
    begin_attempt,
    config_name,
    ended_event,
    final_result,
    limited_event,
    parked_at,
    peak_memory,
    take_report,
)
from orchestrator.core.waits import Waits
from orchestrator.errors import JournalError, OrchestratorError
from orchestrator.executors.local import local_executor
from orchestrator.git.process import hold_in_children
from orchestrator.git.worktrees import delete_branch_at
from orchestrator.journal import joblog
from orchestrator.journal.joblog import Joblog
from orchestrator.journal.runs import RunLock, create_run_dir, journal_path, new_run_id
from orchestrator.journal.store import Journal, Request
from orchestrator.journal.stored_plan import store_plan
from orchestrator.landing.land import Wishes, land
from orchestrator.landing.plan import LandingResult
from orchestrator.model.event import Event, EventKind, RunStatus
from orchestrator.model.request import Decision, PermissionRequest
from orchestrator.model.result import TaskResult
from orchestrator.model.task import Task
from orchestrator.ports import Clock, Sandbox
from orchestrator.workspaces.environment import make_run_tmp, remove_run_tmp

_LOG = logging.getLogger("orchestrator")
#: How often requests of other processes (`orchestrator stop`, `answer`) are looked for; a look costs 10 µs.
REQUEST_INTERVAL_S = 0.05
#: Threads for blocking git and file work. Checkouts saturate at twice the cores (measured); the rest keep
#: commits from waiting behind them.
BLOCKING_THREADS = 4 * (os.cpu_count() or 1)


class Run:
    """Carries a plan out. One use: make it, `execute` it, read the results."""

    def __init__(
        self,
        plan: RunPlan,
        *,
        on_event: Callable[[Event], None] | None = None,
        clock: Clock | None = None,
        earlier: Earlier | None = None,
    ) -> None:
        """Make the run's folder, or go on in that of `earlier`, whose lock is the run's from now on.

        `on_event` gets every event in the loop's thread and must not block.
        """
        self.plan = plan
        self.clock = clock or SystemClock()
        self.run_id = earlier.run_id if earlier else new_run_id(self.clock.now())
        self.directory = earlier.folder if earlier else create_run_dir(self.run_id)
        self._earlier = earlier
        self.status = RunStatus.RUNNING
        self.approvals = Approvals(
            timeout_s=plan.config.ask_timeout, clock=self.clock, asked=earlier.asked if earlier else 0
        )
        self._mask = run_mask(plan.config.pass_env, [plan.config.env, *(task.env for task in plan.tasks)])
        self._recorder = Recorder(self._mask, clock=self.clock, on_event=on_event)
        self._emit, self._record = self._recorder.emit, self._recorder.record
        self._workers = {task.id: Worker(task=task, agent=plan.agents[task.id].name) for task in plan.tasks}
        self._tasks = [task.id for task in plan.tasks if task.variant_of is None]
        self._results: dict[str, TaskResult] = earlier.kept if earlier else dict(plan.kept)
        ended = {worker_id: result.status for worker_id, result in self._results.items()}
        self._state = earlier.opening_state(plan) if earlier else opening_state(plan, ended=ended)
        if earlier:
            for worker_id, worker in self._workers.items():
                worker.start_commit = earlier.state.workers[worker_id].start_commit
            for worker_id in earlier.again:
                earlier.remind(self._workers[worker_id])
        self._inbox: asyncio.Queue[scheduler.Event] = asyncio.Queue()
        self._waits = Waits(self.clock, self._inbox.put_nowait, random.Random(self.run_id))  # noqa: S311 (jitter)
        self._liveness = Liveness(self.directory, self.clock, self._tell_liveness)
        self._background: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._fault: BaseException | None = None
        self._stops_before_start: list[scheduler.StopRequested] = []
        self._landing_stop = StopSignal()
        self.landing: LandingResult | None = None  #: of a run that lands at its end

    def stop(self, reason: str = "interrupt", *, now: bool = False) -> None:
        """Ask the run to end; `now`: without grace. From any thread or signal handler, at any time."""
        event = scheduler.StopRequested(reason, now)
        if self._loop is None:
            self._stops_before_start.append(event)
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._inbox.put_nowait, event)
            self._loop.call_soon_threadsafe(self._pauses.end)
            self._loop.call_soon_threadsafe(partial(self._landing_stop.ask, reason, now=now))

    async def execute(self) -> list[TaskResult]:
        """Run every task to its end; return one result per task, in spawn order.

        Never raises for a worker's fault. When the caller's task is cancelled, every worker is
        stopped first. Raises JournalError when the run's own record cannot be written.
        """
        async with AsyncExitStack() as stack:
            lock = self._earlier.lock if self._earlier else RunLock.acquire(self.directory)
            stack.callback(lock.release)
            self._journal = self._recorder.journal = self._open_journal()
            stack.callback(self._journal.close)
            before = self._earlier.events if self._earlier else ()
            self._recorder.joblog = Joblog.create(self.directory / joblog.NAME, before)
            stack.callback(self._recorder.joblog.close)
            self._pauses = await stack.enter_async_context(self._pausing())
            await self._record_beginning()
            run_tmp = make_run_tmp(self.run_id)
            stack.callback(_remove_tmp, self.run_id)
            sandbox = await stack.enter_async_context(opened_sandbox(self.plan, run_tmp))
            pool = stack.enter_context(
                ThreadPoolExecutor(
                    BLOCKING_THREADS,
                    "orchestrator",
                    initializer=hold_in_children,  # a git that outlives us keeps the run's lock
                    initargs=(lock.fileno(),),
                )
            )
            self._pool = pool
            self._site = self._landing_site(run_tmp, sandbox)
            executor = local_executor(
                run_tmp=run_tmp,
                workspaces=PatientWorkspaces(make_workspaces(self.plan, self.run_id, pool), self._pauses),
                policy=self.plan.policy,
                clock=self.clock,
                pool=pool,
                pass_env=self.plan.config.pass_env,
                git_author=git_author(self.plan),
                base_commit=self.plan.base_commit,
                sandbox=sandbox,
                tripwire=make_tripwire(self.plan),
            )
            self._execute = await stack.enter_async_context(executor)
            stack.push_async_callback(self._end_background)
            async with self._base_gate():
                await self._conduct()
            await self._finish()
        return self._task_results()

    def _task_results(self) -> list[TaskResult]:
        """One result per task; those of variants are in the one of the task."""
        return [self._results[name] for name in self._tasks]

    def _open_journal(self) -> Journal:
        path = journal_path(self.directory)
        return Journal(path) if self._earlier else Journal.create(path)

    async def _record_beginning(self) -> None:
        earlier = self._earlier
        self._limit_from = self.clock.monotonic()  # the time limit counts anew in a run that goes on
        if earlier is None:
            self._store_plan()
            self._began = self._limit_from
            await self._record(EventKind.RUN_STARTED, run_account(self.plan, self.run_id))
            for number, (worker_id, result) in enumerate(self.plan.kept.items(), start=1):
                counts = {"done": number, "total": len(self._workers)}
                data = {"result": result.to_json(), **counts}
                await self._record(EventKind.WORKER_FINISHED, data, worker_id)
            return
        self._began = self._limit_from - earlier.elapsed_s
        account = resume_account(self.plan, earlier.reason, earlier.elapsed_s, earlier.again)
        await self._record(EventKind.RUN_RESUMED, account)

    @asynccontextmanager
    async def _pausing(self) -> AsyncIterator[Pauses]:
        """Look after the disk for as long as the run has something to record."""
        pauses = Pauses(
            self._journal,
            [workspaces_dir()],
            clock=self.clock,
            tell=self._emit,
            timeout_s=self.plan.config.timeout,
        )
        watching = asyncio.ensure_future(pauses.watch())
        try:
            yield pauses
        finally:
            watching.cancel()

    def _store_plan(self) -> None:
        """Keep what was asked for, with paths that hold from any folder."""
        plan = self.plan
        policy = plan.config.policy
        settled = {"repo": plan.folder, "policy": str(Path(policy).absolute()) if policy else None}
        store_plan(
            self.directory,
            plan.config.model_copy(update=settled),
            plan.tasks,
            base_commit=plan.base_commit,
            mask=self._mask.text,
        )

    # -- the conductor: events in, actions out ---------------------------------------------------

    async def _conduct(self) -> None:
        self._loop = asyncio.get_running_loop()
        if self.plan.config.timeout is not None:
            limit = self._loop.call_later(self.plan.config.timeout, self.stop, "timeout")
        else:
            limit = None
        watching = [
            asyncio.ensure_future(self._watch_requests()),
            asyncio.ensure_future(self._measure_again_and_again()),
        ]
        tell = partial(self._emit, EventKind.CONFLICTS_OVERLAP)
        if overlaps := overlap_watch(self.plan, self.run_id, self._standing, tell, self._pool):
            watching.append(asyncio.ensure_future(overlaps))
        try:
            self._state = with_room(self._state, self._admit(read_machine(workspaces_dir())))
            for event in self._stops_before_start:
                self._take(event)
            self._take(scheduler.Begin())
            while not self._state.done:
                await self._take_next()
                if self._fault:
                    raise self._fault
        finally:
            for task in watching:
                task.cancel()
            if limit:
                limit.cancel()

    def _standing(self) -> Standing:
        """Whose work there is to compare. A run that waits for room on the disk has other worries."""
        begun = {name for name in self._tasks if self._workers[name].started is not None}
        running = set() if self._pauses.paused else begun - self._results.keys()
        finished = [self._results[name] for name in self._tasks if name in self._results]
        return Standing(finished_work(finished), frozenset(running))

    async def _take_next(self) -> None:
        """Take one event in. A cancelled caller becomes a stop: workers end before it goes on."""
        try:
            self._take(await self._inbox.get())
        except asyncio.CancelledError:
            self._pauses.end()
            self._take(scheduler.StopRequested("interrupt", now=self._state.stopping is not None))
            while not self._state.done and not self._fault:
                self._take(await self._inbox.get())
            if not self._fault:
                await self._finish()
            raise

    def _take(self, event: scheduler.Event) -> None:
        if isinstance(event, scheduler.StopRequested) and not self._state.stopping:
            self._emit(EventKind.RUN_STOPPING, {"reason": event.reason, "detail": None})
        self._state, actions = scheduler.step(self._state, event)
        recording: list[asyncio.Task[None]] = []
        for action in actions:
            if isinstance(action, scheduler.EndWorker):
                recording.append(self._spawn(self._end_worker(action)))
            else:
                self._perform(action, recording)

    def _perform(self, action: scheduler.Action, recording: list[asyncio.Task[None]]) -> None:
        """Act. What starts because a worker ended starts once that worker's result is on the disk."""
        match action:
            case scheduler.StartAttempt(worker_id=worker_id, choice=choice):
                begin_attempt(self._workers[worker_id], action, choices(self.plan, worker_id)[choice].name)
                self._spawn(self._attempt(action, recording))
            case scheduler.StopAttempt(worker_id=worker_id, reason=reason, now=now):
                self._workers[worker_id].stop.ask(reason, now=now)
            case scheduler.DelayRetry(worker_id=worker_id, attempt=attempt, delay_s=delay_s):
                self._tell_retry(worker_id, attempt, delay_s)
                self._waits.begin(action)
            case scheduler.LimitAttempt(worker_id=worker_id):
                began = self._workers[worker_id].began
                self._waits.begin(action, running_s=self.clock.monotonic() - began if began else 0.0)
            case scheduler.WaitAccount() | scheduler.WaitGap():
                self._waits.begin(action)
            case scheduler.SayWaiting():
                self._say_waiting(action)
            case scheduler.HaltRun(detail=detail, reason=reason):
                self._emit(EventKind.RUN_STOPPING, {"reason": reason, "detail": detail})

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[None]) -> None:
        """Let go of work that ended; a fault in our own code ends the run instead of hanging it.

        So does a cancellation from outside, as when a loop is torn down with all that is in it.
        """
        self._background.discard(task)
        fault = asyncio.CancelledError() if task.cancelled() else task.exception()
        if fault:
            self._fault = self._fault or fault
            self._inbox.put_nowait(scheduler.StopRequested("fault", now=True))

    async def _end_background(self) -> None:
        """Wait for results that are still being made durable, and for workers still being stopped."""
        for worker in self._workers.values():
            worker.stop.ask("interrupt", now=True)
        await asyncio.gather(*self._background, return_exceptions=True)

    def _admit(self, reading: Reading) -> scheduler.Measured:
        """Say what the machine has room for."""
        used = [pulse.memory for pulse in self._liveness.pulses.values() if pulse.memory]
        peaks = [peak for worker in self._workers.values() if (peak := peak_memory(worker))]
        return admit(reading, self.plan.config, used, peaks)

    async def _measure_again_and_again(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(MEASURE_S)
            measured = self._admit(await loop.run_in_executor(self._pool, read_machine, workspaces_dir()))
            if measured.room is not None or self._state.admission.room is not None:
                self._inbox.put_nowait(measured)

    def _tell_liveness(self, worker_id: str, data: Mapping[str, Any]) -> None:
        self._emit(EventKind.WORKER_LIVENESS, data, worker_id, self._workers[worker_id].attempts)

    async def _watch_requests(self) -> None:
        while True:
            await asyncio.sleep(REQUEST_INTERVAL_S)
            try:
                requests = self._journal.new_requests()
            except JournalError as err:  # a disk that fails now may work again
                _LOG.warning("requests to run %s cannot be read: %s", self.run_id, err.message)
                continue
            for request in requests:
                if request.kind == "stop":
                    self.stop("request", now=bool(request.data.get("now")))
                elif request.kind == "answer":
                    self._take_answer(request)

    def _take_answer(self, request: Request) -> None:
        answer = read_answer(request.data, request.who)
        if refused := answer if isinstance(answer, str) else self.approvals.answer(answer):
            data = {
                "request": request.id,
                "question": request.data.get("question"),
                "reason": refused,
                "by": request.who,
            }
            self._emit(EventKind.ANSWER_REFUSED, data)

    # -- one worker ----------------------------------------------------------------------------

    async def _attempt(self, start: scheduler.StartAttempt, after: Sequence[asyncio.Task[None]]) -> None:
        worker_id, number = start.worker_id, start.attempt
        worker = self._workers[worker_id]
        await asyncio.gather(*after)
        if self._pauses.paused:
            await first_of(self._pauses.over(), worker.stop.wait())
        began, began_at = self.clock.monotonic(), self.clock.now()
        worker.began = began
        if worker.started is None:
            worker.started, worker.started_at = began, began_at
        worker.attempts = number
        if worker.task.variants:
            await self._choose(worker, began)
            return
        spec = self._spec(worker, number)
        worker.log_path, worker.transcript_path = spec.log_path, spec.transcript_path
        wait = round(began - self._began, 6)
        data = {
            "queue_wait": wait,
            "log_path": str(spec.log_path),
            "agent": worker.agent,
            "continues": spec.continues,
            "session_id": spec.resume_id,
        }
        self._emit(EventKind.ATTEMPT_STARTED, data, worker_id, number)

        def end(report: AttemptReport) -> None:
            take_report(worker, report)
            worker.going_on = parked_at(spec, report.outcome)
            worker.ended, worker.ended_at = self.clock.monotonic(), self.clock.now()
            data = attempt_account(report, worker.ended - began)
            self._emit(EventKind.ATTEMPT_FINISHED, data, worker_id, number)
            self._waits.forget(worker_id)
            self._liveness.forget(worker_id)
            ended = ended_event(worker_id, report.outcome, self.clock, self._left_s(), worker.ended - began)
            self._inbox.put_nowait(ended)

        await self._execute(spec, self._sinks(worker_id, number), worker.stop, end)

    async def _choose(self, worker: Worker, began: float) -> None:
        """Take the place of an attempt where a task has variants: no agent runs."""
        worker_id, number = worker.task.id, worker.attempts
        started = {"queue_wait": round(began - self._began, 6), "log_path": None, "agent": worker.agent}
        self._emit(EventKind.ATTEMPT_STARTED, started, worker_id, number)
        report = await choosing.decide(self._field(worker.task), self._pool, partial(self._judge, worker))
        for variant in report.variants:
            worker.agent = variant["agent"] if variant["chosen"] else worker.agent
        take_report(worker, report)
        worker.ended, worker.ended_at = self.clock.monotonic(), self.clock.now()
        nothing = {"cost_usd": 0.0, "tokens": 0}  # the variants' own attempts have counted
        data = {**attempt_account(report, worker.ended - began), **nothing}
        self._emit(EventKind.ATTEMPT_FINISHED, data, worker_id, number)
        status, kind = report.outcome.status, report.outcome.error_kind
        told = scheduler.AttemptEnded(worker_id, status, kind, at=worker.ended, cost=0.0, tokens=0)
        self._inbox.put_nowait(told)

    async def _judge(self, worker: Worker, text: str) -> AttemptReport:
        """Let a program judge, as an attempt with `text` on its standard input; its branch goes again."""
        plan, task = self.plan, worker.task
        command = choosing.judge_of(plan, task)
        asked = replace(task, prompt=text, command=command, timeout_s=task.timeout_s or JUDGE_S)
        agent = get_agent("command")
        spec = replace(
            self._spec(worker, worker.attempts),
            task=replace(asked, terminal=False),
            agent=agent,
            login_dir=None,
            setup=(),
            verify=(),
            fix_rounds=0,
        )
        worker.log_path = spec.log_path
        reports: list[AttemptReport] = []
        sinks = self._sinks(task.id, worker.attempts)
        await self._execute(spec, sinks, worker.stop, reports.append)
        self._liveness.forget(task.id)
        if plan.repository and reports[0].branch and reports[0].commit:
            drop = partial(delete_branch_at, plan.repository.common_dir, reports[0].branch, reports[0].commit)
            await asyncio.get_running_loop().run_in_executor(self._pool, drop)
        return reports[0]

    def _field(self, task: Task) -> choosing.Field:
        results = {name: self._results[name] for name in task.variants}
        starts = {name: start for name in task.variants if (start := self._workers[name].start_commit)}
        finished = [self._results[name] for name in self._tasks if name in self._results]
        return choosing.Field(self.plan, task, results, starts, finished_work(finished))

    def _left_s(self) -> float | None:
        """Seconds until the run's own time limit; None without one."""
        limit = self.plan.config.timeout
        return None if limit is None else max(0.0, self._limit_from + limit - self.clock.monotonic())

    def _spec(self, worker: Worker, number: int) -> AttemptSpec:
        config, task = self.plan.config, worker.task
        commits = [commit for need in task.needs if (commit := self._results[need].commit)]
        goes_on = worker.going_on
        worker.going_on = None
        return AttemptSpec(
            run_id=self.run_id,
            task=replace(
                task,
                model=task.model or config.model,
                timeout_s=time_limit(config, task)[0],
                max_cost_usd=worker.max_cost or task.max_cost_usd or config.max_cost,
            ),
            attempt=number,
            agent=choices(self.plan, task.id)[worker.choice],
            directory=self.directory / "attempts" / f"{task.id}@{number}",
            config_dir=self.directory / "agents" / config_name(worker),
            login_dir=lent_folder(worker.agent) if self.plan.sandbox else None,
            resume_id=goes_on.session_id if goes_on else None,
            continues=goes_on.workspace if goes_on else None,
            needs=(*self.plan.built_on.get(task.id, ()), *commits),
            setup=config.setup,
            setup_timeout_s=config.setup_timeout,
            verify=config.verify if task.verify is None else task.verify,
            verify_timeout_s=config.verify_timeout,
            verify_retries=config.verify_retries,
            fix_rounds=config.fix_rounds if task.fix_rounds is None else task.fix_rounds,
            keep=config.keep,
            log_limit=config.log_limit,
            limits=Limits(memory=config.max_memory, processes=config.max_processes, disk=config.max_disk),
            env=config.env,
        )

    def _sinks(self, worker_id: str, number: int) -> Sinks:
        def emit(kind: EventKind, data: Mapping[str, Any]) -> None:
            self._emit(kind, data, worker_id, number)
            if kind is EventKind.WORKSPACE_CREATED:
                self._workers[worker_id].start_commit = data.get("start_commit")
            if kind is EventKind.AGENT_LIMITED:
                told = limited_event(worker_id, data["until"], self.clock, self._left_s())
                self._inbox.put_nowait(told)

        async def record(kind: EventKind, data: Mapping[str, Any]) -> None:
            await self._record(kind, data, worker_id, number)

        async def ask(request: PermissionRequest, decision: Decision) -> Decision:
            asker = Asker(worker_id=worker_id, attempt=number, agent=self._workers[worker_id].agent)
            return await self.approvals.ask(
                asker, request, decision, partial(record, EventKind.PERMISSION_DECIDED)
            )

        return Sinks(emit, record, ask, partial(self._liveness.take, worker_id))

    def _tell_retry(self, worker_id: str, attempt: int, delay_s: float) -> None:
        report = self._workers[worker_id].report
        kind = report.outcome.error_kind if report else None
        self._emit(EventKind.WORKER_RETRYING, {"delay_s": delay_s, "error_kind": kind}, worker_id, attempt)

    def _say_waiting(self, say: scheduler.SayWaiting) -> None:
        accounts = self._state.nodes[say.worker_id].terms.accounts if say.kind == "quota" else ()
        ends = [until for account in accounts if (until := self._waits.account_until(account))]
        data = {
            "reason": say.kind or None,
            "detail": say.detail,
            "until": min(ends).isoformat() if ends else None,
        }
        self._emit(EventKind.WORKER_WAITING, data, say.worker_id)

    async def _end_worker(self, end: scheduler.EndWorker) -> None:
        result = final_result(
            self._workers[end.worker_id],
            end,
            run_started=self._began,
            now=self.clock.monotonic(),
        )
        self._results[end.worker_id] = result
        done = sum(name in self._results for name in self._tasks)
        counts = {"done": done, "total": len(self._tasks)}
        await self._record(
            EventKind.WORKER_FINISHED, {"result": result.to_json(), **counts}, end.worker_id, result.attempts
        )
        if result.variants and result.success:
            drop = partial(choosing.drop_branches, self.plan, result.variants)
            await asyncio.get_running_loop().run_in_executor(self._pool, drop)

    async def _finish(self) -> None:
        await asyncio.gather(*self._background)
        results = self._task_results()
        compare = partial(conflict_account, self.plan, self.run_id, results)
        if found := await asyncio.get_running_loop().run_in_executor(self._pool, compare):
            self._emit(EventKind.CONFLICTS_FOUND, found)
        self.status = run_status(results, self._state.stopping)
        wall = round(self.clock.monotonic() - self._began, 6)
        if self.plan.config.land and self._state.stopping in {None, "timeout"}:
            await self._land()
        budget = budget_account(self._state.budget, self._state.ledger)
        data = {"status": self.status.value, "wall_seconds": wall, "budget": budget}
        await self._record(EventKind.RUN_FINISHED, data)

    # -- gates and landing -----------------------------------------------------------------------

    def _landing_site(self, run_tmp: Path, sandbox: Sandbox | None) -> Site | None:
        plan = self.plan
        if plan.repository is None or plan.base_commit is None or plan.isolation == "none":
            return None
        return Site(
            run_id=self.run_id,
            folder=self.directory,
            repo=plan.repository,
            base_commit=plan.base_commit,
            config=plan.config,
            run_tmp=run_tmp,
            pool=self._pool,
            sandbox=sandbox,
            clock=self.clock,
            mask=self._mask,
        )

    @asynccontextmanager
    async def _base_gate(self) -> AsyncIterator[None]:
        """Run the base's own gate: before anything starts if it is required, else beside the workers."""
        way = self.plan.config.base_gate
        if self._site is None or way == "off" or not self.plan.config.verify:
            yield
            return
        gate = asyncio.ensure_future(gate_base(self._site, self._record))
        try:
            if way == "require" and not (await gate):
                self._stops_before_start.append(scheduler.StopRequested("base_gate"))
            yield
        finally:
            gate.cancel()
            for fault in await asyncio.gather(gate, return_exceptions=True):
                if isinstance(fault, OrchestratorError | OSError):
                    _LOG.warning("the gate of the base commit could not be run: %s", fault)

    async def _land(self) -> None:
        """Put together what succeeded. A stop ends it after the step it is at."""
        if self._site is None:
            return
        self._landing_stop = StopSignal()
        requests = asyncio.ensure_future(self._watch_requests())
        candidates, empty = sort_results(self.plan.tasks, self._results)
        try:
            async with open_ground(self._site, self._record, self._landing_stop) as ground:
                recorded = steps_of(self.directory)
                again = partial(give_back, ground, lambda: self.plan, self._results, self._recorder)
                self.landing = await land(
                    ground, candidates, Wishes(), recorded=recorded, empty=empty, give_back=again
                )
        finally:
            requests.cancel()


def _remove_tmp(run_id: str) -> None:
    try:
        remove_run_tmp(run_id)
    except OSError as err:
        _LOG.warning("temporary files of run %s could not be removed: %s", run_id, err)
