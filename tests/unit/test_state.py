"""Folding events to the state of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestrator.journal.state import RunState, apply, fold
from orchestrator.model.event import Event, EventKind, Phase, RunStatus
from orchestrator.model.result import Status, TaskResult

START = datetime(2026, 11, 23, 19, 30, 5, tzinfo=UTC)


def event(kind: str, second: float, worker_id: str | None = None, attempt: int = 1, **data: Any) -> Event:
    return Event(
        kind=EventKind(kind),
        at=START + timedelta(seconds=second),
        worker_id=worker_id,
        attempt=attempt if worker_id else None,
        data=data,
    )


def started(*ids: str) -> Event:
    tasks = [{"id": i, "name": i.upper(), "agent": "demo", "needs": [], "estimate_s": None} for i in ids]
    return event(
        "run.started",
        0,
        run_id="r",
        repo="/repo",
        base_ref="HEAD",
        base_commit="c0ffee",
        isolation="worktree",
        boundary="none",
        max_workers=8,
        timeout_s=1800.0,
        pid=1,
        version="0",
        tasks=tasks,
    )


def result(worker_id: str, status: Status = Status.SUCCEEDED, **more: Any) -> Mapping[str, Any]:
    return TaskResult(worker_id=worker_id, name=worker_id, agent="demo", status=status, **more).to_json()


def phases(state: RunState, worker_id: str) -> list[tuple[str, float, float | None]]:
    intervals = state.workers[worker_id].intervals
    return [(i.phase.value, i.start, i.end) for i in intervals]


ONE_WORKER = [
    started("a"),
    event("attempt.started", 1, "a", log_path="/l/a", queue_wait=1.0),
    event("workspace.created", 1.5, "a", path="/w/a", branch="b/a", start_commit="c0ffee"),
    event("process.started", 2, "a", pid=77, argv=["x"], terminal=False),
    event("attempt.phase", 2, "a", phase="running"),
    event(
        "permission.requested", 3, "a", request_id="p1", tool="write", path="f", command=None, arguments={}
    ),
    event("attempt.phase", 3, "a", phase="waiting"),
    event(
        "permission.decided", 4, "a", request_id="p1", verdict="allow", level="SAFE", rule="r", reason="ok"
    ),
    event("attempt.phase", 4, "a", phase="running"),
    event("agent.session", 4, "a", session_id="s1"),
    event("agent.message", 5, "a", text="done"),
    event("agent.usage", 5, "a", input_tokens=1, output_tokens=2, cost_usd=0.5),
    event("attempt.phase", 6, "a", phase="verifying"),
    event("attempt.phase", 8, "a", phase="finishing"),
    event(
        "attempt.finished",
        9,
        "a",
        status="succeeded",
        error_kind=None,
        error_message=None,
        exit_code=0,
        signal=None,
        duration=8.25,
        resources={"cpu_s": 1.5},
    ),
    event("worker.finished", 9.5, "a", result=result("a"), done=1, total=1),
    event("run.finished", 10, status="succeeded", wall_seconds=9.75),
]


def test_a_worker_goes_through_its_phases() -> None:
    state = fold(ONE_WORKER)
    assert phases(state, "a") == [
        ("queued", 0.0, 1.0),
        ("preparing", 1.0, 2.0),
        ("running", 2.0, 3.0),
        ("waiting", 3.0, 4.0),
        ("running", 4.0, 6.0),
        ("verifying", 6.0, 8.0),
        ("finishing", 8.0, 9.25),
    ]
    worker = state.workers["a"]
    assert (worker.phase, worker.attempt, worker.queue_wait) == (Phase.FINISHED, 1, 1.0)
    assert (worker.branch, worker.workspace, worker.log_path) == ("b/a", "/w/a", "/l/a")
    assert (worker.session_id, worker.message, worker.usage.cost_usd) == ("s1", "done", 0.5)
    assert worker.attempts[0].resources == {"cpu_s": 1.5}
    assert worker.pids == []
    assert worker.result == TaskResult(worker_id="a", name="a", agent="demo", status=Status.SUCCEEDED)
    assert (state.status, state.elapsed, state.done) == (RunStatus.SUCCEEDED, 9.75, 1)
    assert (state.run_id, state.repo, state.base_commit, state.max_workers) == ("r", "/repo", "c0ffee", 8)


def test_every_beginning_of_the_log_folds_and_step_by_step_is_the_same() -> None:
    stepwise = RunState()
    for count, step in enumerate(ONE_WORKER, start=1):
        apply(stepwise, step)
        assert stepwise == fold(ONE_WORKER[:count])


def test_while_it_goes_on_pids_and_what_it_waits_for_show() -> None:
    state = fold(ONE_WORKER[:7])
    worker = state.workers["a"]
    assert worker.pids == [77]
    assert worker.phase is Phase.WAITING
    assert worker.open_questions == []  # nobody was asked: the policy answers at once
    assert phases(state, "a")[-1] == ("waiting", 3.0, None)
    assert state.elapsed == 3.0


def test_a_question_passed_on_to_a_person_stays_open() -> None:
    asked = event(
        "permission.decided", 4, "a", request_id="p1", verdict="ask", level="CAUTION", rule="", reason=""
    )
    [question] = fold([*ONE_WORKER[:7], asked]).workers["a"].open_questions
    assert question.request["path"] == "f"
    answered = replace(asked, data={**asked.data, "verdict": "allow"})
    assert fold([*ONE_WORKER[:7], asked, answered]).workers["a"].open_questions == []


def test_a_question_closes_with_its_attempt() -> None:
    asked = event("permission.decided", 4, "a", request_id="p1", verdict="ask")
    ended = next(step for step in ONE_WORKER if step.kind is EventKind.ATTEMPT_FINISHED)
    assert fold([*ONE_WORKER[:7], asked, ended]).workers["a"].open_questions == []


def test_an_agent_that_counts_anew_in_a_later_attempt_hides_nothing() -> None:
    again = [*ONE_WORKER[6:7], event("permission.requested", 8, "a", request_id="p1", tool="read", path="g")]
    entries = fold([*ONE_WORKER[:7], ONE_WORKER[8], *again]).workers["a"].permissions
    assert [entry.request["path"] for entry in entries.values()] == ["f", "g"]
    assert entries["p1"].request["path"] == "g"


def test_a_retry_is_queued_again_and_holds_a_second_slot() -> None:
    failed = {"status": "failed", "error_kind": "crash", "error_message": "boom"}
    state = fold(
        [
            started("a"),
            event("attempt.started", 0, "a", 1, queue_wait=0.0),
            event("attempt.finished", 2, "a", 1, duration=2.0, **failed),
            event("worker.retrying", 2, "a", 1, delay_s=3.0, error_kind="crash"),
            event("attempt.started", 5, "a", 2, queue_wait=5.0),
            event("attempt.finished", 6, "a", 2, duration=1.0, status="succeeded"),
            event("worker.finished", 6, "a", 2, result=result("a", attempts=2), done=1, total=1),
        ]
    )
    assert phases(state, "a") == [
        ("queued", 0.0, 0.0),
        ("preparing", 0.0, 2.0),
        ("queued", 2.0, 5.0),
        ("preparing", 5.0, 6.0),
    ]
    worker = state.workers["a"]
    assert [(a.number, a.start, a.end, a.error_kind) for a in worker.attempts] == [
        (1, 0.0, 2.0, "crash"),
        (2, 5.0, 6.0, None),
    ]
    assert (worker.attempt, worker.queue_wait) == (2, 0.0)


@pytest.mark.parametrize("jump", [-86400.0, 86400.0])
def test_a_jump_of_the_wall_clock_stays_inside_the_measured_time(jump: float) -> None:
    moved = [
        replace(step, at=step.at + timedelta(seconds=jump)) if number >= 6 else step
        for number, step in enumerate(ONE_WORKER)
    ]
    worker = fold(moved).workers["a"]
    edges = [edge for interval in worker.intervals for edge in (interval.start, interval.end or 0.0)]
    assert edges == sorted(edges)
    assert (edges[0], edges[-1]) == (0.0, 9.25)


def test_a_worker_that_never_started_was_queued_until_its_end() -> None:
    cancelled = result("a", Status.CANCELLED, error_kind="need_failed")
    state = fold([started("a", "b"), event("worker.finished", 4, "a", result=cancelled, done=1, total=2)])
    assert phases(state, "a") == [("queued", 0.0, 4.0)]
    assert state.workers["a"].queue_wait is None
    assert phases(state, "b") == [("queued", 0.0, None)]
    assert list(state.workers) == ["a", "b"]


def test_stopping_says_why() -> None:
    state = fold([started("a"), event("run.stopping", 1, reason="interrupt", detail="once")])
    assert (state.stopping, state.stopping_detail, state.status) == ("interrupt", "once", RunStatus.RUNNING)
