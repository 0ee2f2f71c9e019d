"""`orchestrator doctor`: what is wrong here, and how to mend it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import json_option, repo_option
from orchestrator.cli.output import paint, write, write_json

if TYPE_CHECKING:
    from orchestrator.cli.diagnosis import Finding

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command()
@repo_option
@click.option("--agent", metavar="NAME", help="Look at this agent instead: what it needs, what it lacks.")
@json_option
def command(repo: Path | None, agent: str | None, as_json: bool) -> int:
    """Check this machine and repository, and say how to mend what is wrong.

    Ends with exit code 1 when something must be mended before a run, or the agent, can work.

    \b
    Example:
      orchestrator doctor
      orchestrator doctor --agent claude
      orchestrator doctor --repo ~/src/blog --json
    """
    findings = []
    for finding in _findings(repo or Path(), agent):
        findings.append(finding)
        if not as_json:
            word = paint(f"{finding.status:4}", _COLOURS[finding.status])
            write(f"{word}  {finding.name:13}  {finding.found}")
            if finding.mend:
                write(f"{'':21}mend: {finding.mend}")
    failed = any(finding.status == "fail" for finding in findings)
    if as_json:
        write_json({"ok": not failed, "findings": [asdict(finding) for finding in findings]})
    return 1 if failed else 0


def _findings(repo: Path, agent: str | None) -> Iterator[Finding]:
    if agent is None:
        from orchestrator.cli.diagnosis import all_findings
        from orchestrator.config import home

        return all_findings(repo, home())
    import os

    from orchestrator.cli.agent_survey import agent_findings

    return agent_findings(agent, os.environ)
