"""Questions to people in real runs: asked by the demo agent, answered through the journal."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.run import Run
from orchestrator.journal.runs import journal_path
from orchestrator.journal.state import load_state
from orchestrator.journal.store import read_events
from orchestrator.model.event import Event, EventKind, Phase
from orchestrator.model.request import Decision, Level, PermissionRequest, Verdict
from orchestrator.model.result import Status, TaskResult
from tests.integration.approvals_fixtures import Questions, asking, carry_out, make_asking_run, refusal, reply
from tests.integration.run_fixtures import make_repository


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "repo")


def make(repo: Path, *tasks: Any, **settings: Any) -> tuple[Run, Questions]:
    return make_asking_run(repo, tasks, **settings)


def execute(run: Run, person: Callable[[], Any]) -> list[TaskResult]:
    return asyncio.run(carry_out(run, person))


def test_eight_ask_at_once_and_are_answered_in_any_order(repo: Path) -> None:
    """Every worker waits at the same time; each gets the answer to its own question."""
    ids = [f"w{number}" for number in range(8)]
    run, questions = make(repo, *(asking(one, f"echo {one}") for one in ids), max_workers=8)

    async def person() -> None:
        asked = [await questions.next() for _ in ids]
        state = load_state(run.directory)
        assert all(worker.phase is Phase.WAITING for worker in state.workers.values())
        assert [len(worker.open_questions) for worker in state.workers.values()] == [1] * 8
        random.Random(4).shuffle(asked)
        for event in asked:
            reply(run, event, "allow" if event.worker_id in ids[:4] else "deny", message="not now")

    results = execute(run, person)
    assert [result.status for result in results] == [Status.SUCCEEDED] * 4 + [Status.REJECTED] * 4
    for result in results:
        [decided] = questions.decided(result.worker_id)
        allowed = result.worker_id in ids[:4]
        assert (decided["verdict"], decided["rule"]) == ("allow" if allowed else "deny", "person")
        assert f"pid {os.getpid()}" in decided["by"]
        assert (result.permissions.allowed, result.permissions.denied) == ((1, 0) if allowed else (0, 1))
        assert result.permissions.asked == 1
        assert allowed or "not now" in (result.error_message or "")


def test_the_answer_is_on_the_disk_before_the_agent_hears_it(repo: Path, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    home = os.environ["ORCHESTRATOR_HOME"]
    find = (
        f"import glob, sqlite3; [path] = glob.glob({home!r} + '/runs/*/journal.db'); "
        "rows = sqlite3.connect(path).execute(\\\"SELECT data FROM events WHERE kind LIKE '%decided'\\\");"
        f"open({str(seen)!r}, 'w').write(rows.fetchall()[-1][0])"
    )
    run, questions = make(repo, asking("a", f'{sys.executable} -c "{find}"'))

    async def person() -> None:
        reply(run, await questions.next())

    [result] = execute(run, person)
    assert result.success, result.error_message
    assert '"verdict":"allow"' in seen.read_text()


def test_a_stale_or_altered_answer_is_refused_and_said(repo: Path) -> None:
    run, questions = make(repo, asking("a", "echo one", "echo two"))

    async def person() -> None:
        first = await questions.next()
        forged = reply(run, first, digest="0" * 64)
        assert "digests differ" in await refusal(run, forged)
        assert "no question 9" in await refusal(run, reply(run, first, question=9))
        assert "allow` or `deny" in await refusal(run, reply(run, first, "prohibit"))
        assert questions.decided() == []
        reply(run, first)
        second = await questions.next()
        assert "not open any more" in await refusal(run, reply(run, first, "deny"))
        assert "digests differ" in await refusal(run, reply(run, second, digest=first.data["digest"]))
        reply(run, second)

    [result] = execute(run, person)
    assert result.success
    assert [entry["verdict"] for entry in questions.decided()] == ["allow", "allow"]


def test_nobody_answering_denies_at_the_deadline(repo: Path) -> None:
    run, questions = make(repo, asking("a", "echo one"), ask_timeout=0.3)

    async def nobody() -> None:
        await questions.next()

    [result] = execute(run, nobody)
    [decided] = questions.decided()
    assert (decided["verdict"], decided["rule"], decided["by"]) == ("deny", "ask_timeout", None)
    assert result.status is Status.REJECTED
    assert "nobody answered within 0.3 s" in (result.error_message or "")


def test_allowed_for_the_run_is_not_asked_again(repo: Path) -> None:
    """By the same worker, by one that waits at that moment, and by one that asks later; nothing else."""
    run, questions = make(
        repo,
        asking("a", "echo same", "echo same", "echo other"),
        asking("b", "echo same"),
        asking("c", "echo same", needs=["a"]),
    )

    async def person() -> None:
        first, second = await questions.next(), await questions.next()
        assert {first.worker_id, second.worker_id} == {"a", "b"}
        reply(run, first, scope="run")
        other = await questions.next()
        assert (other.worker_id, other.data["question"]) == ("a", 3)
        reply(run, other)

    results = execute(run, person)
    assert all(result.success for result in results)
    assert [entry["verdict"] for entry in questions.decided()] == ["allow"] * 5
    assert [entry["question"] for entry in questions.decided("a")] != [None] * 3
    [later] = questions.decided("c")
    assert (later["question"], later["rule"]) == (None, "person")
    assert later["by"]


def test_a_stop_ends_the_attempt_while_it_waits(repo: Path) -> None:
    run, questions = make(repo, asking("a", "echo one"))
    began = 0.0

    async def person() -> None:
        nonlocal began
        await questions.next()
        began = time.monotonic()
        run.stop("interrupt")

    [result] = execute(run, person)
    assert time.monotonic() - began < 1.9  # an adapter that still waited would be given 2 s
    assert result.status is Status.CANCELLED
    [decided] = questions.decided()
    assert (decided["verdict"], decided["rule"]) == ("deny", "withdrawn")
    assert run.approvals.open == {}


def test_a_tasks_own_time_limit_goes_on_while_it_waits(repo: Path) -> None:
    run, questions = make(repo, asking("a", "echo one", timeout=1.5))

    async def nobody() -> None:
        await questions.next()

    [result] = execute(run, nobody)
    assert (result.status, result.error_kind) == (Status.TIMED_OUT, "timeout")
    assert questions.decided()[0]["rule"] == "withdrawn"


def test_waiting_for_a_person_is_not_idle(repo: Path) -> None:
    """The deadline of the question is past the idle limit, and the idle limit holds again after it."""
    run, questions = make(repo, asking("a", "echo one", steps=["hang"], idle_timeout=0.7), ask_timeout=2.0)

    async def nobody() -> None:
        await questions.next()

    [result] = execute(run, nobody)
    assert [entry["rule"] for entry in questions.decided()] == ["ask_timeout"]
    assert result.error_kind == "idle_timeout"


def test_a_question_goes_with_the_agent_that_asked(repo: Path) -> None:
    run, questions = make(repo, asking("a", "echo one"))

    async def person() -> None:
        await questions.next()
        [pid] = load_state(run.directory).workers["a"].pids
        os.kill(pid, signal.SIGKILL)

    [result] = execute(run, person)
    assert result.status is Status.FAILED
    [decided] = questions.decided()
    assert (decided["rule"], decided["reason"]) == ("withdrawn", "the agent ended before anybody answered")


def test_what_is_prohibited_is_never_asked(repo: Path) -> None:
    """Not even where a policy is broken enough to say so."""

    def judge(_: PermissionRequest) -> Decision:
        return Decision(verdict=Verdict.ASK, level=Level.PROHIBITED, rule="broken", reason="never")

    run, questions = make(repo, asking("a", "rm -rf /nowhere"), judge=judge)

    async def nobody() -> None:
        return

    [result] = execute(run, nobody)
    assert result.status is Status.REJECTED
    assert [entry["verdict"] for entry in questions.decided()] == ["deny"]
    assert not [event for event in questions.events if event.data.get("verdict") == "ask"]


def test_what_was_allowed_is_judged_again(repo: Path) -> None:
    """The workspace may have changed while the person thought about it."""
    verdicts = iter((Verdict.ASK, Verdict.DENY))

    def judge(_: PermissionRequest) -> Decision:
        return Decision(
            verdict=next(verdicts), level=Level.CAUTION, rule="links", reason="leaves the workspace"
        )

    run, questions = make(repo, asking("a", "cat link"), judge=judge)

    async def person() -> None:
        reply(run, await questions.next())

    [result] = execute(run, person)
    assert result.status is Status.REJECTED
    [decided] = questions.decided()
    assert (decided["verdict"], decided["rule"]) == ("deny", "links")
    assert "no longer what it was" in decided["reason"]


def test_an_answering_process_that_is_killed_changes_nothing_or_answers(repo: Path) -> None:
    """Killed at any moment, its answer is there whole or not at all; the run goes on either way."""
    ids = [f"w{number}" for number in range(4)]
    run, questions = make(repo, *(asking(one, f"echo {one}") for one in ids), max_workers=4)
    code = (
        "import sys; from pathlib import Path; from orchestrator.journal.store import add_request\n"
        "print('ready', flush=True)\n"
        "add_request(Path(sys.argv[1]), 'answer', {'question': int(sys.argv[2]), 'digest': sys.argv[3],"
        " 'verdict': 'allow'})\n"
        "print('left', flush=True)\nsys.stdin.read()\n"
    )

    def killed(event: Event, after: bytes) -> None:
        path = str(journal_path(run.directory))
        argv = [sys.executable, "-c", code, path, str(event.data["question"]), event.data["digest"]]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as answering:
            assert answering.stdout is not None
            while answering.stdout.readline() != after:
                pass
            answering.kill()

    async def person() -> None:
        asked = [await questions.next() for _ in ids]
        killed(asked[0], b"left\n")
        for event in asked[1:]:
            killed(event, b"ready\n")
        for event in asked[1:]:
            reply(run, event)

    results = execute(run, person)
    assert all(result.success for result in results)
    assert [entry["verdict"] for entry in questions.decided()] == ["allow"] * 4
    kinds = [event.kind for event in read_events(journal_path(run.directory))]
    assert kinds.count(EventKind.PERMISSION_DECIDED) == 8


def test_without_a_question_nothing_waits(repo: Path) -> None:
    run, questions = make(repo, asking("a", steps=[{"write": {"path": "x", "text": "y"}}]))

    async def nobody() -> None:
        return

    [result] = execute(run, nobody)
    assert (result.permissions.allowed, result.permissions.asked) == (1, 0)
    phases = [event.data["phase"] for event in questions.events if event.kind is EventKind.ATTEMPT_PHASE]
    assert "waiting" not in phases
