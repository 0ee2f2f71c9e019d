"""The report of a run as plain text for a terminal 80 columns wide."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.report.words import duration, one_line

_WIDTH = 80
_ID_WIDTH = 30
_ERROR_LINES = 8


def render_text(report: Mapping[str, Any]) -> str:
    """Return `build_report`'s document as text."""
    parts = [_head(report), _table([*report["results"], *report["pending"]])]
    parts += [_trouble(entry) for entry in report["results"] if not entry["success"]]
    return "\n\n".join(parts) + "\n"


def _head(report: Mapping[str, Any]) -> str:
    results = report["results"]
    total = len(results) + len(report["pending"])
    base = f"{one_line(report['base_ref'] or '')} {one_line(report['base_commit'] or '')[:12]}".strip()
    others = [f"{count} {status}" for status, count in report["counts"].items() if count]
    work = f"{report['speedup']:.1f}x ({duration(report['sum_seconds'])} of work)"
    rows = [
        ("repository", one_line(report["repo"])),
        ("base", base),
        ("boundary", f"{one_line(report['isolation'])}, {one_line(report['boundary'])}".strip(", ")),
        ("tasks", ", ".join([f"{len(results)} of {total} ended", *others])),
        (
            "time",
            f"{duration(report['wall_seconds'])} in all, longest task {duration(report['max_seconds'])}",
        ),
        ("parallel", f"{work}, up to {report['max_overlap']} at once"),
    ]
    lines = [f"Run {one_line(report['run_id'])}: {one_line(report['status'])}"]
    lines += [f"  {name:<11} {value}" for name, value in rows if value]
    return "\n".join(lines)


def _table(entries: Sequence[Mapping[str, Any]]) -> str:
    width = min(_ID_WIDTH, max([4, *(len(entry["worker_id"]) for entry in entries)]))
    lines = [f"  {'TASK':<{width}}  {'STATUS':<12} {'TIME':>8} {'WAITED':>8} {'TRIES':>5} {'FILES':>5}"]
    for entry in entries:
        name = one_line(entry["worker_id"])
        name = name if len(name) <= width else name[: width - 1] + "…"
        lines.append(f"  {name:<{width}}  {_figures(entry)}")
    return "\n".join(line.rstrip() for line in lines)


def _figures(entry: Mapping[str, Any]) -> str:
    if "status" not in entry:
        return f"{entry['phase']:<12}"
    return (
        f"{entry['status']:<12} {duration(entry['duration']):>8} {duration(entry['queue_wait']):>8} "
        f"{entry['attempts']:>5} {len(entry['files_changed']):>5}"
    )


def _trouble(entry: Mapping[str, Any]) -> str:
    """Say why a task did not succeed, and where to look."""
    kind = f" ({one_line(entry['error_kind'])})" if entry["error_kind"] else ""
    lines = [f"{one_line(entry['worker_id'])}: {entry['status']}{kind}"]
    message = one_line(entry["error_message"] or "no reason was given")
    told = textwrap.wrap(message, _WIDTH - 2, max_lines=_ERROR_LINES, placeholder=" …")
    lines += [f"  {line}" for line in told]
    lines += [
        f"  check failed: {one_line(check['command'])}"
        for check in (entry["verify"] or {"commands": []})["commands"]
        if check["exit_code"] != 0
    ]
    if entry["log_path"]:
        lines.append(f"  log: {one_line(entry['log_path'])}")
    return "\n".join(lines)
