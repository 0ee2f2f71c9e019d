"""`orchestrator init`: a commented task file to start from."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.output import write


@click.command()
@click.argument("path", type=click.Path(path_type=Path), default=Path("tasks.yaml"))
def command(path: Path) -> None:
    """Write a commented task file to start from.

    PATH is `tasks.yaml` unless given; a file that exists is never overwritten.

    \b
    Example:
      orchestrator init
      orchestrator init plans/tonight.yaml
    """
    from orchestrator.taskfile import write_template

    write_template(path)
    write(f"wrote {path}")
    write(f"next: edit its tasks, then `orchestrator run {path}`")
