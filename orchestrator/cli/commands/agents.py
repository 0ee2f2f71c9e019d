"""`orchestrator agents`: what a task may name as its agent."""

from __future__ import annotations

import click

from orchestrator.cli.options import json_option
from orchestrator.cli.output import paint, table, write, write_json

#: name: (channel, what it is for)
PURPOSES = {
    "command": ("pipes or pty", "runs the task's `command`, any program; success is exit status 0"),
    "demo": ("pty", "the scripted agent that ships with orchestrator; needs no key and no network"),
}


@click.command()
@json_option
def command(as_json: bool) -> None:
    """List the agents that tasks can name.

    \b
    Example:
      orchestrator agents
    """
    from orchestrator.agents.registry import agent_names

    found = [(name, *PURPOSES.get(name, ("", ""))) for name in agent_names()]
    if as_json:
        write_json(
            [{"name": name, "channel": channel, "purpose": purpose} for name, channel, purpose in found]
        )
        return
    header, *rows = table([("AGENT", "CHANNEL", "WHAT IT IS FOR"), *found])
    write(paint(header, "bold"))
    for row in rows:
        write(row)
