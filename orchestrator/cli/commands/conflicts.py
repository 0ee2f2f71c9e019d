"""`orchestrator conflicts`: who conflicts with whom, also while they are still at work."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import json_option, repo_option
from orchestrator.cli.runs import run_argument


@click.command()
@run_argument
@repo_option
@click.option("--watch", is_flag=True, help="Go on looking until the run ends.")
@json_option
def command(run: str | None, repo: Path | None, watch: bool, as_json: bool) -> None:
    """Show who conflicts with whom, in which files, and in which order to merge.

    RUN is an id, or enough of its beginning; the newest run unless given. Every two branches are merged
    in memory, and each with where the base branch is by now. Workers that still run are compared by a
    snapshot of their files, which leaves their workspaces untouched. Hints name what git does not see,
    such as a function changed on one side whose caller changed on the other.

    \b
    Example:
      orchestrator conflicts
      orchestrator conflicts 20261123-19 --watch
      orchestrator conflicts --json
    """
    from orchestrator.cli.conflict_view import show, watch_run
    from orchestrator.cli.runs import pick_run

    folder = pick_run(run, repo)
    if watch:
        watch_run(folder, as_json=as_json)
    else:
        show(folder, as_json=as_json)
