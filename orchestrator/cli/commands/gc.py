"""`orchestrator gc`: takes away what ended runs left."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from orchestrator.cli.options import json_option, read_duration, repo_option
from orchestrator.cli.output import say_warning, write, write_json


@click.command()
@repo_option
@click.option("--dry-run", is_flag=True, help="Only show what would be removed.")
@click.option(
    "--older-than",
    callback=read_duration,
    metavar="D",
    help="Also remove journal, logs and report of runs that ended so long ago, such as 30d.",
)
@json_option
def command(repo: Path | None, dry_run: bool, older_than: float | None, as_json: bool) -> int:
    """Remove what ended runs left behind; branches that hold work stay.

    Takes away workspaces; what is uncommitted in them is committed first. Runs stay in `list` with
    their reports and logs unless --older-than is given. A run that is going is never touched.

    \b
    Example:
      orchestrator gc --dry-run
      orchestrator gc --older-than 30d
    """
    from orchestrator.cli.sweep import sweep_runs
    from orchestrator.report.words import size

    sweeps = sweep_runs(repo, older_than, dry_run=dry_run)
    freed = sum(sweep.freed_bytes for sweep in sweeps)
    if as_json:
        write_json({"dry_run": dry_run, "freed_bytes": freed, "runs": [asdict(sweep) for sweep in sweeps]})
    else:
        verb = "would remove" if dry_run else "removed"
        for sweep in sweeps:
            record = ", its journal, logs and report" if sweep.record_removed else ""
            write(f"{sweep.run_id}: {verb} {len(sweep.workspaces)} workspaces{record}")
            for branch in sweep.branches_kept:
                write(f"  kept branch {branch}")
        write(f"{'would free' if dry_run else 'freed'} {size(freed)}")
    for sweep in sweeps:
        for fault in sweep.faults:
            say_warning(f"{sweep.run_id}: {fault}")
    return 1 if any(sweep.faults for sweep in sweeps) else 0
