"""`orchestrator gc`: takes away what ended runs left."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import json_option, read_duration, repo_option
from orchestrator.cli.output import say_warning, write, write_json

if TYPE_CHECKING:
    from orchestrator.cli.sweep import Sweep

#: By which of the ways in `landing/landed.py` a branch is known to be landed.
_WORDS = {
    "empty": "it holds nothing",
    "ancestor": "merged",
    "tree": "your branch holds the same",
    "patch": "its patches are in your branch",
}


@click.command()
@repo_option
@click.option("--dry-run", is_flag=True, help="Only show what would be removed.")
@click.option(
    "--older-than",
    callback=read_duration,
    metavar="D",
    help="Also remove journal, logs and report of runs that ended so long ago, such as 30d.",
)
@click.option(
    "--branches",
    is_flag=True,
    help="Also remove branches of runs that hold nothing or are landed: merged, squashed or rebased.",
)
@click.option(
    "--salvage", is_flag=True, help="Also let go of what was salvaged as long ago as --older-than says."
)
@json_option
def command(
    repo: Path | None,
    *,
    dry_run: bool,
    older_than: float | None,
    branches: bool,
    salvage: bool,
    as_json: bool,
) -> int:
    """Remove what ended runs left behind; branches that hold work stay.

    Takes away workspaces; what is uncommitted in them is committed first, and what no branch holds is
    salvaged. Runs stay in `list` with their reports and logs unless --older-than is given. A branch whose
    work is not landed is never removed; it is named with the reason. A run that is going is never touched.

    \b
    Example:
      orchestrator gc --dry-run
      orchestrator gc --branches
      orchestrator gc --older-than 30d --salvage
    """
    from orchestrator.cli.sweep import Wish, sweep_runs
    from orchestrator.report.words import size

    if salvage and older_than is None:
        raise click.UsageError("--salvage needs --older-than, such as 90d", click.get_current_context())
    wish = Wish(older_than_s=older_than, branches=branches, salvage=salvage, dry_run=dry_run)
    sweeps = sweep_runs(repo, wish)
    freed = sum(sweep.freed_bytes for sweep in sweeps)
    if as_json:
        write_json({"dry_run": dry_run, "freed_bytes": freed, "runs": [asdict(sweep) for sweep in sweeps]})
    else:
        for sweep in sweeps:
            _show(sweep, "would remove" if dry_run else "removed")
        write(f"{'would free' if dry_run else 'freed'} {size(freed)}")
    for sweep in sweeps:
        for fault in sweep.faults:
            say_warning(f"{sweep.run_id}: {fault}")
    return 1 if any(sweep.faults for sweep in sweeps) else 0


def _show(sweep: Sweep, verb: str) -> None:
    record = ", its journal, logs and report" if sweep.record_removed else ""
    write(f"{sweep.run_id}: {verb} {len(sweep.workspaces)} workspaces{record}")
    for gone in sweep.branches_removed:
        write(f"  {verb} branch {gone['branch']} ({_WORDS[gone['how']]}; it was at {gone['commit'][:12]})")
    for ref in sweep.salvage_removed:
        write(f"  {verb} {ref}")
    for branch in sweep.branches_kept:
        because = sweep.kept_because.get(branch)
        write(f"  kept branch {branch}{f': {because}' if because else ''}")
