"""Runs made up of events, for the tests of reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestrator.model.event import Event, EventKind
from orchestrator.model.result import CheckResult, Status, TaskResult, Usage, VerifyResult

START = datetime(2026, 11, 23, 19, 30, 5, tzinfo=UTC)


def event(kind: EventKind, second: float, worker_id: str | None = None, **data: Any) -> Event:
    attempt = 1 if worker_id else None
    return Event(
        kind=kind, at=START + timedelta(seconds=second), worker_id=worker_id, attempt=attempt, data=data
    )


def begun(ids: list[str], max_workers: int = 8, **facts: Any) -> Event:
    tasks = [{"id": i, "name": i, "agent": "demo"} for i in ids]
    run = {"run_id": "20261123-193005-x7k2", "repo": "/repo", "base_ref": "main", "base_commit": "c0ffee"}
    bounds = {"isolation": "worktree", "boundary": "no sandbox", "max_workers": max_workers}
    return event(EventKind.RUN_STARTED, 0, **{**run, **bounds, "tasks": tasks, **facts})


def worked(worker_id: str, start: float, end: float, **result: Any) -> Iterator[Event]:
    """A worker that held its slot from `start` to `end`; `result` changes fields of its result."""
    yield event(EventKind.ATTEMPT_STARTED, start, worker_id, queue_wait=start, log_path="/logs/x")
    yield event(EventKind.ATTEMPT_PHASE, (start + end) / 2, worker_id, phase="running")
    fields: Mapping[str, Any] = {
        "worker_id": worker_id,
        "name": worker_id,
        "agent": "demo",
        "status": Status.SUCCEEDED,
        "duration": end - start,
        "queue_wait": start,
        "attempts": 1,
        **result,
    }
    yield event(
        EventKind.ATTEMPT_FINISHED,
        end,
        worker_id,
        status=fields["status"].value,
        duration=end - start,
        resources={"cpu_s": 1.25, "peak_rss_bytes": 3 * 1024 * 1024},
    )
    yield event(EventKind.WORKER_FINISHED, end, worker_id, result=TaskResult(**fields).to_json())


def ended(second: float, status: str = "succeeded") -> Event:
    return event(EventKind.RUN_FINISHED, second, status=status, wall_seconds=second)


HOSTILE = '\x1b[31m\u202e</pre></title><script>alert(1)</script><img src="http://x/" onerror=a()>"\'&{{7*7}}'


def hostile_run() -> list[Event]:
    """A run in which everything that others wrote is an attack on the reader."""
    asked = {"request_id": "p", "tool": "shell", "command": HOSTILE, "path": HOSTILE}
    answered = {
        "request_id": "p",
        "verdict": "deny",
        "level": "DANGEROUS",
        "rule": HOSTILE,
        "reason": HOSTILE,
    }
    bad = worked(
        "bad",
        0.0,
        2.0,
        name=HOSTILE,
        status=Status.FAILED,
        output=HOSTILE,
        error_message=HOSTILE,
        error_kind=HOSTILE,
        branch=HOSTILE,
        commit=HOSTILE,
        files_changed=(HOSTILE,),
        session_id=HOSTILE,
        log_path=HOSTILE,
        signal=HOSTILE,
        verify=VerifyResult(
            passed=False,
            commands=(CheckResult(command=HOSTILE, exit_code=None, duration=1.0, log_path=HOSTILE),),
        ),
        usage=Usage(input_tokens=1, output_tokens=None, cost_usd=float("nan")),
    )
    first, *rest = bad
    return [
        begun(["bad"], repo=HOSTILE, base_ref=HOSTILE, base_commit=HOSTILE, boundary=HOSTILE),
        first,
        event(EventKind.PERMISSION_REQUESTED, 0.5, "bad", **asked),
        event(EventKind.PERMISSION_DECIDED, 0.6, "bad", **answered),
        event(EventKind.WORKSPACE_KEPT, 0.7, "bad", path=HOSTILE, reason=HOSTILE),
        *rest,
        event(EventKind.RUN_STOPPING, 2, reason=HOSTILE, detail=HOSTILE),
        ended(2.5, "failed"),
    ]
