"""The synchronous façade: spawn workers, wait for all of them, in parallel.

The run's event loop lives in a thread of its own, so these calls work from a script, from any thread,
inside a running event loop (they block it: `wait_all_async` does not) and in a notebook.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from orchestrator.config import OrchestratorConfig, parse_duration
from orchestrator.core.plan import prepare
from orchestrator.core.run import Run
from orchestrator.errors import InputError, OrchestratorError
from orchestrator.logs import StructuredLogger
from orchestrator.model.event import Event, EventKind
from orchestrator.model.result import Status, TaskResult
from orchestrator.model.task import Task
from orchestrator.taskfile import check_tasks, task_from_mapping

DEFAULT_TIMEOUT_S = 1800


class WorkerManager:
    """Runs one agent per spawned worker, all at once, and returns one result each, in spawn order.

    A worker's process starts inside its slot, when a wait is called, never in `spawn_worker`. Each
    worker runs once: another wait returns the results there are and runs only what is new.
    """

    def __init__(
        self,
        config: OrchestratorConfig | None = None,
        logger: StructuredLogger | None = None,
        *,
        on_result: Callable[[TaskResult], None] | None = None,
    ) -> None:
        """`on_result` is called with each result as it comes, in the order of completion."""
        if config is not None and not isinstance(config, OrchestratorConfig):
            raise InputError(
                f"config: expected an OrchestratorConfig, got {type(config).__name__}",
                hint="OrchestratorConfig() has a default for every field",
            )
        self.config = config or OrchestratorConfig()
        self.logger = logger or StructuredLogger("orchestrator")
        self._on_result = on_result
        self._tasks: dict[str, Task] = {}
        self._claims: dict[str, Future[TaskResult]] = {}
        self._runs: list[Run] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def run_ids(self) -> tuple[str, ...]:
        """The runs made so far; `orchestrator report ID` shows each."""
        return tuple(run.run_id for run in self._runs)

    def spawn_worker(self, worker_id: str, task: Mapping[str, Any] | Task) -> Task:
        """Add a worker; nothing starts yet. `task` is never changed and may be given many times.

        Raises InputError (a ValueError) for a bad or repeated id or a wrong task, and RuntimeError
        while workers are running.
        """
        added = task_from_mapping(worker_id, task)
        with self._lock:
            if any(not claim.done() for claim in self._claims.values()):
                raise RuntimeError(
                    f"worker {worker_id!r} cannot be added while others run; add it before or after the wait"
                )
            if worker_id.lower() in {known.lower() for known in self._tasks}:
                raise InputError(
                    f"worker {worker_id!r} was spawned before (upper and lower case count as the same)",
                    hint="give each worker an id of its own",
                )
            self._tasks[worker_id] = added
        self.logger.log_worker_spawn(worker_id, added.name)
        return added

    def wait_all(
        self, max_workers: int | None = None, timeout: float | None = DEFAULT_TIMEOUT_S
    ) -> list[TaskResult]:
        """Run every spawned worker in parallel and wait for all; one result each, in spawn order.

        `max_workers` caps how many run at once (None: the config's cap, else what the machine takes).
        `timeout` is in seconds for the whole call (None: no limit; the config's own `timeout` holds
        too). At its end unfinished workers are TIMED_OUT and waiting ones CANCELLED; it never raises
        for that. Ctrl-C stops every worker, a second one at once, then KeyboardInterrupt is raised.

        Raises InputError (a ValueError) when a setting, a task or the repository cannot be used.
        """
        config = self._limited(max_workers, timeout)
        ids = self._claim(list(self._tasks))
        self._run_claimed(ids, config)
        return [self._claims[worker_id].result() for worker_id in self._tasks]

    #: The seed's other name for `wait_all`; the same method.
    wait_all_parallel = wait_all

    async def wait_all_async(
        self, max_workers: int | None = None, timeout: float | None = DEFAULT_TIMEOUT_S
    ) -> list[TaskResult]:
        """As `wait_all`, in the caller's own event loop. Cancelling it stops every worker first."""
        config = self._limited(max_workers, timeout)
        ids = self._claim(list(self._tasks))
        try:
            if run := self._begin(ids, config):
                self._fulfil(await run.execute())
        finally:
            self._release(ids)
        return [await asyncio.wrap_future(self._claims[worker_id]) for worker_id in self._tasks]

    def run_interactive_session(self, worker_id: str) -> TaskResult:
        """Run one worker and wait for it; an unknown id gives a failed result."""
        if worker_id not in self._tasks:
            message = f"there is no worker {worker_id!r}; spawn_worker adds one"
            return _fault(worker_id, worker_id, "unknown_worker", message)
        ids = self._claim([worker_id])
        self._run_claimed(ids, self.config)
        return self._claims[worker_id].result()

    def run_worker_in_thread(self, worker_id: str) -> tuple[str, TaskResult]:
        """Run one worker in the calling thread; every fault becomes a failed result."""
        try:
            return worker_id, self.run_interactive_session(worker_id)
        except OrchestratorError as err:
            name = self._tasks[worker_id].name
            return worker_id, _fault(worker_id, name, "not_started", str(err))

    def close(self) -> None:
        """Stop what still runs in other threads and wait for its end."""
        for run in self._runs:
            run.stop("request")
        with self._lock:
            claims = list(self._claims.values())
        for claim in claims:
            claim.exception()

    # -- claims: each worker is run by exactly one call -------------------------------------------

    def _claim(self, worker_ids: Sequence[str]) -> list[str]:
        with self._lock:
            free = [worker_id for worker_id in worker_ids if worker_id not in self._claims]
            self._claims.update({worker_id: Future() for worker_id in free})
        return free

    def _release(self, worker_ids: Sequence[str]) -> None:
        """Give back what got no result, so that it may be run again; end those who wait for it."""
        with self._lock:
            for worker_id in worker_ids:
                if not self._claims[worker_id].done():
                    claim = self._claims.pop(worker_id)
                    claim.set_exception(RuntimeError(f"worker {worker_id!r} was not run"))

    def _fulfil(self, results: Sequence[TaskResult]) -> None:
        for result in results:
            self._claims[result.worker_id].set_result(result)

    def _run_claimed(self, worker_ids: list[str], config: OrchestratorConfig) -> None:
        try:
            if run := self._begin(worker_ids, config):
                results, interrupted = _in_thread(run)
                self._fulfil(results)
                if interrupted:
                    raise KeyboardInterrupt
        finally:
            self._release(worker_ids)

    def _begin(self, worker_ids: list[str], config: OrchestratorConfig) -> Run | None:
        """Make the run of these workers; those whose earlier needs failed end here."""
        if not worker_ids:
            return None
        check_tasks(list(self._tasks.values()))
        startable = [worker_id for worker_id in worker_ids if not self._skipped(worker_id, worker_ids)]
        if not startable:
            return None
        built_on = {worker_id: self._earlier_commits(worker_id, startable) for worker_id in startable}
        tasks = [self._without_earlier_needs(worker_id, startable) for worker_id in startable]
        run = Run(prepare(config, tasks, built_on=built_on), on_event=self._on_event)
        self._runs.append(run)
        return run

    def _skipped(self, worker_id: str, together: Sequence[str]) -> bool:
        for need in self._tasks[worker_id].needs:
            if need in together:
                continue
            result = self._claims[need].result() if need in self._claims else None
            if result is None or not result.success:
                ended = f"ended as {result.status.value}" if result else "was not run"
                message = f"not started: it needs `{need}`, which {ended}"
                skip = _fault(
                    worker_id, self._tasks[worker_id].name, "need_failed", message, Status.CANCELLED
                )
                self._fulfil([skip])
                return True
        return False

    def _earlier_commits(self, worker_id: str, together: Sequence[str]) -> tuple[str, ...]:
        earlier = [need for need in self._tasks[worker_id].needs if need not in together]
        commits = [self._claims[need].result().commit for need in earlier]
        return tuple(commit for commit in commits if commit)

    def _without_earlier_needs(self, worker_id: str, together: Sequence[str]) -> Task:
        task = self._tasks[worker_id]
        return replace(task, needs=tuple(need for need in task.needs if need in together))

    def _limited(self, max_workers: object, timeout: object) -> OrchestratorConfig:
        """Return the config under the limits of one call."""
        changes: dict[str, Any] = {}
        if max_workers is not None:
            if isinstance(max_workers, bool) or not isinstance(max_workers, int) or max_workers < 1:
                raise InputError(f"max_workers: expected a whole number of 1 or more, got {max_workers!r}")
            changes["max_workers"] = max_workers
        if timeout is not None:
            try:
                seconds = parse_duration(timeout)
            except ValueError as err:
                raise InputError(f"timeout: {err} (got {timeout!r})") from err
            changes["timeout"] = min(seconds, self.config.timeout or seconds)
        return self.config.model_copy(update=changes)

    def _on_event(self, event: Event) -> None:
        if event.kind is not EventKind.WORKER_FINISHED:
            return
        result = TaskResult.from_json(event.data["result"])
        if result.worker_id not in self._tasks:  # a variant: the task's own result comes
            return
        counts = {"done": event.data["done"], "total": event.data["total"]}
        if result.success:
            self.logger.log_worker_complete(result.worker_id, True, result.duration, **counts)
        else:
            error = result.error_message or result.status.value
            self.logger.log_task_error(result.worker_id, error, status=result.status.value, **counts)
        if self._on_result:
            self._on_result(result)


def _in_thread(run: Run) -> tuple[list[TaskResult], bool]:
    """Execute `run` in a thread of its own and wait; say whether Ctrl-C ended it, a second one at once."""
    outcome: Future[list[TaskResult]] = Future()

    def execute() -> None:
        try:
            outcome.set_result(asyncio.run(run.execute()))
        except BaseException as err:  # noqa: BLE001 (handed to the waiting thread, which raises it)
            outcome.set_exception(err)

    thread = threading.Thread(target=execute, name=f"run-{run.run_id}")
    thread.start()
    interrupts = 0
    while not outcome.done():
        try:
            outcome.exception()  # not thread.join(): interrupted, that takes the thread for dead (3.11)
        except KeyboardInterrupt:
            interrupts += 1
            run.stop("interrupt", now=interrupts > 1)
    thread.join()
    return outcome.result(), interrupts > 0


def _fault(worker_id: str, name: str, kind: str, message: str, status: Status = Status.FAILED) -> TaskResult:
    return TaskResult(
        worker_id=worker_id, name=name, agent="", status=status, error_kind=kind, error_message=message
    )
