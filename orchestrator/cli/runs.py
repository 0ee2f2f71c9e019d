"""Finds the run that a person means, and follows a run that is going in another process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import click

from orchestrator.errors import JournalError, RunNotFoundError
from orchestrator.journal.runs import find_run, is_live, journal_path, list_runs, run_dir
from orchestrator.journal.state import load_state
from orchestrator.journal.store import read_events
from orchestrator.model.event import Event, EventKind

POLL_S = 0.25  #: how often a run in another process is looked at

#: A run that has ended may go on again.
_TURNS = frozenset({EventKind.RUN_FINISHED, EventKind.RUN_RESUMED})

run_argument = click.argument("run", required=False, metavar="[RUN]")


def pick_run(text: str | None, repo: Path | None) -> Path:
    """The folder of the run that `text` names, else of the newest one, else of the newest over `repo`."""
    if text is not None or repo is None:
        return find_run(text)
    for run_id in list_runs():
        if is_over(repo, run_dir(run_id)):
            return run_dir(run_id)
    raise RunNotFoundError(
        f"there is no run over {repo.absolute()}", hint="`orchestrator list` shows all runs"
    )


def is_over(repo: Path, folder: Path) -> bool:
    """Whether the run in `folder` is over the repository that `repo` lies in."""
    try:
        of_run = load_state(folder).repo
    except JournalError:
        return False  # whatever it was over, nobody can know
    return bool(of_run) and repo.resolve().is_relative_to(Path(of_run).resolve())


def follow(folder: Path) -> Iterator[list[Event]]:
    """Give the run's events as they come, in order; ends with the run, or when its process is gone."""
    after = 0
    while True:
        live = is_live(folder)  # asked first: what it wrote before it ended is then read as well
        events = read_events(journal_path(folder), after)
        yield events
        if events:
            after = events[-1].seq
        turns = [event.kind for event in events if event.kind in _TURNS]
        if not live or (turns and turns[-1] is EventKind.RUN_FINISHED):
            return
        time.sleep(POLL_S)
