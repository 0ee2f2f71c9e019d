"""`orchestrator status`: how a run stands, whoever runs it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import json_option, repo_option
from orchestrator.cli.output import paint, write, write_json
from orchestrator.cli.runs import run_argument

if TYPE_CHECKING:
    from orchestrator.journal.state import RunState


@click.command()
@run_argument
@repo_option
@click.option("--watch", is_flag=True, help="Go on showing it until it ends.")
@json_option
def command(run: str | None, repo: Path | None, watch: bool, as_json: bool) -> None:
    """Show how a run stands, also while it is going elsewhere.

    RUN is an id, or enough of its beginning; the newest run unless given. Works as well after the run
    has ended, and after its process was killed. Of a worker that was silent for a minute it says what
    was last seen of it, and when; of one that waits, for what.

    \b
    Example:
      orchestrator status
      orchestrator status 20261123-19 --watch
      orchestrator status --json
    """
    from orchestrator.cli.runs import pick_run

    folder = pick_run(run, repo)
    if watch:
        _watch(folder)
    if as_json:
        _write_json(folder)
    elif not watch:
        _show(folder)


def _write_json(folder: Path) -> None:
    from orchestrator.journal.runs import is_live
    from orchestrator.journal.state import load_state
    from orchestrator.report.build import build_report

    live = is_live(folder)
    state = load_state(folder)
    _look_at_life(folder, state)
    write_json(build_report(state) | {"live": live})


def _show(folder: Path) -> None:
    from datetime import UTC, datetime

    from orchestrator.cli.live import log_tail
    from orchestrator.cli.progress import block
    from orchestrator.journal.state import load_state
    from orchestrator.model.event import RunStatus
    from orchestrator.report.text import landing_lines
    from orchestrator.report.words import one_line

    state = load_state(folder)
    _look_at_life(folder, state)
    at = state.seen_at if state.status is RunStatus.DIED and state.seen_at else datetime.now(UTC)
    columns = _columns()
    write(f"run {state.run_id}: {state.status}" + (f" ({state.stopping})" if state.stopping else ""))
    write(f"  repository  {one_line(state.repo)} at {(state.base_commit or 'no commit')[:12]}")
    write(f"  boundary    {one_line(state.boundary)}")
    if state.paused:
        write(f"  paused      {state.paused}: {one_line(state.paused_detail or '')}; nothing new starts")
    for line in block(state, at, (columns, len(state.workers) + 2), last_line=log_tail, paint=paint):
        write(line)
    if state.landing["branch"]:
        for line in landing_lines(state.landing, state.gates):
            write(f"  {line}")
    if state.status is RunStatus.DIED:
        write("\nits process is gone without an end; `orchestrator resume` goes on with it")


def _look_at_life(folder: Path, state: RunState) -> None:
    """Take in the newest signs of life, which the journal has only where they changed a verdict."""
    from orchestrator.journal.live_file import read_liveness
    from orchestrator.model.event import RunStatus

    if state.status is not RunStatus.RUNNING:
        return
    for worker_id, told in read_liveness(folder).items():
        worker = state.workers.get(worker_id)
        if worker is not None and worker.result is None and worker.pids:
            worker.liveness = told


def _columns() -> int:
    from orchestrator.cli.live import terminal_size

    return terminal_size(sys.stdout)[0] if sys.stdout.isatty() else 120


def _watch(folder: Path) -> None:
    from orchestrator.cli.live import progress
    from orchestrator.cli.runs import follow

    feed = progress()
    try:
        for events in follow(folder):
            for event in events:
                feed.push(event)
    finally:
        feed.close()
