"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click


def read_duration(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    """Read seconds, or a text such as `90s`, `30m`, `1h30m`."""
    from orchestrator.config import parse_duration

    if value is None:
        return None
    try:
        return parse_duration(value)
    except ValueError as err:
        raise click.BadParameter(f"{err} (got {value!r})") from err


json_option = click.option(
    "--json", "as_json", is_flag=True, help="One JSON document on stdout, and nothing else there."
)
repo_option = click.option(
    "--repo",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The repository; the current folder unless given.",
)
no_progress_option = click.option(
    "--no-progress", is_flag=True, help="No live progress; only the start and the end."
)
