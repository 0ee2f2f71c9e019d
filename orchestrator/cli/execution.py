"""Carries a plan out in the foreground: signals, live progress, the events file, the end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from copy import deepcopy
from pathlib import Path

from orchestrator.cli.background import announcer, is_in_background
from orchestrator.cli.event_lines import line_writer, open_events
from orchestrator.cli.feed import Feed, Item
from orchestrator.cli.live import progress
from orchestrator.cli.output import say, say_warning
from orchestrator.cli.questions import Prompt, has_person
from orchestrator.cli.telemetry import metrics_feed, traces_feed, wants_traces
from orchestrator.core.earlier import Earlier
from orchestrator.core.plan import RunPlan
from orchestrator.core.run import Run
from orchestrator.errors import InputError
from orchestrator.journal.joblog import HEADER, Lines, append_whole
from orchestrator.model.event import Event, RunStatus

EXIT_CODES = {
    RunStatus.SUCCEEDED: 0,
    RunStatus.FAILED: 1,
    RunStatus.TIMED_OUT: 1,
    RunStatus.HALTED: 4,
    RunStatus.INTERRUPTED: 130,
}
_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


def carry_out(
    plan: RunPlan,
    *,
    events: str | None,
    show_progress: bool,
    joblog: Path | None = None,
    metrics: Path | None = None,
    traces: bool = False,
    earlier: Earlier | None = None,
) -> Run:
    """Run the plan to its end and return the run. A person may stop it with Ctrl-C."""
    with ExitStack() as stack:
        hear: list[Callable[[Event], None]] = []
        if events is not None:
            hear.append(stack.enter_context(_events_feed(events)).push)
        if joblog is not None:
            hear.append(stack.enter_context(_joblog_feed(joblog)).push)
        if metrics is not None:
            hear.append(stack.enter_context(metrics_feed(metrics)).push)
        if wants_traces(traces, os.environ) and (spans := stack.enter_context(traces_feed(asked=traces))):
            hear.append(spans.push)
        run = Run(plan, on_event=lambda event: _tell(hear, event), earlier=earlier)
        if is_in_background():
            hear.append(announcer(run.directory))
        say_header(run, earlier)
        prompt = Prompt(run.approvals)
        state = deepcopy(earlier.state) if earlier else None
        screen = progress(wanted=show_progress, panel=prompt.panel, state=state)
        stack.callback(screen.close)
        hear += [screen.push, lambda _event: prompt.settle()]
        keys = prompt.taking_keys if show_progress and has_person(sys.stdin, sys.stderr) else nullcontext
        asyncio.run(_execute(run, screen, keys))
    return run


def exit_code(run: Run) -> int:
    """How the run ended, for scripts; a task that failed counts before one that could not land."""
    code = EXIT_CODES[run.status]
    if code != 0 or run.landing is None or run.landing.complete:
        return code
    return EXIT_CODES[RunStatus.INTERRUPTED] if run.landing.interrupted else 3


def _tell(hear: list[Callable[[Event], None]], event: Event) -> None:
    for listener in hear:
        listener(event)


def say_header(run: Run, earlier: Earlier | None = None) -> None:
    """Say what is about to happen, and behind which boundary."""
    plan = run.plan
    at = f" at {plan.base_commit[:12]}" if plan.base_commit else ""
    ids = {task.id for task in plan.tasks if task.variant_of is None}
    total, again = len(ids), len(ids.intersection(earlier.again)) if earlier else 0
    tasks = f"{again} of {total} tasks start again" if earlier else f"{total} tasks"
    say(f"run {run.run_id}: {tasks}, {plan.max_workers} at once")
    say(f"  repository  {plan.folder}{at}")
    say(f"  boundary    {plan.boundary}")
    say(f"  logs        {run.directory}")
    if plan.kept:
        runs = ", ".join(sorted({result.kept_from or "" for result in plan.kept.values()}))
        say(f"  kept        {len(plan.kept)} results of {runs}")
    for warning in plan.warnings:
        say_warning(warning)


@contextmanager
def _events_feed(name: str) -> Iterator[Feed]:
    with ExitStack() as stack:
        stream = open_events(name)
        if name != "-":
            stack.enter_context(stream)
        feed = Feed(line_writer(stream))
        try:
            yield feed
        finally:
            feed.close()
            if feed.fault:
                say_warning(f"--events {name} is not complete: {feed.fault.strerror}")


@contextmanager
def _joblog_feed(path: Path) -> Iterator[Feed]:
    """Write the job log to a file of the user's as well, in place of what was in it."""
    lines = Lines()

    def write(items: Sequence[Item]) -> None:
        done = [line for item in items if isinstance(item, Event) and (line := lines.take(item))]
        if done:
            append_whole(path, "".join(done).encode("ascii"))

    try:
        append_whole(path, HEADER.encode("ascii"), anew=True)
    except OSError as err:
        raise InputError(
            f"--joblog: cannot write {path}: {err.strerror}", hint="name a file in a folder that exists"
        ) from err
    feed = Feed(write)
    try:
        yield feed
    finally:
        feed.close()
        if feed.fault:
            say_warning(f"--joblog {path} is not complete: {feed.fault.strerror}")


async def _execute(run: Run, screen: Feed, keys: Callable[[], AbstractContextManager[None]]) -> None:
    loop = asyncio.get_running_loop()
    asked = 0

    def stop() -> None:
        nonlocal asked
        asked += 1
        if asked == 1:
            screen.push("stopping; press Ctrl-C again to stop at once")
        elif asked == 2:
            screen.push("stopping at once")
        run.stop("interrupt", now=asked > 1)

    for name in _SIGNALS:
        number = getattr(signal, name)
        if signal.getsignal(number) is not signal.SIG_IGN:  # `nohup` and `&` mean it
            loop.add_signal_handler(number, stop)
    with keys():
        await run.execute()
