"""`orchestrator report`: what came of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.options import json_option, repo_option
from orchestrator.cli.output import write, write_json
from orchestrator.cli.runs import run_argument

if TYPE_CHECKING:
    from orchestrator.journal.state import RunState


@click.command()
@run_argument
@repo_option
@click.option(
    "--html", type=click.Path(path_type=Path), metavar="FILE", help="Write one self-contained HTML page."
)
@click.option(
    "--review", is_flag=True, help="All that a reviewer needs, worker by worker, riskiest files first."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["md", "html"]),
    help="How --review is written to standard output; default md.",
)
@json_option
def command(
    run: str | None, repo: Path | None, *, html: Path | None, review: bool, form: str | None, as_json: bool
) -> None:
    """Show the report of a run as text, JSON or an HTML page.

    RUN is an id, or enough of its beginning; the newest run unless given.

    \b
    Example:
      orchestrator report
      orchestrator report --json | jq .speedup
      orchestrator report 20261123-1930 --html report.html
      orchestrator report --review > review.md
    """
    from orchestrator.cli.runs import pick_run
    from orchestrator.errors import InputError
    from orchestrator.journal.state import load_state
    from orchestrator.report.build import build_report
    from orchestrator.report.text import render_text

    if form and not review:
        raise InputError(
            "--format is for --review", hint="give both, or --html FILE for the report as a page"
        )
    folder = pick_run(run, repo)
    state = load_state(folder)
    if review:
        _write_review(state, folder, html, form or "md", as_json)
        return
    if html is not None:
        from orchestrator.report.page import render_page

        write_page(html, render_page(state))
    if as_json:
        write_json(build_report(state))
    elif html is not None:
        write(f"wrote {html}")
    else:
        write(render_text(build_report(state)).rstrip())


def _write_review(state: RunState, folder: Path, html: Path | None, form: str, as_json: bool) -> None:
    from orchestrator.report.review import build_review
    from orchestrator.report.review_markdown import render_review
    from orchestrator.report.review_page import render_review_page

    packet = build_review(state, folder, hints=_hints(state))
    if html is not None:
        write_page(html, render_review_page(packet))
    if as_json:
        write_json(packet)
    elif html is not None:
        write(f"wrote {html}")
    else:
        write((render_review if form == "md" else render_review_page)(packet).rstrip())


def _hints(state: RunState) -> list[dict[str, Any]]:
    """What git does not see between two branches; nothing where they cannot be read any more."""
    import tempfile

    from orchestrator.errors import OrchestratorError
    from orchestrator.git.repository import open_repository
    from orchestrator.landing.hints import find_hints

    results = {worker.id: worker.result for worker in state.tasks}
    commits = {name: found.commit for name, found in results.items() if found and found.commit}
    if state.base_commit is None or len(commits) < 2:
        return []
    try:
        with tempfile.TemporaryDirectory(prefix="orchestrator-review-") as place:
            shield = open_repository(Path(state.repo)).scratch(Path(place, "git"), head=state.base_commit)
            return [hint.to_json() for hint in find_hints(shield, state.base_commit, commits)]
    except OrchestratorError:
        return []


def write_page(path: Path, text: str) -> None:
    """Write the page where the person wants it."""
    from orchestrator.errors import InputError

    try:
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as err:
        raise InputError(
            f"cannot write {path}: {err.strerror}", hint="name a file in a folder that exists"
        ) from err
