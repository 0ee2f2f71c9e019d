"""`orchestrator report`: what came of a run."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import json_option, repo_option
from orchestrator.cli.output import write, write_json
from orchestrator.cli.runs import run_argument


@click.command()
@run_argument
@repo_option
@click.option(
    "--html", type=click.Path(path_type=Path), metavar="FILE", help="Write one self-contained HTML page."
)
@json_option
def command(run: str | None, repo: Path | None, html: Path | None, as_json: bool) -> None:
    """Show the report of a run as text, JSON or an HTML page.

    RUN is an id, or enough of its beginning; the newest run unless given.

    \b
    Example:
      orchestrator report
      orchestrator report --json | jq .speedup
      orchestrator report 20261123-1930 --html report.html
    """
    from orchestrator.cli.runs import pick_run
    from orchestrator.journal.state import load_state
    from orchestrator.report.build import build_report
    from orchestrator.report.text import render_text

    state = load_state(pick_run(run, repo))
    if html is not None:
        from orchestrator.report.page import render_page

        write_page(html, render_page(state))
    if as_json:
        write_json(build_report(state))
    elif html is not None:
        write(f"wrote {html}")
    else:
        write(render_text(build_report(state)).rstrip())


def write_page(path: Path, text: str) -> None:
    """Write the page where the person wants it."""
    from orchestrator.errors import InputError

    try:
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as err:
        raise InputError(
            f"cannot write {path}: {err.strerror}", hint="name a file in a folder that exists"
        ) from err
