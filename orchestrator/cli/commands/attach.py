"""`orchestrator attach`: the live view of a run that goes on elsewhere."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import json_option, repo_option
from orchestrator.cli.runs import run_argument


@click.command()
@run_argument
@repo_option
@json_option
def command(run: str | None, repo: Path | None, as_json: bool) -> int:
    """Show a run live that goes on in the background or elsewhere.

    RUN is an id, or enough of its beginning; the newest run unless given. Ctrl-C ends only the view: the
    run goes on. When it ends, its report is shown, and its exit code is this one's. `orchestrator answer`
    answers what agents ask.

    \b
    Example:
      orchestrator run tasks.yaml --detach
      orchestrator attach
    """
    from orchestrator.cli.execution import EXIT_CODES
    from orchestrator.cli.live import progress
    from orchestrator.cli.output import say
    from orchestrator.cli.runs import follow, pick_run
    from orchestrator.cli.summary import show_report
    from orchestrator.journal.state import load_state

    folder = pick_run(run, repo)
    feed = progress()
    try:
        for events in follow(folder):
            for event in events:
                feed.push(event)
    except KeyboardInterrupt:
        feed.close()
        say(f"run {folder.name} goes on; `orchestrator attach {folder.name}` shows it again")
        return 0
    feed.close()
    show_report(folder, as_json=as_json)
    return EXIT_CODES.get(load_state(folder).status, 1)
