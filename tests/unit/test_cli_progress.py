"""What a run looks like while it goes, as a pure function of its state."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from wcwidth import wcswidth

from orchestrator.cli.eta import remaining
from orchestrator.cli.progress import block, log_line
from orchestrator.journal.state import RunState, apply
from orchestrator.journal.worker_state import WorkerState
from orchestrator.model.event import Event, EventKind
from orchestrator.model.result import Status, TaskResult

BEGAN = datetime(2026, 11, 23, 19, 30, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def event(kind: EventKind, seconds: float = 0.0, worker_id: str | None = None, **data: Any) -> Event:
    return Event(kind=kind, at=at(seconds), worker_id=worker_id, attempt=1 if worker_id else None, data=data)


def run_of(*ids: str, max_workers: int = 8, needs: Any = (), estimate_s: float | None = None) -> RunState:
    tasks = [
        {"id": one, "name": one, "agent": "demo", "needs": dict(needs).get(one, []), "estimate_s": estimate_s}
        for one in ids
    ]
    state = RunState()
    apply(state, event(EventKind.RUN_STARTED, run_id="r", repo="/r", max_workers=max_workers, tasks=tasks))
    return state


def start(state: RunState, seconds: float, *ids: str) -> None:
    for worker_id in ids:
        apply(state, event(EventKind.ATTEMPT_STARTED, seconds, worker_id, queue_wait=seconds, log_path="x"))
        apply(state, event(EventKind.ATTEMPT_PHASE, seconds, worker_id, phase="running"))


def finish(state: RunState, seconds: float, worker_id: str, error: str | None = None) -> Event:
    result = TaskResult(
        worker_id=worker_id,
        name=worker_id,
        agent="demo",
        status=Status.FAILED if error else Status.SUCCEEDED,
        duration=seconds,
        error_message=error,
    )
    total = len(state.workers)
    ended = event(
        EventKind.WORKER_FINISHED,
        seconds,
        worker_id,
        result=result.to_json(),
        done=state.done + 1,
        total=total,
    )
    apply(state, ended)
    return ended


def drawn(state: RunState, seconds: float, columns: int = 80, rows: int = 24) -> list[str]:
    def last_line(worker: WorkerState, width: int) -> str:
        return f"line of {worker.id}"[:width]

    return block(state, at(seconds), (columns, rows), last_line=last_line, paint=lambda text, _colour: text)


def words(lines: Iterable[str]) -> list[list[str]]:
    return [line.split() for line in lines]


def test_one_line_per_worker_and_the_overall_bar() -> None:
    state = run_of("login", "search", "api")
    start(state, 1, "login", "search")
    finish(state, 4, "search", "exited with status 3\nand more")
    login, search, api, bar = drawn(state, 75)
    assert login.split() == ["login", "running", "1m14s", "line", "of", "login"]
    assert search.split() == ["search", "failed", "4.0s", "exited", "with", "status", "3", "and", "more"]
    assert api.split() == ["api", "queued"]
    assert bar.endswith("1/3 done  1 failed  1m15s")


def test_the_bar_fills() -> None:
    state = run_of("a", "b")
    assert drawn(state, 1)[-1].count("#") == 0
    finish(state, 1, "a")
    half = drawn(state, 1)[-1]
    assert half.count("#") == half.count(".", 0, half.index("1/2"))
    finish(state, 1, "b")
    assert "." not in drawn(state, 1)[-1].split()[0]


def test_a_question_and_a_need_are_said() -> None:
    state = run_of("a", "b", needs={"b": ["a"]})
    start(state, 0, "a")
    apply(state, event(EventKind.ATTEMPT_PHASE, 1, "a", phase="waiting"))
    apply(
        state,
        event(EventKind.PERMISSION_REQUESTED, 1, "a", request_id="1", tool="write", path="src/\x1b[31ma.ts"),
    )
    a, b, _bar = drawn(state, 2)
    assert "write" not in a  # the policy answers most requests at once
    apply(state, event(EventKind.PERMISSION_DECIDED, 1, "a", request_id="1", verdict="ask", question=1))
    a, b, _bar = drawn(state, 2)
    assert a.split()[1:] == [*["waiting", "2.0s", "waiting", "for", "an", "answer:", "write"], "src/a.ts"]
    assert b.split() == ["b", "queued", "needs", "a"]


def test_more_workers_than_rows_shows_the_busy_first() -> None:
    ids = [f"w{number:02}" for number in range(60)]
    state = run_of(*ids)
    for worker_id in ids[:12]:
        finish(state, 1, worker_id)
    finish(state, 1, "w12", "broke")
    start(state, 2, *ids[40:48])
    lines = drawn(state, 3, rows=12)
    shown = [line.split()[0] for line in lines[:-2]]
    assert len(lines) == 12
    assert shown == ["w12", "w13", *ids[40:48]]
    assert lines[-2] == "+38 queued, 12 done"
    assert "13/60 done  1 failed" in lines[-1]


@pytest.mark.parametrize("columns", [1, 8, 20, 33, 40, 80, 200])
@pytest.mark.parametrize("rows", [1, 2, 3, 10])
def test_it_fits_any_terminal(columns: int, rows: int) -> None:
    state = run_of("worker_01_post_list_ui", "worker_02_日本語", "c")
    start(state, 0, "worker_01_post_list_ui")
    lines = drawn(state, 5, columns=columns, rows=rows)
    assert len(lines) <= rows
    if columns >= 33:
        assert all(wcswidth(line.rstrip()) <= columns for line in lines)


def test_foreign_text_cannot_reach_the_terminal() -> None:
    state = run_of("a")
    finish(state, 1, "a", "bad \x1b]0;title\x07\x1b[2J\u202e name")
    assert not any(set(line) & set("\x1b\x07\u202e") for line in drawn(state, 1))


def test_lines_of_a_log() -> None:
    state = run_of("a", "b")
    start(state, 0, "a")
    begun = event(EventKind.ATTEMPT_STARTED, 2, "b", queue_wait=2.0, log_path="x")
    apply(state, begun)
    assert log_line(begun, state) == "[   2.0s] started    b"
    assert log_line(finish(state, 3, "a"), state) == "[   3.0s] succeeded  a 1/2 in 3.0s"
    assert log_line(finish(state, 4, "b", "no\nway"), state) == "[   4.0s] failed     b 2/2 in 4.0s: no way"
    retrying = event(EventKind.WORKER_RETRYING, 5, "b", delay_s=2.0, error_kind="crashed")
    assert log_line(retrying, state) == "[   5.0s] retrying   b in 2.0s (crashed)"
    stopping = event(EventKind.RUN_STOPPING, 6, reason="interrupt")
    assert log_line(stopping, state) == "[   6.0s] stopping   interrupt"
    assert log_line(event(EventKind.AGENT_MESSAGE, 7, "b", text="hello"), state) is None


def test_time_left_follows_slots_and_needs() -> None:
    state = run_of("a", "b", "c", max_workers=1, estimate_s=10.0)
    assert remaining(state, at(0)) == 30
    start(state, 0, "a")
    assert remaining(state, at(4)) == 26
    state = run_of("a", "b", "c", needs={"c": ["a", "b"]}, estimate_s=10.0)
    assert remaining(state, at(0)) == 20
    start(state, 0, "a", "b")
    assert remaining(state, at(15)) == 10
    finish(state, 15, "a")
    finish(state, 15, "b")
    finish(state, 15, "c")
    assert remaining(state, at(15)) is None


def test_time_left_is_not_guessed_without_estimates() -> None:
    assert remaining(run_of("a", "b"), at(0)) is None


@pytest.mark.parametrize(
    ("verdict", "line"),
    [
        ("allow", None),
        ("ask", "[   2.0s] waiting    a asks: shell rm -r x (orchestrator answer r 7)"),
        ("deny", "[   2.0s] refused    a shell rm -r x: not inside the workspace"),
    ],
)
def test_only_questions_that_matter_get_a_line(verdict: str, line: str | None) -> None:
    state = run_of("a")
    start(state, 0, "a")
    asking = event(EventKind.PERMISSION_REQUESTED, 1, "a", request_id="1", tool="shell", command="rm -r x")
    apply(state, asking)
    reason = "not inside the workspace"
    decided = event(
        EventKind.PERMISSION_DECIDED, 2, "a", request_id="1", verdict=verdict, reason=reason, question=7
    )
    apply(state, decided)
    assert log_line(asking, state) is None
    assert log_line(decided, state) == line


def overlap(state: RunState, a: str, b: str, file: str = "package.json") -> str | None:
    data = {"a": a, "b": b, "file": file, "kind": "contents"}
    happened = Event(kind=EventKind.CONFLICTS_OVERLAP, at=at(5), data=data)
    apply(state, happened)
    return log_line(happened, state)


def test_conflicts_so_far_have_a_line_above_the_bar() -> None:
    state = run_of("a", "b", "c")
    start(state, 0, "a", "b", "c")
    assert len(drawn(state, 5)) == 4
    overlap(state, "a", "b", "x\x1b[2J")
    overlap(state, "a", "c", "package.json")
    overlap(state, "b", "c", "package.json")
    assert drawn(state, 5)[3] == "conflicts so far: package.json (3 workers), x (2 workers)"
    assert len(drawn(state, 5, rows=3)) == 3


def test_a_file_that_everybody_conflicts_in_does_not_flood_a_log() -> None:
    ids = [f"w{number:02d}" for number in range(30)]
    state = run_of(*ids)
    said = [overlap(state, a, b) for place, a in enumerate(ids) for b in ids[place + 1 :]]
    lines = [line for line in said if line]
    assert len(lines) == 4
    assert lines[0].endswith("conflict   w00, w01 so far: package.json (contents)")
    assert "w00, w01, w02, w03 and 12 more so far" in lines[-1]
