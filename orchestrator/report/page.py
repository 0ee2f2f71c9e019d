"""The report of a run as one self-contained HTML page: nothing to load, nothing to run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any

from orchestrator.journal.state import RunState
from orchestrator.journal.worker_state import PermissionState
from orchestrator.model.event import Phase
from orchestrator.report.build import build_report
from orchestrator.report.conflict_groups import by_file, matrix
from orchestrator.report.conflict_text import prediction_lines
from orchestrator.report.timeline import build_timeline
from orchestrator.report.words import duration, size, stamp
from orchestrator.safe_text import safe_text

if TYPE_CHECKING:
    from jinja2 import Template

_OUTPUT_CHARACTERS = 6000
_PERMISSIONS_SHOWN = 200
_FILES_SHOWN = 500
#: How a worker stands, for those who cannot tell colours apart.
_MARKS = {
    "succeeded": "✓",
    "failed": "✗",
    "timed_out": "!",
    "cancelled": "-",
    "spawn_failed": "✗",
    "rejected": "⊘",
    "parked": "?",
}


def render_page(state: RunState) -> str:
    """Return the page. All that came from agents, tasks or the repository is escaped on its way in."""
    template = page_template("page.html.j2", {"tail": _tail})
    report = build_report(state)
    known = {entry["worker_id"]: entry for entry in (*report["results"], *report["pending"])}
    entries = {worker.id: known[worker.id] for worker in state.tasks}
    workers = [_worker(state, entry) for entry in entries.values()]
    return template.render(
        report=report,
        workers=workers,
        timeline=build_timeline(list(workers), report["wall_seconds"]),
        matrix=matrix(report["conflicts"], list(entries)),
        conflict_files=by_file(report["conflicts"]["pairs"], list(entries))[:_FILES_SHOWN],
        foreseen=prediction_lines(report["conflicts"]),
        phases=[phase.value for phase in Phase if phase is not Phase.FINISHED],
        marks=_MARKS,
        files_shown=_FILES_SHOWN,
    )


def page_template(name: str, filters: Mapping[str, Callable[..., Any]]) -> Template:
    """Load a template of this package; every value in it is made safe and escaped."""
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415 (start-up of every other command)

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, finalize=_safe, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(duration=duration, size=size, stamp=stamp, **filters)
    source = (resources.files("orchestrator.report") / name).read_text(encoding="utf-8")
    return environment.from_string(source)


def _worker(state: RunState, entry: dict[str, Any]) -> dict[str, Any]:
    worker = state.workers[entry["worker_id"]]
    asked = list(worker.permissions.values())
    return {
        **entry,
        "ended": "status" in entry,
        "needs": worker.needs,
        "tries": worker.attempts,
        "kept": worker.kept,
        "asked": [_permission(one) for one in asked[:_PERMISSIONS_SHOWN]],
        "asked_more": max(0, len(asked) - _PERMISSIONS_SHOWN),
    }


def _permission(entry: PermissionState) -> dict[str, str]:
    request, decision = entry.request, entry.decision or {}
    subject = request.get("command") or request.get("path") or request.get("request_id") or ""
    return {
        "tool": str(request.get("tool") or ""),
        "subject": str(subject)[:_OUTPUT_CHARACTERS],
        "verdict": str(decision.get("verdict") or "no answer"),
        "level": str(decision.get("level") or ""),
        "rule": str(decision.get("rule") or ""),
        "reason": str(decision.get("reason") or ""),
    }


def _tail(text: str) -> str:
    """The end of a long text, which is where its point is."""
    return text if len(text) <= _OUTPUT_CHARACTERS else "…" + text[-_OUTPUT_CHARACTERS:]


def _safe(value: object) -> object:
    """What every expression of the template goes through before it is escaped."""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return safe_text(value)
    return value
