"""The end of a run in the foreground: its report, and where to look next."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.cli.output import write, write_json
from orchestrator.core.run import Run
from orchestrator.journal.state import load_state
from orchestrator.report.build import build_report
from orchestrator.report.text import render_text


def show_end(run: Run, *, as_json: bool) -> Mapping[str, Any]:
    """Write the report to stdout, as text or JSON, and return it."""
    return show_report(run.directory, as_json=as_json)


def show_report(folder: Path, *, as_json: bool) -> Mapping[str, Any]:
    """As `show_end`, of the run in `folder`."""
    report = build_report(load_state(folder))
    if as_json:
        write_json(report)
        return report
    write(render_text(report))
    if report["landing"]["landed"]:
        write(f"take it   git merge --ff-only {report['landing']['branch']}")
    branches = [entry["branch"] for entry in report["results"] if entry["branch"] and entry["files_changed"]]
    if branches:
        write(f"branches  {len(branches)} with work: git branch --list 'orchestrator/{folder.name}/*'")
        write(f"          first: git diff {report['base_commit'][:12]}...{branches[0]}")
    write(f"report    orchestrator report {folder.name} --html report.html")
    return report
