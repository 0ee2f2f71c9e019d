"""`orchestrator land`: puts what a run's workers did together, on a branch of its own."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import json_option, no_progress_option, repo_option
from orchestrator.cli.runs import run_argument


def _ids(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    return tuple(part for part in value.replace(",", " ").split() if part) if value is not None else None


@click.command()
@run_argument
@repo_option
@click.option(
    "--history",
    type=click.Choice(["merge", "squash", "rebase"]),
    help="A merge per worker (the default), one commit per worker, or each worker's own commits.",
)
@click.option(
    "--batch",
    type=click.IntRange(min=1),
    metavar="N",
    help="Gate after every N workers; all at once unless given.",
)
@click.option("--only", callback=_ids, metavar="IDS", help="Only these tasks, with commas in between.")
@click.option("--into", metavar="BRANCH", help="Fast-forward this branch of yours at the end.")
@click.option(
    "--pr",
    type=click.Choice(["one", "each"]),
    is_flag=False,
    flag_value="one",
    help="Open a pull request through `gh`; `each`: one per task.",
)
@click.option(
    "--resolve",
    type=click.IntRange(0, 20),
    metavar="N",
    help="Give a conflict back to its agent so many times; `resolve_rounds` unless given.",
)
@no_progress_option
@json_option
def command(
    run: str | None,
    repo: Path | None,
    *,
    history: str | None,
    batch: int | None,
    only: tuple[str, ...] | None,
    into: str | None,
    pr: str | None,
    resolve: int | None,
    no_progress: bool,
    as_json: bool,
) -> int:
    """Put the work of a run together on one branch, gated.

    Merges what the tasks that succeeded did, and runs the run's `verify` commands on the result.
    RUN is an id, or enough of its beginning; the newest run unless given. The result is the branch
    orchestrator/RUN/integration; your checkout and your branches stay as they are, but for the one that
    --into names. What conflicts, or fails the gate, is set aside, and the others go on. Killed half-way,
    it goes on where it was when it is started again.

    \b
    Exit codes: 0 everything landed, 2 wrong input, 3 something was set aside, 130 interrupted.

    \b
    Example:
      orchestrator land
      orchestrator land 20261123-19 --history squash --into main
      orchestrator land --only login,search --pr
    """
    from orchestrator.cli.landing import carry_out, show
    from orchestrator.cli.runs import pick_run
    from orchestrator.landing.land import Wishes

    folder = pick_run(run, repo)
    wishes = Wishes(batch=batch, only=only, into=into, resolve_rounds=resolve)
    result = carry_out(folder, wishes, history=history, pull_requests=pr, show_progress=not no_progress)
    show(folder, result, as_json=as_json)
    if result.interrupted:
        return 130
    return 0 if result.complete else 3
