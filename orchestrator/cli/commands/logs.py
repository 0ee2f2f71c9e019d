"""`orchestrator logs`: the output of a worker, or the events of a run."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import json_option, repo_option
from orchestrator.cli.output import write_json


@click.command()
@click.argument("worker", required=False, metavar="[WORKER]")
@click.option("--run", metavar="RUN", help="The run, by enough of its id; the newest one unless given.")
@repo_option
@click.option("-f", "--follow", "following", is_flag=True, help="Go on until the worker, or the run, ends.")
@click.option("--setup", "part", flag_value="setup", help="What the set-up commands wrote.")
@click.option("--verify", "part", flag_value="verify", help="What the verify commands wrote.")
@click.option("--transcript", is_flag=True, help="What was said, done and answered; with --json its lines.")
@click.option("--raw", is_flag=True, help="The bytes as they are, also those that steer a terminal.")
@json_option
def command(
    *,
    worker: str | None,
    run: str | None,
    repo: Path | None,
    following: bool,
    part: str | None,
    transcript: bool,
    raw: bool,
    as_json: bool,
) -> None:
    """Show what a run or one of its workers wrote.

    With WORKER its agent's output (of its newest attempt); without it the events of the run.

    \b
    Example:
      orchestrator logs
      orchestrator logs worker_01_post_list_ui -f
      orchestrator logs worker_01_post_list_ui --transcript
      orchestrator logs worker_03_post_api --run 20261123-19 --verify
    """
    from orchestrator.cli import log_reading
    from orchestrator.cli.runs import pick_run

    if transcript and (part or raw):
        raise click.UsageError(f"--transcript goes without --{part or 'raw'}", click.get_current_context())
    if as_json and following and not transcript:
        raise click.UsageError("--json gives one document, so not with -f", click.get_current_context())
    if worker is None and (part or raw or transcript):
        what = part or ("raw" if raw else "transcript")
        raise click.UsageError(f"--{what} needs a WORKER", click.get_current_context())
    folder = pick_run(run, repo)
    if worker is None:
        if as_json:
            write_json(log_reading.event_documents(folder))
        else:
            log_reading.show_events(folder, following=following)
        return
    if transcript:
        log_reading.show_transcript(folder, worker, following=following, as_json=as_json)
    elif as_json:
        write_json(log_reading.worker_document(folder, worker, part))
    else:
        log_reading.show_worker(folder, worker, part, following=following, raw=raw)
