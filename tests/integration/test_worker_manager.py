"""The façade: from scripts, threads, event loops and under Ctrl-C."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path

import pytest

from orchestrator import OrchestratorConfig, StructuredLogger, TaskResult, WorkerManager
from orchestrator.errors import InputError
from orchestrator.model.result import Status
from orchestrator.model.task import Task
from tests.integration.run_fixtures import git, make_repository, shell


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "repo")


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def manager(repo: Path, stream: io.StringIO) -> WorkerManager:
    return WorkerManager(
        OrchestratorConfig(repo=repo, sandbox="off"), StructuredLogger("test", stream=stream)
    )


def job(line: str, **settings: object) -> dict[str, object]:
    return {"name": "a job", "prompt": "do it", "command": shell(line), **settings}


def test_the_seeds_usage_example(repo: Path) -> None:
    config = OrchestratorConfig(repo=repo, agent="command", sandbox="off")
    logger = StructuredLogger("run", stream=io.StringIO())
    task = {"name": "greet", "prompt": "say hello", "command": ["echo", "hello"]}
    before = dict(task)

    manager = WorkerManager(config, logger)
    for i in range(8):
        manager.spawn_worker(f"worker_{i:02d}", task)
    results = manager.wait_all(max_workers=8, timeout=1800)

    assert [result.worker_id for result in results] == [f"worker_{i:02d}" for i in range(8)]
    assert all(result.success for result in results)
    assert task == before


def test_a_result_has_the_seeds_fields() -> None:
    names = {field.name for field in fields(TaskResult)}
    assert {"worker_id", "name", "output", "duration", "error_message"} <= names
    assert isinstance(TaskResult.success, property)


def test_no_workers_no_results(manager: WorkerManager) -> None:
    assert manager.wait_all() == []


def test_a_second_wait_gives_the_same_results_and_runs_only_what_is_new(
    manager: WorkerManager, repo: Path
) -> None:
    manager.spawn_worker("one", job("echo $ORCHESTRATOR_RUN_ID"))
    first = manager.wait_all()
    assert manager.wait_all() == first
    manager.spawn_worker("two", job("echo $ORCHESTRATOR_RUN_ID"))
    both = manager.wait_all()
    assert both[0] == first[0]
    assert both[1].output != both[0].output
    assert len(manager.run_ids) == 2


def test_the_alias_is_the_same_method() -> None:
    assert WorkerManager.wait_all_parallel is WorkerManager.wait_all


@pytest.mark.parametrize("bad", ["../escape", "", "a" * 65, "x.lock", "a..b", ".hidden", "a/b"])
def test_bad_ids_are_refused_at_once(manager: WorkerManager, bad: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        manager.spawn_worker(bad, job("true"))


def test_repeated_ids_are_refused_whatever_their_case(manager: WorkerManager) -> None:
    manager.spawn_worker("Worker", job("true"))
    with pytest.raises(ValueError, match="spawned before"):
        manager.spawn_worker("worker", job("true"))


@pytest.mark.parametrize(
    "limits",
    [{"max_workers": 0}, {"max_workers": -1}, {"max_workers": 1.5}, {"timeout": 0}, {"timeout": -3}],
)
def test_bad_limits_are_errors_not_endless_waits(manager: WorkerManager, limits: dict[str, object]) -> None:
    manager.spawn_worker("a", job("true"))
    with pytest.raises(ValueError, match="expected"):
        manager.wait_all(**limits)  # type: ignore[arg-type]
    [result] = manager.wait_all()
    assert result.success


def test_a_task_object_serves_many_workers(manager: WorkerManager) -> None:
    shared = Task(id="shared", name="shared", prompt="x", command=tuple(shell("true")))
    for name in ("a", "b"):
        manager.spawn_worker(name, shared)
    assert [result.worker_id for result in manager.wait_all()] == ["a", "b"]
    assert shared.id == "shared"


def test_unknown_workers_give_an_error_result(manager: WorkerManager) -> None:
    worker_id, result = manager.run_worker_in_thread("nobody")
    assert (worker_id, result.worker_id, result.error_kind) == ("nobody", "nobody", "unknown_worker")
    assert not result.success


def test_each_worker_in_a_thread_of_its_own(manager: WorkerManager) -> None:
    """The seed's own sketch: a thread pool over `run_worker_in_thread`."""
    names = ["a", "b", "c"]
    for name in names:
        manager.spawn_worker(name, job(f"echo {name}"))
    with ThreadPoolExecutor(3) as pool:
        results = dict(pool.map(manager.run_worker_in_thread, names))
    assert {name: result.output for name, result in results.items()} == {n: n for n in names}
    assert [result.output for result in manager.wait_all()] == names


