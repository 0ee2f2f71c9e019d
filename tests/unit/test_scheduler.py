"""The scheduler alone: no clock, no process."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.scheduler import (
    RETRIED,
    AttemptEnded,
    Begin,
    DelayRetry,
    EndWorker,
    Event,
    HaltRun,
    RetryDue,
    SchedulerState,
    Stage,
    StartAttempt,
    StopAttempt,
    StopRequested,
    WaitAccount,
    halt_rule,
    initial_state,
    step,
)
from orchestrator.model.outcome import TurnEnd
from orchestrator.model.result import Status
from orchestrator.model.task import Task


def task(task_id: str, *needs: str, estimate_s: float | None = None, retries: int | None = None) -> Task:
    return Task(id=task_id, name=task_id, prompt="x", needs=needs, estimate_s=estimate_s, retries=retries)


def started(actions: tuple[object, ...]) -> list[str]:
    return [action.worker_id for action in actions if isinstance(action, StartAttempt)]


def test_fills_the_slots_and_no_more() -> None:
    state, actions = step(initial_state([task(c) for c in "abcd"], max_workers=2), Begin())
    assert started(actions) == ["a", "b"]
    state, actions = step(state, AttemptEnded("b", Status.SUCCEEDED))
    assert started(actions) == ["c"]
    assert state.running() == ["a", "c"]


def test_the_longest_path_starts_first() -> None:
    tasks = [task("a", estimate_s=5), task("b", estimate_s=1), task("c", "b", estimate_s=9)]
    _, actions = step(initial_state(tasks, max_workers=1), Begin())
    assert started(actions) == ["b"]


def test_there_is_no_level_barrier() -> None:
    tasks = [task("slow"), task("quick"), task("after", "quick")]
    state, _ = step(initial_state(tasks, max_workers=3), Begin())
    _, actions = step(state, AttemptEnded("quick", Status.SUCCEEDED))
    assert started(actions) == ["after"]


def test_a_failed_need_skips_all_that_hangs_on_it_and_says_which() -> None:
    tasks = [task("a"), task("b", "a"), task("c", "b"), task("free")]
    state, _ = step(initial_state(tasks, max_workers=4), Begin())
    state, actions = step(state, AttemptEnded("a", Status.TIMED_OUT))
    ends = {action.worker_id: action for action in actions if isinstance(action, EndWorker)}
    assert ends["b"].message == "not started: it needs `a`, which ended as timed out"
    assert ends["c"].message == "not started: it needs `b`, which ended as cancelled"
    assert ends["c"].kind == "need_failed"
    assert state.stages["free"] is Stage.RUNNING


def with_variants(*after: Task, halt: str = "never") -> SchedulerState:
    """Task `t` chooses between two variants; `after` are more tasks."""
    variants = [replace(task(name), variant_of="t") for name in ("v1", "v2")]
    chooser = replace(task("t"), variants=("v1", "v2"))
    return step(initial_state([*variants, chooser, *after], max_workers=4, halt=halt), Begin())[0]


@pytest.mark.parametrize("ends", [Status.SUCCEEDED, Status.FAILED, Status.PARKED])
def test_a_task_with_variants_starts_once_all_have_ended_however(ends: Status) -> None:
    state = with_variants(task("after", "t"))
    state, actions = step(state, AttemptEnded("v1", ends))
    assert (started(actions), state.stages["t"]) == ([], Stage.BLOCKED)
    state, actions = step(state, AttemptEnded("v2", Status.FAILED))
    assert started(actions) == ["t"]
    state, actions = step(state, AttemptEnded("t", Status.SUCCEEDED))
    assert started(actions) == ["after"]


def test_variants_do_not_count_for_the_halt_rule() -> None:
    state = with_variants(halt="now,fail=1")
    for name in ("v1", "v2"):
        state, _ = step(state, AttemptEnded(name, Status.FAILED))
        assert state.stopping is None
    state, _ = step(state, AttemptEnded("t", Status.FAILED))
    assert state.stopping == "halt"


def test_a_need_that_failed_skips_variants_and_who_chooses() -> None:
    variants = [replace(task(name, "n"), variant_of="t") for name in ("v1", "v2")]
    tasks = [task("n"), *variants, replace(task("t", "n"), variants=("v1", "v2"))]
    state, _ = step(initial_state(tasks, max_workers=4), Begin())
    state, actions = step(state, AttemptEnded("n", Status.FAILED))
    ends = [action.worker_id for action in actions if isinstance(action, EndWorker)]
    assert (sorted(ends), state.done) == (["n", "t", "v1", "v2"], True)


def test_a_chain_of_two_thousand_needs_is_no_recursion() -> None:
    tasks = [task("t0"), *(task(f"t{i}", f"t{i - 1}") for i in range(1, 2000))]
    state, _ = step(initial_state(tasks, max_workers=1), Begin())
    state, _ = step(state, AttemptEnded("t0", Status.FAILED))
    assert state.done


def test_retries_wait_longer_each_time_and_free_the_slot() -> None:
    state, _ = step(initial_state([task("a", retries=2), task("b")], max_workers=1), Begin())
    state, actions = step(state, AttemptEnded("a", Status.FAILED))
    assert actions == (DelayRetry("a", 2, 1.0), StartAttempt("b", 1))
    state, actions = step(state, RetryDue("a"))
    assert actions == ()
    state, actions = step(state, AttemptEnded("b", Status.SUCCEEDED))
    assert StartAttempt("a", 2) in actions
    state, actions = step(state, AttemptEnded("a", Status.FAILED))
    assert actions == (DelayRetry("a", 3, 2.0),)
    state, _ = step(state, RetryDue("a"))
    state, actions = step(state, AttemptEnded("a", Status.FAILED))
    assert actions == (EndWorker("a", Status.FAILED),)
    assert state.done


def test_a_rate_limit_is_waited_for() -> None:
    state, _ = step(initial_state([task("a", retries=1)], max_workers=1), Begin())
    _, actions = step(state, AttemptEnded("a", Status.FAILED, TurnEnd.RATE_LIMITED, wait_s=4000.0))
    assert actions[0] == WaitAccount("", 4000.0, until=4000.0)
    assert not started(actions)


@pytest.mark.parametrize("kind", [TurnEnd.AUTH, TurnEnd.BUDGET, TurnEnd.REFUSED, "tripwire"])
def test_what_only_a_person_can_mend_is_not_retried(kind: str) -> None:
    state, _ = step(initial_state([task("a", retries=5)], max_workers=1), Begin())
    _, actions = step(state, AttemptEnded("a", Status.FAILED, kind))
    assert actions == (EndWorker("a", Status.FAILED),)


@pytest.mark.parametrize("status", [Status.REJECTED, Status.PARKED, Status.CANCELLED])
def test_a_refusal_is_not_retried(status: Status) -> None:
    state, _ = step(initial_state([task("a", retries=5)], max_workers=1), Begin())
    state, _ = step(state, AttemptEnded("a", status))
    assert state.statuses == {"a": status}


def test_stop_cancels_what_waits_and_stops_what_runs() -> None:
    state, _ = step(initial_state([task("a"), task("b"), task("c", "a")], max_workers=1), Begin())
    state, actions = step(state, StopRequested("interrupt"))
    assert actions[0] == StopAttempt("a", "interrupt", now=False)
    assert {a.worker_id for a in actions if isinstance(a, EndWorker)} == {"b", "c"}
    state, actions = step(state, StopRequested("interrupt", now=True))
    assert actions == (StopAttempt("a", "interrupt", now=True),)
    state, actions = step(state, StopRequested("interrupt", now=True))
    assert actions == ()
    state, _ = step(state, AttemptEnded("a", Status.CANCELLED))
    assert state.done


@pytest.mark.parametrize(
    ("text", "total", "fails", "at_once"),
    [
        ("never", 10, None, False),
        ("soon,fail=2", 10, 2, False),
        ("now,fail=20%", 10, 2, True),
        ("now,fail=1%", 10, 1, True),
        ("soon,fail=25%", 10, 3, False),
    ],
)
def test_halt_rule(text: str, total: int, fails: int | None, at_once: bool) -> None:
    rule = halt_rule(text, total)
    assert (rule.limit, rule.at_once) == (fails, at_once)


def test_halt_soon_lets_running_workers_finish() -> None:
    tasks = [task(c) for c in "abcd"]
    state, _ = step(initial_state(tasks, max_workers=2, halt="soon,fail=1"), Begin())
    state, actions = step(state, AttemptEnded("a", Status.FAILED))
    assert any(isinstance(action, HaltRun) for action in actions)
    assert not any(isinstance(action, StopAttempt) for action in actions)
    assert not started(actions)
    state, _ = step(state, AttemptEnded("b", Status.SUCCEEDED))
    assert state.done
    assert state.statuses["b"] is Status.SUCCEEDED


def test_halt_now_stops_running_workers() -> None:
    tasks = [task(c) for c in "abcd"]
    state, _ = step(initial_state(tasks, max_workers=2, halt="now,fail=25%"), Begin())
    _, actions = step(state, AttemptEnded("a", Status.FAILED))
    assert StopAttempt("b", "halt", now=False) in actions


# Random schedules: whatever happens in whatever order, these hold.


def random_tasks(rng: random.Random) -> list[Task]:
    count = rng.randint(1, 12)
    return [
        task(
            f"t{i}",
            *rng.sample([f"t{j}" for j in range(i)], k=rng.randint(0, min(i, 3))),
            estimate_s=rng.choice([None, 1.0, 5.0]),
            retries=rng.choice([None, 0, 2]),
        )
        for i in range(count)
    ]


def check(state: SchedulerState, actions: tuple[object, ...], ended: set[str]) -> None:
    assert len(state.running()) <= state.max_workers
    for action in actions:
        if isinstance(action, StartAttempt):
            node = state.nodes[action.worker_id]
            assert all(state.statuses.get(need) is Status.SUCCEEDED for need in node.needs)
            assert action.attempt <= node.retries + 1
        if isinstance(action, EndWorker):
            assert action.worker_id not in ended, "ended twice"
            ended.add(action.worker_id)
    assert set(state.statuses) == ended
    ready = [worker_id for worker_id, stage in state.stages.items() if stage is Stage.READY]
    assert state.stopping or not ready or len(state.running()) == state.max_workers, "an idle slot"


@given(st.integers(min_value=0, max_value=2**32))
def test_every_random_schedule_ends_each_worker_once(seed: int) -> None:
    rng = random.Random(seed)
    halt = rng.choice(["never", "soon,fail=2", "now,fail=30%"])
    state = initial_state(random_tasks(rng), max_workers=rng.randint(1, 4), halt=halt, retries=1)
    state, actions = step(state, Begin())
    ended: set[str] = set()
    check(state, actions, ended)
    for _ in range(500):
        if state.done:
            break
        events: list[Event] = [
            AttemptEnded(worker_id, rng.choice(list(Status))) for worker_id in state.running()
        ]
        events += [RetryDue(w) for w, stage in state.stages.items() if stage is Stage.DELAYED]
        if rng.random() < 0.02:
            events = [StopRequested("interrupt", now=rng.random() < 0.5)]
        state, actions = step(state, rng.choice(events))
        check(state, actions, ended)
    assert state.done
    assert RETRIED.isdisjoint({Status.REJECTED, Status.PARKED, Status.CANCELLED, Status.SUCCEEDED})
