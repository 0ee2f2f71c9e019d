"""`orchestrator resume`: goes on with a run that was interrupted or whose process died."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from orchestrator.cli.background import detach_option, is_in_background, leave_in_background
from orchestrator.cli.options import json_option, no_progress_option, read_duration, repo_option
from orchestrator.cli.runs import run_argument


@click.command()
@run_argument
@click.argument("task_file", required=False, type=click.Path(path_type=Path), metavar="[TASKFILE]")
@repo_option
@click.option(
    "--max-workers", type=click.IntRange(min=1), metavar="N", help="How many work at once, at most."
)
@click.option("--timeout", callback=read_duration, metavar="D", help="From now on, such as 90s or 30m.")
@click.option("--events", metavar="FILE", help="Write events as JSON lines as they happen; - is stdout.")
@detach_option
@no_progress_option
@json_option
def command(
    run: str | None,
    task_file: Path | None,
    repo: Path | None,
    *,
    events: str | None,
    detach: bool,
    no_progress: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Go on with a run that was interrupted or whose process died.

    RUN is an id, or enough of its beginning; the newest run unless given. Results that are there stay,
    and so does what failed: `orchestrator retry` tries that again. An agent that was cut off goes on in
    its own workspace and session where it can; others start anew, and what they had done is on their
    branches. The time limit counts anew.

    TASKFILE is only for secret values, which are not kept with a run, where the environment has not got
    them.

    \b
    Example:
      orchestrator resume
      orchestrator resume 20261123-1930 --timeout 2h
      orchestrator resume 20261123-1930 tasks.yaml
    """
    from orchestrator.cli.reopening import go_on
    from orchestrator.core.earlier import RESUME, cut_short

    if detach and not is_in_background():
        return leave_in_background(as_json=as_json)
    return go_on(
        run,
        repo,
        cut_short,
        reason=RESUME,
        task_file=task_file,
        options=options,
        events=events,
        show_progress=not no_progress,
        as_json=as_json,
    )
