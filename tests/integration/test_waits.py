"""Limits of accounts, budgets, floors, start intervals and percentages, in real runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.attempt import beat
from orchestrator.config import OrchestratorConfig
from orchestrator.core import admission, liveness, waits
from orchestrator.core.plan import prepare
from orchestrator.core.run import Run
from orchestrator.core.scheduler import stepping
from orchestrator.errors import InputError
from orchestrator.journal.live_file import read_liveness
from orchestrator.journal.state import load_state
from orchestrator.model.event import Event, EventKind, RunStatus
from orchestrator.model.outcome import Outcome, TurnEnd
from orchestrator.model.result import Status, TaskResult, Usage
from orchestrator.model.task import Task
from orchestrator.ports import Session
from orchestrator.report.build import build_report
from orchestrator.report.text import render_text
from tests.integration.run_fixtures import make_repository, make_run, shell, task


@dataclass
class Scripted:
    """An agent whose ends are given; it holds no process."""

    name: str
    ends: dict[str, list[Outcome]]
    took: float = 0.0
    began: list[tuple[str, float, str | None, float | None]] = field(default_factory=list)
    places: list[Path] = field(default_factory=list)
    running: int = 0
    most: int = 0

    def fault(self, _task: Task) -> str | None:
        return None

    async def run(self, session: Session) -> Outcome:
        now = time.monotonic()
        self.began.append((session.task.id, now, session.resume_id, session.task.max_cost_usd))
        self.places.append(session.workspace)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(self.took)
            (session.workspace / f"{session.task.id}.txt").write_text(f"{now}\n")
        finally:
            self.running -= 1
        script = self.ends.get(session.task.id) or self.ends["*"]
        return script.pop(0) if len(script) > 1 else script[0]


DONE = Outcome(status=Status.SUCCEEDED)


def limited(seconds: float | None) -> Outcome:
    until = None if seconds is None else datetime.now(UTC) + timedelta(seconds=seconds)
    return Outcome(status=Status.FAILED, error_kind=TurnEnd.RATE_LIMITED, retry_at=until, session_id="s1")


def cost(usd: float | None, tokens: int | None = None) -> Outcome:
    return Outcome(status=Status.SUCCEEDED, usage=Usage(cost_usd=usd, output_tokens=tokens))


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "repo")


def plain(task_id: str, **settings: Any) -> Task:
    return Task(id=task_id, name=task_id, prompt="do it", agent="demo", **settings)


def scripted_run(
    repo: Path, tasks: Sequence[Task], agents: dict[str, Scripted], **settings: Any
) -> tuple[list[TaskResult], list[Event], Run]:
    """Run tasks of agent `demo`, which stands for the scripted agent; so does `codex` as a fall-over."""
    config = OrchestratorConfig(repo=repo, sandbox="off", **settings)
    plan = prepare(config, tasks)
    plan = replace(
        plan,
        agents={one.id: agents["demo"] for one in tasks},
        fallbacks={one.id: tuple(a for n, a in agents.items() if n != "demo") for one in tasks},
    )
    events: list[Event] = []
    run = Run(plan, on_event=events.append)
    return asyncio.run(run.execute()), events, run


def waited_for(events: Sequence[Event]) -> set[str]:
    kinds = [event.data["reason"] for event in events if event.kind is EventKind.WORKER_WAITING]
    return {kind for kind in kinds if kind}


def test_a_limit_holds_for_the_whole_account_and_uses_up_no_retry(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waits, "LONGEST_JITTER_S", 0.2)
    reset = time.monotonic() + 2.0
    agent = Scripted("demo", {"a": [limited(2.0), DONE], "*": [DONE]}, took=0.1)
    results, events, run = scripted_run(
        repo, [plain("a"), plain("b"), plain("c")], {"demo": agent}, max_workers=1
    )
    assert [result.status for result in results] == [Status.SUCCEEDED] * 3
    assert [result.attempts for result in results] == [2, 1, 1]
    assert all(began >= reset - 0.05 for _, began, _, _ in agent.began[1:]), "nothing of that account ran"
    assert waited_for(events) == {"quota"}
    [said, *_] = [event for event in events if event.kind is EventKind.WORKER_WAITING]
    assert said.data["detail"] == "demo's limit"
    assert said.data["until"]
    report = build_report(load_state(run.directory))
    assert report["results"][1]["waits"]["quota"] > 1
    assert "for limits of accounts" in render_text(report)


def test_a_parked_worker_goes_on_in_its_workspace_with_its_session(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waits, "LONGEST_JITTER_S", 0.2)
    agent = Scripted("demo", {"a": [limited(1.0), limited(1.0), DONE]})
    [result], _, run = scripted_run(repo, [plain("a")], {"demo": agent})
    assert (result.status, result.attempts) == (Status.SUCCEEDED, 3)
    assert [began[2] for began in agent.began] == [None, "s1", "s1"]
    assert len(set(agent.places)) == 1
    assert not agent.places[0].exists()
    assert result.files_changed == ("a.txt",)
    assert load_state(run.directory).workers["a"].kept is None


def test_a_limit_without_a_reset_is_waited_out(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stepping, "FIRST_QUOTA_S", 0.2)
    agent = Scripted("demo", {"a": [limited(None), limited(None), limited(None), DONE]})
    results, _, _ = scripted_run(repo, [plain("a")], {"demo": agent})
    assert (results[0].status, results[0].attempts) == (Status.SUCCEEDED, 4)
    gaps = [second[1] - first[1] for first, second in zip(agent.began, agent.began[1:], strict=False)]
    assert gaps[0] >= 0.2
    assert gaps[1] >= 0.4
    assert gaps[2] >= 0.8


def test_a_limit_beyond_the_runs_own_end_parks_its_tasks(repo: Path) -> None:
    agent = Scripted("demo", {"a": [limited(3600)], "*": [DONE]})
    began = time.monotonic()
    results, _, _ = scripted_run(
        repo, [plain("a"), plain("b"), plain("c", needs=("a",))], {"demo": agent}, max_workers=1, timeout=60
    )
    assert [result.status for result in results] == [Status.PARKED, Status.CANCELLED, Status.CANCELLED]
    assert [result.error_kind for result in results] == ["rate_limited", "rate_limited", "need_failed"]
    assert results[0].retry_at is not None
    assert results[0].branch is not None
    assert time.monotonic() - began < 30


def test_a_task_falls_over_to_another_agent(repo: Path) -> None:
    first = Scripted("demo", {"a": [limited(3600)]})
    second = Scripted("codex", {"*": [DONE]})
    results, _, _ = scripted_run(repo, [plain("a")], {"demo": first, "codex": second})
    assert (results[0].status, results[0].agent, results[0].attempts) == (Status.SUCCEEDED, "codex", 2)
    assert second.places == first.places, "it finds what the first one made"
    assert second.began[0][2] is None, "with a session of its own"


def test_what_a_task_may_fall_over_to_is_checked_before_anything_starts(repo: Path) -> None:
    plan = prepare(
        OrchestratorConfig(
            repo=repo, sandbox="off", fallback=["mine", "demo"], agents={"mine": {"command": ["true"]}}
        ),
        [plain("a"), plain("b", fallback=()), task("c", shell("true"))],
    )
    assert [agent.name for agent in plan.fallbacks["a"]] == ["mine"]
    assert not plan.fallbacks.get("b")
    assert not plan.fallbacks.get("c")
    with pytest.raises(InputError, match=r"fallback: task `a`: there is no agent `nobody`"):
        prepare(OrchestratorConfig(repo=repo, fallback=["nobody"]), [plain("a")])


def test_the_budget_holds_with_workers_that_overspend(repo: Path) -> None:
    """Each is expected to cost 1, and costs 1.5: the overshoot is what the running ones overspend."""
    agent = Scripted("demo", {"*": [cost(1.5)]}, took=0.2)
    tasks = [plain(f"t{i}", expected_cost_usd=1.0) for i in range(12)]
    results, _, run = scripted_run(
        repo, tasks, {"demo": agent}, max_workers=4, budget={"cost": 6.0, "expected_cost": 1.0}
    )
    spent = 1.5 * len(agent.began)
    assert 6.0 - 1.0 < spent <= 6.0 + 4 * 0.5
    assert run.status is RunStatus.HALTED
    kinds = [result.error_kind for result in results if not result.success]
    assert kinds == ["run_budget"] * (12 - len(agent.began))
    report = build_report(load_state(run.directory))
    assert report["stopping"] == "budget"
    assert report["budget"] == {
        "cost_usd": 6.0,
        "tokens": None,
        "spent_usd": spent,
        "spent_tokens": 12_000_000 * len(agent.began) // 12,
    }
    assert f"budget      {spent:.2f} of 6.00 USD spent" in render_text(report)


def test_what_an_agent_does_not_tell_counts_as_configured(repo: Path) -> None:
    agent = Scripted("demo", {"*": [cost(None)]})
    tasks = [plain(f"t{i}") for i in range(8)]
    _, _, run = scripted_run(
        repo, tasks, {"demo": agent}, max_workers=3, budget={"cost": 3.0, "expected_cost": 1.0}
    )
    assert len(agent.began) == 3
    assert run.status is RunStatus.HALTED


def test_never_more_is_reserved_than_is_left(repo: Path) -> None:
    agent = Scripted("demo", {"*": [cost(0.5)]}, took=0.3)
    tasks = [plain(f"t{i}", expected_cost_usd=2.0) for i in range(4)]
    results, events, _ = scripted_run(repo, tasks, {"demo": agent}, max_workers=4, budget={"cost": 5.0})
    assert agent.most == 2, "the reservations of three would be 6"
    assert all(result.success for result in results), "and all fit once it is known what they cost"
    assert waited_for(events) == {"budget"}


def test_a_budget_can_stop_running_workers_at_once(repo: Path) -> None:
    agent = Scripted("demo", {"quick": [cost(9.0)], "*": [DONE]}, took=0.1)
    slow = task("slow", shell("sleep 60"), budget={"expected_cost": 0})
    config = OrchestratorConfig(repo=repo, sandbox="off", budget={"cost": 5, "stop": "now"}, max_workers=2)
    plan = prepare(config, [plain("quick"), slow])
    plan.agents["quick"] = agent  # type: ignore[index]
    run = Run(plan)
    results = asyncio.run(run.execute())
    assert [result.status for result in results] == [Status.SUCCEEDED, Status.CANCELLED]
    assert results[1].error_kind == "run_budget"
    assert run.status is RunStatus.HALTED


def test_a_task_is_not_tried_again_beyond_its_own_budget(repo: Path) -> None:
    failed = Outcome(status=Status.FAILED, error_kind="crashed", usage=Usage(cost_usd=2.0))
    agent = Scripted("demo", {"a": [failed]})
    results, _, _ = scripted_run(
        repo, [plain("a", retries=5, budget_usd=3.0, expected_cost_usd=1.5)], {"demo": agent}
    )
    assert (results[0].attempts, results[0].error_kind) == (1, "budget_exhausted")


def test_an_agent_that_holds_a_limit_gets_what_is_left(repo: Path) -> None:
    """A reservation is then a hard limit: what is left of the task's own budget."""
    failed = Outcome(status=Status.FAILED, error_kind="crashed", usage=Usage(cost_usd=1.0))
    agent = Scripted("claude", {"a": [failed, cost(0.5)]})
    results, _, _ = scripted_run(
        repo,
        [plain("a", retries=1, budget_usd=3.0, expected_cost_usd=1.0)],
        {"demo": agent},
        budget={"cost": 10},
    )
    assert results[0].success
    assert [began[3] for began in agent.began] == [3.0, 2.0]


