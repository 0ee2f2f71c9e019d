"""`orchestrator retry`: tries failed tasks of a run that has ended again, in the same run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from orchestrator.cli.background import detach_option, is_in_background, leave_in_background
from orchestrator.cli.options import json_option, no_progress_option, read_duration, repo_option


@click.command()
@click.argument("run", metavar="RUN")
@click.argument("ids", nargs=-1, metavar="[IDS]...")
@repo_option
@click.option("--file", "task_file", type=click.Path(path_type=Path), metavar="TASKFILE", help="For secrets.")
@click.option(
    "--max-workers", type=click.IntRange(min=1), metavar="N", help="How many work at once, at most."
)
@click.option("--timeout", callback=read_duration, metavar="D", help="From now on, such as 90s or 30m.")
@click.option("--events", metavar="FILE", help="Write events as JSON lines as they happen; - is stdout.")
@detach_option
@no_progress_option
@json_option
def command(
    run: str,
    ids: tuple[str, ...],
    repo: Path | None,
    *,
    task_file: Path | None,
    events: str | None,
    detach: bool,
    no_progress: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Try failed tasks of a run again, in the same run.

    RUN is an id, enough of its beginning, or `latest`. IDS name the tasks; all that did not succeed unless
    given. Tasks that were skipped because one of these failed start again, too. Each gets a new attempt in
    a fresh workspace; its result takes the place of the old one.

    \b
    Example:
      orchestrator retry latest
      orchestrator retry 20261123-1930 worker_03 worker_05
    """
    from orchestrator.cli.reopening import go_on, named_tasks
    from orchestrator.core.earlier import RETRY

    if detach and not is_in_background():
        return leave_in_background(as_json=as_json)
    return go_on(
        run,
        repo,
        lambda state: named_tasks(state, ids),
        reason=RETRY,
        task_file=task_file,
        options=options,
        events=events,
        show_progress=not no_progress,
        as_json=as_json,
    )
