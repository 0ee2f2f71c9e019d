"""`orchestrator agents`: what a task may name as its agent, and what of it is on this machine."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import json_option
from orchestrator.cli.output import paint, table, write, write_json

if TYPE_CHECKING:
    from orchestrator.cli.agent_survey import AgentState

_TESTED = {True: "yes", False: "no", None: "-"}


class _AgentsGroup(click.Group):
    """Imports its subcommand only when that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        return ["check"]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name != "check":
            return None
        command: click.Command = import_module("orchestrator.cli.agent_check").command
        return command


@click.group(cls=_AgentsGroup, invoke_without_command=True)
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """List the agents that tasks can name.

    Looks for each one's program, without a request to a model. A version is tested when the tests of
    this version of orchestrator run with it.

    \b
    Example:
      orchestrator agents
      orchestrator agents check claude
    """
    if ctx.invoked_subcommand:
        return
    import os

    from orchestrator.cli.agent_survey import survey

    states = survey(os.environ)
    if as_json:
        write_json([state.to_json() for state in states])
    else:
        _show(states)


def _show(states: list[AgentState]) -> None:
    header, *rows = table([("AGENT", "CHANNEL", "VERSION", "TESTED", "LOGIN", "PROGRAM"), *map(_row, states)])
    write(paint(header, "bold"))
    for state, row in zip(states, rows, strict=True):
        write(paint(row, "dim" if state.has_program and state.installed.program is None else None))
    if lacking := [state.name for state in states if state.installed.lacks]:
        write(f"\nNot ready: {', '.join(lacking)}. `orchestrator doctor --agent NAME` says what is missing.")


def _row(state: AgentState) -> tuple[str, ...]:
    found = state.installed
    program = str(found.program) if found.program else "not found" if state.has_program else "-"
    cells = (state.name, found.channel, found.version, _TESTED[state.tested], found.login, program)
    return tuple(cell or "-" for cell in cells)