def test_starts_keep_their_distance(repo: Path) -> None:
    agent = Scripted("demo", {"*": [DONE]})
    _, events, _ = scripted_run(
        repo, [plain(f"t{i}") for i in range(4)], {"demo": agent}, start_interval=0.4, max_workers=4
    )
    starts = sorted(began for _, began, _, _ in agent.began)
    assert starts[-1] - starts[0] >= 3 * 0.4 - 0.25
    assert waited_for(events) == {"start_interval"}


def test_below_a_floor_nothing_starts_and_the_run_says_so(repo: Path) -> None:
    running = make_run(repo, [task("a", shell("true"))], min_free_memory="8T", timeout=3)
    [result] = asyncio.run(running.execute())
    assert (result.status, result.attempts) == (Status.CANCELLED, 0)
    worker = load_state(running.directory).workers["a"]
    assert worker.waits["memory"] > 1
    running = make_run(repo, [task("a", shell("true"))], min_free_disk="8000T", timeout=3)
    [result] = asyncio.run(running.execute())
    assert load_state(running.directory).workers["a"].waits["disk"] > 1


def test_a_floor_that_is_free_again_lets_the_run_go_on(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readings = [admission.Reading(free_memory=1, free_disk=1 << 40, disk_size=1 << 41, pressure={})]
    usual = admission.read_machine
    monkeypatch.setattr(
        "orchestrator.core.run.read_machine",
        lambda folder: readings.pop() if readings else usual(folder),
    )
    running = make_run(repo, [task("a", shell("true"))])
    [result] = asyncio.run(running.execute())
    assert result.success
    assert result.queue_wait >= 0.9


def test_under_pressure_one_worker_runs_at_a_time(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pressed = admission.Reading(
        free_memory=1 << 40, free_disk=1 << 40, disk_size=1 << 41, pressure={"memory": 90.0}
    )
    monkeypatch.setattr("orchestrator.core.run.read_machine", lambda _folder: pressed)
    agent = Scripted("demo", {"*": [DONE]}, took=0.2)
    results, events, _ = scripted_run(
        repo, [plain(f"t{i}") for i in range(3)], {"demo": agent}, max_workers=3
    )
    assert agent.most == 1
    assert all(result.success for result in results)
    assert waited_for(events) == {"pressure"}


def test_a_percentage_of_the_median_ends_what_takes_too_long(repo: Path) -> None:
    quick = [task(f"q{i}", shell("sleep 0.3")) for i in range(3)]
    results = asyncio.run(
        make_run(
            repo, [*quick, task("slow", shell("sleep 100"))], task_timeout="300%", max_workers=4
        ).execute()
    )
    assert [result.status for result in results[:3]] == [Status.SUCCEEDED] * 3
    assert (results[3].status, results[3].error_kind) == (Status.TIMED_OUT, "timeout")
    assert results[3].duration < 30


def test_halt_on_success(repo: Path) -> None:
    tasks = [task("quick", shell("true")), task("slow", shell("sleep 100"))]
    running = make_run(repo, tasks, halt="now,success=1", max_workers=2)
    results = asyncio.run(running.execute())
    assert [result.status for result in results] == [Status.SUCCEEDED, Status.CANCELLED]
    assert running.status is RunStatus.HALTED


def test_success_without_a_change_is_noted(repo: Path) -> None:
    agent = Scripted("demo", {"*": [DONE]})
    original = Scripted.run

    async def idle(session: Session) -> Outcome:
        outcome = await original(agent, session)
        (session.workspace / f"{session.task.id}.txt").unlink()
        return outcome

    agent.run = idle  # type: ignore[method-assign]
    results, _, run = scripted_run(repo, [plain("a")], {"demo": agent})
    assert (results[0].status, results[0].notes) == (Status.SUCCEEDED, ("no_changes",))
    assert "a: succeeded, and changed no file" in render_text(build_report(load_state(run.directory)))


def test_a_quiet_worker_is_shown_with_what_was_seen_of_it(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beat, "BEAT_S", 0.2)
    monkeypatch.setattr(liveness, "SILENT_S", 1.0)
    monkeypatch.setattr(liveness, "STUCK_S", 2.0)
    monkeypatch.setattr(liveness, "WRITE_S", 0.2)
    told: list[Event] = []
    quiet = task("quiet", shell("echo hello; exec sleep 100"))
    busy = task("busy", shell("while :; do echo on; sleep 0.2; done"))

    def hear(event: Event) -> None:
        if event.kind is EventKind.WORKER_LIVENESS:
            told.append(event)
            if event.data["state"] == "stuck":
                shown.update(read_liveness(running.directory))
                running.stop("request")

    shown: dict[str, Any] = {}
    running = make_run(repo, [quiet, busy], on_event=hear, max_workers=2, timeout=40)
    results = asyncio.run(running.execute())
    assert [(event.worker_id, event.data["state"]) for event in told] == [
        ("quiet", "silent"),
        ("quiet", "stuck"),
    ]
    assert told[0].data["seen"]["output"]
    assert told[0].data["processes"] == 1
    assert shown["busy"]["state"] == "alive"
    assert [result.status for result in results] == [Status.CANCELLED] * 2, "silence alone ends nothing"
