"""`orchestrator list`: the runs there are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.options import json_option, repo_option
from orchestrator.cli.output import paint, table, write, write_json

if TYPE_CHECKING:
    from orchestrator.report.statistics import Figures

_NEWEST = 20
_COLOURS = {"succeeded": "green", "running": "cyan", "interrupted": "yellow"}


@click.command()
@repo_option
@click.option("--all", "show_all", is_flag=True, help=f"All runs, not only the newest {_NEWEST}.")
@click.option("--stats", is_flag=True, help="Instead: what all runs say of each agent and each task.")
@json_option
def command(repo: Path | None, show_all: bool, stats: bool, as_json: bool) -> None:
    """List the runs, newest first.

    Without --repo those over every repository. --stats looks at all of them, and leaves out results
    that were cancelled or parked.

    \b
    Example:
      orchestrator list
      orchestrator list --repo . --all --json
      orchestrator list --stats
    """
    from orchestrator.cli.runs import is_over
    from orchestrator.journal.runs import list_runs, run_dir

    run_ids = [run_id for run_id in list_runs() if repo is None or is_over(repo, run_dir(run_id))]
    if stats:
        _show_statistics([run_dir(run_id) for run_id in run_ids], as_json=as_json)
        return
    shown = run_ids if show_all else run_ids[:_NEWEST]
    entries = [_entry(run_dir(run_id)) for run_id in shown]
    if as_json:
        write_json(entries)
        return
    if not entries:
        write("no runs yet; `orchestrator demo` makes one")
        return
    header, *lines = table([("RUN", "STARTED", "DONE", "TIME", "STATUS", "REPOSITORY"), *map(_row, entries)])
    write(paint(header, "bold"))
    for entry, line in zip(entries, lines, strict=True):
        status = entry["status"]
        write(line.replace(status, paint(status, _COLOURS.get(status, "red")), 1))
    if len(shown) < len(run_ids):
        write(f"{len(run_ids) - len(shown)} older runs: `orchestrator list --all`")


def _show_statistics(folders: Sequence[Path], *, as_json: bool) -> None:
    from contextlib import suppress

    from orchestrator.errors import JournalError
    from orchestrator.journal.state import load_state
    from orchestrator.report.statistics import statistics

    states = []
    for folder in folders:
        with suppress(JournalError):  # the plain list names it
            states.append(load_state(folder))
    found = statistics(states)
    if as_json:
        groups = {name: [each.to_json() for each in figures] for name, figures in found.items()}
        write_json({"runs": len(states), **groups})
        return
    write(f"{len(states)} runs")
    for title, figures in (("AGENT", found["agents"]), ("TASK", found["tasks"])):
        header = (title, "RESULTS", "SUCCEEDED", "MEDIAN", "TRIES", "USD", "REPOSITORY")
        first, *lines = table([header, *map(_figures_row, figures)])
        write("")
        write(paint(first, "bold"))
        for line in lines:
            write(line)


def _figures_row(figures: Figures) -> tuple[str, ...]:
    from orchestrator.report.words import duration, one_line

    unknown = f" + {figures.cost_unknown} untold" if figures.cost_unknown else ""
    cost = f"{figures.cost_usd:.2f}{unknown}" if figures.cost_usd is not None else "-"
    return (
        one_line(figures.name),
        str(figures.results),
        f"{figures.success_rate:.0%}",
        duration(figures.median_seconds),
        f"{figures.attempts_per_result:.1f}",
        cost,
        one_line(figures.repo) if figures.repo else "all",
    )


def _entry(folder: Path) -> dict[str, Any]:
    from orchestrator.errors import JournalError
    from orchestrator.journal.state import load_state
    from orchestrator.report.build import build_report

    keys = ("run_id", "repo", "status", "started_at", "finished_at", "wall_seconds", "counts")
    try:
        state = load_state(folder)
    except JournalError as err:
        return dict.fromkeys(keys) | {
            "run_id": folder.name,
            "status": "unreadable",
            "error_message": err.message,
            "tasks": 0,
        }
    report = build_report(state)
    return {key: report[key] for key in keys} | {"tasks": len(state.tasks)}


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    from datetime import datetime

    from orchestrator.report.words import duration, one_line

    if entry["status"] == "unreadable":
        return (entry["run_id"], "", "", "", "unreadable", one_line(entry["error_message"]))
    started = datetime.fromisoformat(entry["started_at"]).astimezone()
    return (
        entry["run_id"],
        f"{started:%Y-%m-%d %H:%M}",
        f"{entry['counts']['succeeded']}/{entry['tasks']}",
        duration(entry["wall_seconds"]),
        entry["status"],
        one_line(entry["repo"]),
    )