def test_a_fault_of_the_surroundings_is_a_result_in_a_thread_and_an_error_in_wait_all(tmp_path: Path) -> None:
    manager = WorkerManager(OrchestratorConfig(repo=tmp_path), StructuredLogger("x", stream=io.StringIO()))
    manager.spawn_worker("a", job("true"))
    _, result = manager.run_worker_in_thread("a")
    assert result.error_kind == "not_started"
    assert "git" in (result.error_message or "")
    with pytest.raises(InputError):
        manager.wait_all()


def test_spawning_while_others_run_is_refused(manager: WorkerManager, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    started = tmp_path / "started"
    manager.spawn_worker("a", job(f"touch {started}; while [ ! -e {gate} ]; do sleep 0.01; done"))
    waiting = threading.Thread(target=manager.wait_all)
    waiting.start()
    try:
        while not started.exists():
            waiting.join(0.01)
        with pytest.raises(RuntimeError, match="while others run"):
            manager.spawn_worker("b", job("true"))
    finally:
        gate.touch()
        waiting.join()


def test_inside_a_running_loop_both_ways_work(manager: WorkerManager) -> None:
    manager.spawn_worker("a", job("echo a"))

    async def main() -> list[TaskResult]:
        blocking = manager.wait_all()  # as in a notebook's cell
        manager.spawn_worker("b", job("echo b"))
        return [*blocking, *await manager.wait_all_async()]

    assert [result.output for result in asyncio.run(main())] == ["a", "a", "b"]


def test_a_timeout_ends_as_results(manager: WorkerManager) -> None:
    manager.spawn_worker("slow", job("echo begun; sleep 1000"))
    manager.spawn_worker("waits", job("true"))
    slow, waits = manager.wait_all(max_workers=1, timeout=0.5)
    assert (slow.status, slow.output) == (Status.TIMED_OUT, "begun")
    assert waits.status is Status.CANCELLED


def test_work_on_top_of_an_earlier_wait(manager: WorkerManager, repo: Path) -> None:
    manager.spawn_worker("base", job("echo one > one.txt"))
    manager.wait_all()
    manager.spawn_worker("more", job("cat one.txt > two.txt", needs=["base"]))
    result = manager.wait_all()[1]
    assert git(repo, "show", f"{result.branch}:two.txt") == "one"


def test_results_are_told_and_logged_as_they_come(repo: Path, stream: io.StringIO) -> None:
    told: list[str] = []
    manager = WorkerManager(
        OrchestratorConfig(repo=repo, sandbox="off"),
        StructuredLogger("test", stream=stream),
        on_result=lambda result: told.append(result.worker_id),
    )
    manager.spawn_worker("good", job("true"))
    manager.spawn_worker("bad", job("exit 1"))
    manager.wait_all()
    assert sorted(told) == ["bad", "good"]
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert {line["worker_id"] for line in lines} == {"good", "bad"}
    ends = [line for line in lines if "done" in line]
    assert [(line["done"], line["total"]) for line in ends] == [(1, 2), (2, 2)]


SCRIPT = """
import sys
from orchestrator import OrchestratorConfig, StructuredLogger, WorkerManager
manager = WorkerManager(OrchestratorConfig(repo=sys.argv[1], sandbox="off"), StructuredLogger("s"))
manager.spawn_worker("a", {"name": "a", "prompt": "p",
    "command": ["/bin/sh", "-c", "trap '' INT TERM; touch " + sys.argv[2] + "; sleep 1000 & wait; wait"]})
try:
    manager.wait_all()
except KeyboardInterrupt:
    print("interrupted", manager.run_interactive_session("a").status, flush=True)
"""


@pytest.mark.parametrize("interrupts", [1, 2])
def test_ctrl_c_in_a_script_stops_everything(repo: Path, tmp_path: Path, interrupts: int) -> None:
    started = tmp_path / "started"
    script = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(repo), str(started)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    while not started.exists():
        assert script.poll() is None
        threading.Event().wait(0.01)
    for _ in range(interrupts):
        script.send_signal(signal.SIGINT)
        threading.Event().wait(0.2)
    out, _ = script.communicate(timeout=30)
    assert out.strip() == "interrupted cancelled"
