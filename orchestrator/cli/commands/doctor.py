"""`orchestrator doctor`: what is wrong here, and how to mend it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from orchestrator.cli.options import json_option, repo_option
from orchestrator.cli.output import paint, write, write_json

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command()
@repo_option
@json_option
def command(repo: Path | None, as_json: bool) -> int:
    """Check this machine and repository, and say how to mend what is wrong.

    Ends with exit code 1 when something must be mended before a run can work.

    \b
    Example:
      orchestrator doctor
      orchestrator doctor --repo ~/src/blog --json
    """
    from orchestrator.cli.diagnosis import all_findings
    from orchestrator.config import home

    findings = []
    for finding in all_findings(repo or Path(), home()):
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
