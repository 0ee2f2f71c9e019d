"""`orchestrator stop`: asks a run that is going, in whatever process, to end."""

from __future__ import annotations

import time
from pathlib import Path

import click

from orchestrator.cli.options import json_option, repo_option
from orchestrator.cli.output import say, write, write_json
from orchestrator.cli.runs import run_argument

_WAIT_S = 60.0  #: longer than every grace there is


@click.command()
@run_argument
@repo_option
@click.option("--now", is_flag=True, help="Without grace: end every process at once.")
@json_option
def command(run: str | None, repo: Path | None, now: bool, as_json: bool) -> int:
    """Stop a run that is going.

    RUN may be left out when only one is going. Workers are interrupted, then ended; what they did is
    committed on their branches. Returns when the run has ended.

    \b
    Example:
      orchestrator stop
      orchestrator stop 20261123-1930 --now
    """
    from orchestrator.journal.runs import is_live, journal_path
    from orchestrator.journal.state import load_state
    from orchestrator.journal.store import add_request

    folder = _going(run, repo)
    asked = folder is not None and is_live(folder)
    if folder is not None and asked:
        add_request(journal_path(folder), "stop", {"now": now})
        say(f"stopping run {folder.name}")
        _wait(folder)
    stopped = folder is None or not is_live(folder)
    status = load_state(folder).status.value if folder else None
    if as_json:
        write_json({"run_id": folder.name if folder else None, "asked": asked, "status": status})
    else:
        write(_words(folder, asked=asked, stopped=stopped, status=status))
    return 0 if stopped else 1


def _going(run: str | None, repo: Path | None) -> Path | None:
    """The run to stop: the one that is named, else the only one that is going; None when none is."""
    from orchestrator.cli.runs import is_over
    from orchestrator.errors import InputError
    from orchestrator.journal.runs import find_run, is_live, list_runs, run_dir

    if run is not None:
        return find_run(run)
    going = [run_dir(run_id) for run_id in list_runs() if is_live(run_dir(run_id))]
    going = [folder for folder in going if repo is None or is_over(repo, folder)]
    if len(going) > 1:
        names = ", ".join(folder.name for folder in going)
        raise InputError(f"{len(going)} runs are going: {names}", hint="name the one to stop")
    return going[0] if going else None


def _wait(folder: Path) -> None:
    from orchestrator.cli.runs import POLL_S
    from orchestrator.journal.runs import is_live

    deadline = time.monotonic() + _WAIT_S
    while is_live(folder) and time.monotonic() < deadline:
        time.sleep(POLL_S)


def _words(folder: Path | None, *, asked: bool, stopped: bool, status: str | None) -> str:
    if folder is None:
        return "no run is going"
    if not asked:
        return f"run {folder.name} is not going; it ended: {status}"
    if not stopped:
        return f"run {folder.name} has not ended after {_WAIT_S:.0f} s; try `orchestrator stop --now`"
    return f"run {folder.name} has ended: {status}"
