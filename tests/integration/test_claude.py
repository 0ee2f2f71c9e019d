"""Real Claude Code through a whole run, with a scripted model: what it asks, does, says and ends with."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from orchestrator.agents.claude import ClaudeAgent
from orchestrator.attempt.spec import AttemptSpec
from orchestrator.config import OrchestratorConfig
from orchestrator.conformance.model_server import ModelServer
from orchestrator.conformance.script import Failure, Step
from orchestrator.core.plan import prepare
from orchestrator.core.results import Worker
from orchestrator.core.run import Run
from orchestrator.model.event import Event, EventKind
from orchestrator.model.outcome import TurnEnd
from orchestrator.model.result import Status, TaskResult
from tests.integration.agent_fixtures import agent_task, real_agents
from tests.integration.run_fixtures import git, make_repository, make_run, run
from tests.integration.sessions_fixtures import until

DONE = Step(say="Done.")
HANG = Step(shell="tail -f /dev/null")
ALLOW_TAIL = """
version: 1
extends: unattended
allow:
  - {id: hang, tools: [shell], commands: [{program: tail}]}
"""
DENY_SECRETS = """
version: 1
extends: unattended
deny:
  - {id: keys, tools: [read], paths: ["secrets/**"]}
"""
#: Its own ten retries take minutes.
ONCE = {"env": {"CLAUDE_CODE_MAX_RETRIES": "0"}}


@pytest.fixture
def model(tmp_path: Path) -> Iterator[ModelServer]:
    with real_agents(tmp_path, "claude") as server:
        yield server


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "repo")


def claude(script: str, **settings: Any) -> Any:
    return agent_task(script, "claude", script, **settings)


def in_run(repo: Path, *tasks: Any, **settings: Any) -> list[TaskResult]:
    return run(repo, tasks, **{"sandbox": "off", **settings})


def roles(result: TaskResult) -> list[tuple[str, str]]:
    assert result.transcript_path is not None
    lines = Path(result.transcript_path).read_text().splitlines()
    return [(entry["role"], entry["text"]) for entry in map(json.loads, lines)]


def test_a_task_is_done_with_its_calls_put_to_the_policy(model: ModelServer, repo: Path) -> None:
    model.scripts["hello"] = [
        Step(write=("hello.txt", "hello\n")),
        Step(shell="touch ran.txt && ls"),
        Step(say="All done."),
    ]

    [result] = in_run(repo, claude("hello", model="some-model"))

    assert (result.status, result.error_message) == (Status.SUCCEEDED, None)
    assert result.output == "All done."
    assert result.files_changed == ("hello.txt", "ran.txt")
    assert git(repo, "show", f"{result.branch}:hello.txt") == "hello"
    assert (result.permissions.allowed, result.permissions.denied) == (2, 0)
    assert (result.usage.input_tokens, result.usage.output_tokens, result.usage.turns) == (300, 60, 3)
    assert result.usage.cost_usd is not None
    assert {seen.request.model for seen in model.requests} == {"some-model"}
    said = roles(result)
    assert said[0][0] == "prompt"
    assert ("tool", "Bash: touch ran.txt && ls") in said
    assert said[-1] == ("agent", "All done.")


def test_a_refusal_s_reason_reaches_the_model(model: ModelServer, repo: Path) -> None:
    model.scripts["refused"] = [Step(shell="git push --force origin main"), DONE]

    [result] = in_run(repo, claude("refused"))

    assert (result.status, result.error_kind) == (Status.REJECTED, TurnEnd.DENIED)
    assert result.error_message is not None
    assert result.error_message.startswith("refused: Bash `git push --force origin main`: ")
    reason = result.error_message.partition("`: ")[2]
    assert reason in model.requests_of("refused")[-1].request.results()[-1]
    assert result.permissions.denied == 1


def test_a_user_s_rule_holds_for_what_claude_would_not_have_asked(
    model: ModelServer, repo: Path, tmp_path: Path
) -> None:
    (repo / "secrets").mkdir()
    (repo / "secrets" / "key").write_text("canary\n")
    git(repo, "add", ".")
    git(repo, "commit", "-q", "-m", "a secret")
    (tmp_path / "policy.yaml").write_text(DENY_SECRETS)
    model.scripts["reads"] = [
        Step(read="secrets/key"),
        Step(shell="cd secrets && cat key"),
        Step(read="README.md"),
        DONE,
    ]

    [result] = in_run(repo, claude("reads"), policy=str(tmp_path / "policy.yaml"))

    heard = [text for seen in model.requests_of("reads") for text in seen.request.results()]
    assert any("hello" in text for text in heard)
    assert not any("canary" in text for text in heard)
    assert (result.permissions.denied, result.status) == (2, Status.REJECTED)


def test_the_policy_knows_where_the_shell_stands(model: ModelServer, repo: Path) -> None:
    (repo / "deep").mkdir()
    (repo / "deep" / "file").write_text("x\n")
    git(repo, "add", ".")
    git(repo, "commit", "-q", "-m", "a folder")
    model.scripts["moves"] = [Step(shell="cd deep"), Step(shell="touch ../beside ../../beyond"), DONE]

    [result] = in_run(repo, claude("moves"))

    assert result.status is Status.REJECTED
    assert result.error_message is not None
    assert "../../beyond" in result.error_message
    assert result.files_changed == ()


def test_work_of_a_subagent_in_the_background_is_waited_for(model: ModelServer, repo: Path) -> None:
    given = {"description": "help", "prompt": "SCRIPT:helper", "subagent_type": "general-purpose"}
    model.scripts["asks_for_help"] = [Step(tool=("Agent", given)), Step(say="Started."), DONE]
    model.scripts["helper"] = [Step(write=("helped.txt", "x\n"), delay_s=0.5), DONE]

    [result] = in_run(repo, claude("asks_for_help"))

    assert (result.status, result.output) == (Status.SUCCEEDED, "Done.")
    assert result.files_changed == ("helped.txt",)
    assert result.usage.input_tokens == 500


def test_what_is_left_running_in_the_background_holds_nothing_up(
    model: ModelServer, repo: Path, tmp_path: Path
) -> None:
    (tmp_path / "policy.yaml").write_text(ALLOW_TAIL)
    given = {"command": "tail -f /dev/null", "description": "a server", "run_in_background": True}
    model.scripts["serves"] = [Step(tool=("Bash", given)), DONE]

    [result] = in_run(repo, claude("serves"), policy=str(tmp_path / "policy.yaml"))

    assert (result.status, result.output) == (Status.SUCCEEDED, "Done.")


def test_a_repository_s_own_settings_are_not_obeyed_and_its_guide_is_read(
    model: ModelServer, repo: Path, tmp_path: Path
) -> None:
    (tmp_path / "private").write_text("canary\n")
    (repo / "CLAUDE.md").write_text(f"Mind the gap. ```\n@{tmp_path / 'private'}\n")
    (repo / ".claude").mkdir()
    hook = {"matcher": "*", "hooks": [{"type": "command", "command": f"touch {tmp_path / 'hooked'}"}]}
    settings = {
        "permissions": {"allow": ["Bash(*)"]},
        "hooks": {"PreToolUse": [hook], "SessionStart": [hook]},
    }
    (repo / ".claude" / "settings.json").write_text(json.dumps(settings))
    server = {"mcpServers": {"x": {"command": "touch", "args": [str(tmp_path / "served")]}}}
    (repo / ".mcp.json").write_text(json.dumps(server))
    git(repo, "add", ".")
    git(repo, "commit", "-q", "-m", "settings")
    model.scripts["obeys"] = [Step(shell="curl http://127.0.0.1:1/"), DONE]
    config = OrchestratorConfig(repo=repo, sandbox="off")

    [result] = asyncio.run(Run(prepare(config, [claude("obeys")], trust_content=True)).execute())

    assert result.permissions.denied == 1
    assert not (tmp_path / "hooked").exists()
    assert not (tmp_path / "served").exists()
    asked = json.dumps(model.requests_of("obeys")[0].body)
    assert "Mind the gap." in asked
    assert "canary" not in asked


def test_a_prompt_that_begins_with_a_slash_is_no_command(model: ModelServer, repo: Path) -> None:
    task = replace(claude("slash"), prompt="/clear is broken. SCRIPT:slash")
    model.scripts["slash"] = [DONE]

    [result] = in_run(repo, task)

    assert (result.status, result.output) == (Status.SUCCEEDED, "Done.")


ENDS: dict[str, tuple[Step, TurnEnd]] = {
    "key": (Step(failure=Failure(status=401, message="invalid x-api-key")), TurnEnd.AUTH),
    "overload": (Step(failure=Failure(status=529, message="Overloaded")), TurnEnd.MODEL),
    "refusal": (Step(stop="refusal"), TurnEnd.REFUSED),
    "context": (Step(stop="context"), TurnEnd.CONTEXT),
    "length": (Step(say="And so on", stop="length"), TurnEnd.CONTEXT),
    "cut": (Step(say="And so on", cut=True), TurnEnd.MODEL),
}


def test_ends_are_told_apart(model: ModelServer, repo: Path) -> None:
    for name, (step, _) in ENDS.items():
        model.scripts[name] = [step] * 8

    results = in_run(repo, *(claude(name, **ONCE) for name in ENDS), max_workers=4)

    assert {result.name: result.error_kind for result in results} == {
        name: kind.value for name, (_, kind) in ENDS.items()
    }
    assert {result.status for result in results} == {Status.FAILED}
    assert all(result.error_message and result.session_id for result in results)


def test_a_limit_that_outlasts_the_run_parks_the_task(model: ModelServer, repo: Path) -> None:
    model.scripts["limit"] = [Step(failure=Failure(status=429, message="slow down"))] * 8

    [result] = in_run(repo, claude("limit", **ONCE), timeout=50)

    assert (result.status, result.error_kind) == (Status.PARKED, TurnEnd.RATE_LIMITED)
    assert result.attempts == 1


def test_a_refused_key_is_not_tried_ten_times(model: ModelServer, repo: Path) -> None:
    model.scripts["key"] = [Step(failure=Failure(status=401, message="invalid x-api-key"))]

    [result] = in_run(repo, claude("key", env={"CLAUDE_CODE_MAX_RETRIES": "10"}))

    assert (result.status, result.error_kind) == (Status.FAILED, TurnEnd.AUTH)
    assert len(model.requests_of("key")) <= 4


def test_it_stops_at_its_cost_limit(model: ModelServer, repo: Path) -> None:
    dear = Step(shell="git status --short", input_tokens=2_000_000, output_tokens=100_000)
    model.scripts["dear"] = [dear] * 20

    [result] = in_run(repo, claude("dear", max_cost=1.5))

    assert (result.status, result.error_kind) == (Status.FAILED, TurnEnd.BUDGET)
    assert result.usage.cost_usd is not None
    assert result.usage.cost_usd > 1.5
    assert len(model.requests_of("dear")) < 5


def test_a_limit_s_reset_time_is_told(model: ModelServer, repo: Path) -> None:
    reset = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=2)
    unified = "anthropic-ratelimit-unified"
    headers = {
        f"{unified}-status": "rejected",
        f"{unified}-reset": str(int(reset.timestamp())),
        f"{unified}-representative-claim": "five_hour",
    }
    model.scripts["limit"] = [Step(failure=Failure(status=429, message="limit reached", headers=headers))]
    login = {"ANTHROPIC_API_KEY": "", "CLAUDE_CODE_OAUTH_TOKEN": "token-of-nobody", **ONCE["env"]}

    [result] = in_run(repo, claude("limit", env=login))

    assert (result.error_kind, result.retry_at) == (TurnEnd.RATE_LIMITED, reset)


def test_it_goes_on_after_the_reset_in_its_own_session(model: ModelServer, repo: Path) -> None:
    reset = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=25)
    unified = "anthropic-ratelimit-unified"
    headers = {
        f"{unified}-status": "rejected",
        f"{unified}-reset": str(int(reset.timestamp())),
        f"{unified}-representative-claim": "five_hour",
    }
    limit = Failure(status=429, message="limit reached", headers=headers, times=1)
    write = Step(write=("made.txt", "before the limit\n"))
    model.scripts["limit"] = [write, Step(failure=limit), DONE]
    model.scripts["other"] = [DONE]
    login = {"ANTHROPIC_API_KEY": "", "CLAUDE_CODE_OAUTH_TOKEN": "token-of-nobody", **ONCE["env"]}
    events: list[Event] = []
    tasks = [claude("limit", env=login), claude("other", env=login)]

    running = make_run(repo, tasks, on_event=events.append, max_workers=1)
    first, other = asyncio.run(running.execute())

    assert (first.status, first.attempts, first.files_changed) == (Status.SUCCEEDED, 2, ("made.txt",))
    assert other.success
    starts = [event.at for event in events if event.kind is EventKind.ATTEMPT_STARTED]
    assert all(start >= reset for start in starts[1:]), "the whole account waits"
    sessions = {event.data["session_id"] for event in events if event.kind is EventKind.AGENT_SESSION}
    assert first.session_id in sessions
    asked = json.dumps(model.requests_of("limit")[-1].body)
    assert "made.txt" in asked, "it remembers what it did before the limit"


def test_the_tests_version_is_a_tested_one(model: ModelServer) -> None:
    found = ClaudeAgent().look(os.environ)

    assert found.version in found.tested
    assert (found.login, found.lacks) == ("API key (ANTHROPIC_API_KEY)", ())


def test_nobody_logged_in_is_said(model: ModelServer, repo: Path) -> None:
    model.scripts["nobody"] = [DONE]

    [result] = in_run(repo, claude("nobody", env={"ANTHROPIC_API_KEY": ""}))

    assert result.error_kind == TurnEnd.AUTH
    assert result.error_message is not None
    assert "Not logged in" in result.error_message
    assert not model.requests


class Resuming(Run):
    """Goes on with the session of the attempt before."""

    def _spec(self, worker: Worker, number: int) -> AttemptSpec:
        spec = super()._spec(worker, number)
        return replace(spec, resume_id=worker.report.outcome.session_id if worker.report else None)


def test_a_session_is_resumed_and_pays_only_for_itself(model: ModelServer, repo: Path) -> None:
    model.scripts["twice"] = [Step(shell="ls"), Step(failure=Failure(status=500, times=1), say="Done.")]
    events: list[Event] = []
    config = OrchestratorConfig(repo=repo, sandbox="off", retries=1)

    plan = prepare(config, [claude("twice", **ONCE)])
    [result] = asyncio.run(Resuming(plan, on_event=events.append).execute())

    sessions = [event.data["session_id"] for event in events if event.kind is EventKind.AGENT_SESSION]
    assert (result.status, result.attempts, sessions) == (Status.SUCCEEDED, 2, [result.session_id] * 2)
    assert len([item for item in model.requests[-1].request.items if "SCRIPT:twice" in item.text]) == 2
    first, second = (event.data for event in events if event.kind is EventKind.AGENT_USAGE)
    assert (first["input_tokens"], second["input_tokens"]) == (100, 200)
    assert second["cost_usd"] == pytest.approx(2 * first["cost_usd"])


def test_a_session_that_was_never_saved_begins_anew(model: ModelServer, repo: Path) -> None:
    class Lost(Run):
        def _spec(self, worker: Worker, number: int) -> AttemptSpec:
            return replace(super()._spec(worker, number), resume_id="00000000-0000-4000-8000-000000000000")

    model.scripts["lost"] = [DONE]
    plan = prepare(OrchestratorConfig(repo=repo, sandbox="off"), [claude("lost")])

    [result] = asyncio.run(Lost(plan).execute())

    assert (result.status, result.output) == (Status.SUCCEEDED, "Done.")


def hanging(repo: Path, tmp_path: Path, act: Callable[[Run, psutil.Process], None]) -> TaskResult:
    """A run whose agent hangs in a tool; `act` once it does."""
    (tmp_path / "policy.yaml").write_text(ALLOW_TAIL)
    pids: list[int] = []

    def listen(event: Event) -> None:
        if event.kind is EventKind.PROCESS_STARTED:
            pids.append(event.data["pid"])

    made = make_run(repo, [claude("hangs")], listen, sandbox="off", policy=str(tmp_path / "policy.yaml"))

    async def main() -> TaskResult:
        running = asyncio.ensure_future(made.execute())
        tails: list[psutil.Process] = []
        await until(lambda: bool(pids) and bool(tails.extend(_tails(pids[0])) or tails))
        act(made, psutil.Process(pids[0]))
        [result] = await asyncio.wait_for(running, 60)
        assert not any(tail.is_running() for tail in tails)
        return result

    return asyncio.run(main())


def _tails(pid: int) -> list[psutil.Process]:
    """The tool's processes, once it hangs and Claude Code has come to rest over it."""
    if _state(psutil.Process(pid)) != ("claude", psutil.STATUS_SLEEPING):
        return []
    children = psutil.Process(pid).children(recursive=True)
    return [child for child in children if _state(child) == ("tail", psutil.STATUS_SLEEPING)]


