"""`orchestrator agents check NAME`: what of an agent works with this version of its program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import json_option
from orchestrator.cli.output import paint, say, table, write, write_json

if TYPE_CHECKING:
    from orchestrator.config import AgentKeys
    from orchestrator.conformance.check import CaseResult
    from orchestrator.ports import ProgramAgent

_COLOURS = {"passed": "green", "failed": "red", "not supported": "yellow"}


@click.command("check")
@click.argument("name")
@json_option
def command(name: str, as_json: bool) -> int:
    """Check an agent by scripted cases: writing, commands, denials, resuming, stopping, errors.

    Runs its real program over a fresh repository, with a home of its own and a scripted model on
    127.0.0.1 in the place of the real one: none of your keys is used, and nothing is spent. Ends with exit
    code 1 when a case failed.

    \b
    Example:
      orchestrator agents check claude
    """
    import shutil
    import tempfile

    from orchestrator.agents.defined import defined_agents
    from orchestrator.conformance.check import check_agent

    defined = defined_agents()
    agent, version = _checkable(name, defined)
    if not as_json:
        say(
            f"checking {name}"
            + (f" {version}" if version else "")
            + " with a scripted model; this takes a while"
        )
    folder = Path(tempfile.mkdtemp(prefix="orchestrator-check-"))
    results = check_agent(name, agent, folder, defined=defined)
    bad = any(result.grade == "failed" for result in results)
    if as_json:
        cases = [asdict(result) for result in results]
        write_json({"agent": name, "version": version, "ok": not bad, "cases": cases})
    else:
        _show(results)
    if bad:
        say(f"the logs of the runs are in {folder / 'state' / 'runs'}")
    else:
        shutil.rmtree(folder)
    return 1 if bad else 0


def _checkable(name: str, defined: Mapping[str, AgentKeys]) -> tuple[ProgramAgent, str | None]:
    """The agent and its version. Raises InputError when it cannot be checked."""
    import os

    from orchestrator.agents.registry import get_agent
    from orchestrator.errors import InputError
    from orchestrator.ports import ProgramAgent

    agent = get_agent(name, defined)
    if not isinstance(agent, ProgramAgent):
        raise InputError(
            f"agent `{name}` cannot be checked: it talks to no model",
            hint="`orchestrator agents` lists the others",
        )
    found = agent.look(os.environ)
    if found.program is None:
        raise InputError(
            f"agent `{name}` cannot be checked: its program is not installed",
            hint=f"`orchestrator doctor --agent {name}` says what is missing",
        )
    return agent, found.version


def _show(results: Sequence[CaseResult]) -> None:
    rows = [
        (result.case, result.grade.value, f"{result.seconds:.1f} s", result.why or result.about)
        for result in results
    ]
    header, *lines = table([("CASE", "RESULT", "TIME", "WHY, OR WHAT IT SHOWS"), *rows])
    write(paint(header, "bold"))
    for line, result in zip(lines, results, strict=True):
        write(paint(line, _COLOURS[result.grade.value]))
