"""The review packet: for each worker, all that a person needs to judge its work, riskiest first."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.errors import GitError, JournalError, OrchestratorError
from orchestrator.git.file_changes import FileChange, file_changes
from orchestrator.git.repository import Repository, open_repository
from orchestrator.journal.state import RunState
from orchestrator.journal.stored_plan import load_plan
from orchestrator.model.task import Task
from orchestrator.report.build import build_report
from orchestrator.report.risks import gravity, risks_of


def build_review(state: RunState, folder: Path, *, hints: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """Return the packet of the run in `folder`, its workers in the order of landing.

    `hints` are on what git does not see between two branches, as `orchestrator conflicts` shows them.
    """
    report = build_report(state)
    asked = _asked(folder)
    repository = _repository(state)
    entries = {entry["worker_id"]: entry for entry in (*report["pending"], *report["results"])}
    order = review_order(report)
    return {
        "schema": 1,
        **{key: report[key] for key in ("run_id", "repo", "base_ref", "base_commit", "status", "counts")},
        "landing": report["landing"],
        "gates": report["gates"],
        "workers": [
            _worker(state, report, entries[worker_id], asked.get(worker_id), repository)
            | {"hints": _about(hints, worker_id)}
            for worker_id in order
        ],
    }


def review_order(report: Mapping[str, Any]) -> list[str]:
    """Name all workers: as they landed, then those held back, then in merge order, then as spawned."""
    landing, conflicts = report["landing"], report["conflicts"]
    known = [entry["worker_id"] for entry in (*report["results"], *report["pending"])]
    placed = [
        *map(_landed_id, landing["landed"]),
        *map(_landed_id, landing["held"]),
        *conflicts.get("order", ()),
        *known,
    ]
    return [worker_id for worker_id in dict.fromkeys(placed) if worker_id in set(known)]


def _landed_id(entry: Any) -> str:
    return str(entry["worker_id"]) if isinstance(entry, Mapping) else str(entry)


def _asked(folder: Path) -> Mapping[str, Task]:
    try:
        return {task.id: task for task in load_plan(folder).tasks}
    except JournalError:
        return {}  # the run is of a version that did not keep it


def _repository(state: RunState) -> Repository | None:
    try:
        return open_repository(Path(state.repo), warn=False) if state.repo else None
    except OrchestratorError:
        return None


def _worker(
    state: RunState,
    report: Mapping[str, Any],
    entry: Mapping[str, Any],
    task: Task | None,
    repository: Repository | None,
) -> dict[str, Any]:
    worker_id = entry["worker_id"]
    variants = entry["variants"] if "status" in entry else ()
    made_by = next((one["worker_id"] for one in variants if one["chosen"]), worker_id)
    changes, fault = _changes(repository, state.workers[made_by].start_commit, entry.get("commit"))
    kept = ("name", "agent", "status", "duration", "attempts", "error_message", "error_kind", "output")
    places = ("branch", "commit", "log_path", "transcript_path", "verify", "usage")
    return {
        "worker_id": worker_id,
        **{key: entry.get(key) for key in (*kept, *places)},
        "status": entry.get("status") or entry["phase"],
        "prompt": task.prompt if task else None,
        "command": list(task.command) if task else [],
        "needs": list(state.workers[worker_id].needs),
        "declared": [*task.files, *task.may_touch] if task else [],
        "landed": _landed(report["landing"], worker_id),
        "changes": [_change(change, task) for change in sorted(changes, key=_reading_order)],
        "changes_unknown": fault,
        "denied": [
            {key: made[key] for key in ("tool", "what", "rule", "reason", "level", "by")}
            for made in report["decisions"]
            if made["worker_id"] == worker_id and made["verdict"] == "deny"
        ],
        "conflicts": _about(report["conflicts"].get("pairs", ()), worker_id),
        "resolved": _about(report["conflicts"].get("resolved", ()), worker_id),
        "variants": list(variants),
        "salvaged": state.workers[worker_id].salvaged,
    }


def _changes(
    repository: Repository | None, start: str | None, commit: str | None
) -> tuple[Sequence[FileChange], str | None]:
    """Compare the worker's commit with what it started from; say so when that cannot be done."""
    if commit is None or start is None:
        return (), None
    if repository is None:
        return (), "the repository is not there any more"
    with tempfile.TemporaryDirectory(prefix="orchestrator-review-") as folder:
        shield = repository.scratch(Path(folder, "git"), head=repository.head)
        try:
            return file_changes(shield, start, commit), None
        except GitError:
            return (), f"git has no commit {commit[:12]} any more; its branch was deleted"


def _reading_order(change: FileChange) -> tuple[int, str]:
    return gravity(change), change.path


def _change(change: FileChange, task: Task | None) -> dict[str, Any]:
    declared = (*task.files, *task.may_touch) if task else ()
    return {
        "path": change.path,
        "old_path": change.old_path,
        "status": change.status,
        "added": change.added,
        "removed": change.removed,
        "risks": list(risks_of(change)),
        "undeclared": bool(declared) and not _is_declared(change.path, declared),
    }


def _is_declared(path: str, declared: Sequence[str]) -> bool:
    return any(path == name or path.startswith(name.rstrip("/") + "/") for name in declared)


def _landed(landing: Mapping[str, Any], worker_id: str) -> str:
    """How the worker's branch stands: `landed`, `held: why`, or nothing when it was not landed."""
    if worker_id in map(_landed_id, landing["landed"]):
        return "landed"
    held = (entry for entry in landing["held"] if _landed_id(entry) == worker_id)
    return next((f"held: {entry.get('reason')}" for entry in held if isinstance(entry, Mapping)), "")


def _about(pairs: Sequence[Mapping[str, Any]], worker_id: str) -> list[dict[str, Any]]:
    return [dict(pair) for pair in pairs if worker_id in (pair.get("a"), pair.get("b"))]