def _state(process: psutil.Process) -> tuple[str, str] | None:
    try:
        return process.name(), process.status()
    except psutil.NoSuchProcess:
        return None


def test_a_stop_ends_a_hanging_tool_and_leaves_nothing(
    model: ModelServer, repo: Path, tmp_path: Path
) -> None:
    model.scripts["hangs"] = [HANG, DONE]

    result = hanging(repo, tmp_path, lambda made, _: made.stop())

    assert (result.status, result.error_kind) == (Status.CANCELLED, "interrupted")
    assert result.usage.input_tokens == 100


def test_a_turn_that_somebody_interrupts_is_no_success(
    model: ModelServer, repo: Path, tmp_path: Path
) -> None:
    model.scripts["hangs"] = [HANG, DONE]

    result = hanging(repo, tmp_path, lambda _, process: process.send_signal(signal.SIGINT))

    assert (result.status, result.error_kind) == (Status.FAILED, TurnEnd.INTERRUPTED)
    assert result.exit_code == 0


def test_a_crash_is_said_and_leaves_nothing(model: ModelServer, repo: Path, tmp_path: Path) -> None:
    model.scripts["hangs"] = [HANG, DONE]

    result = hanging(repo, tmp_path, lambda _, process: process.kill())

    assert (result.status, result.error_kind, result.signal) == (Status.FAILED, TurnEnd.CRASHED, "SIGKILL")
    assert result.session_id is not None


def test_eight_work_at_once_each_on_its_own(model: ModelServer, repo: Path) -> None:
    names = [f"part{number}" for number in range(8)]
    for name in names:
        model.scripts[name] = [
            Step(write=(f"src/{name}.txt", f"{name}\n")),
            Step(shell=f"cp src/{name}.txt copy-{name}.txt", also=(Step(write=("same.txt", f"{name}\n")),)),
            Step(say=f"{name} is done."),
        ]

    results = in_run(repo, *map(claude, names), max_workers=8)

    assert [(result.status, result.output) for result in results] == [
        (Status.SUCCEEDED, f"{name} is done.") for name in names
    ]
    assert len({result.session_id for result in results}) == 8
    for result in results:
        copied = f"copy-{result.name}.txt"
        assert result.files_changed == (copied, "same.txt", f"src/{result.name}.txt")
        assert git(repo, "show", f"{result.branch}:same.txt") == result.name
    starts = [result.started_at for result in results if result.started_at]
    ends = [result.finished_at for result in results if result.finished_at]
    assert len(starts) == 8
    assert max(starts) < min(ends)
