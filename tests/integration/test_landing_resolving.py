"""Work that conflicts while landing is given back to its agent: what it may change, and what then lands."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from orchestrator.config import workspaces_dir
from orchestrator.conformance.script import Step
from orchestrator.journal.runs import journal_path
from orchestrator.journal.store import read_events
from orchestrator.model.event import EventKind
from tests.integration.agent_fixtures import agent_task, real_agents
from tests.integration.landing_fixtures import (
    branch_of,
    files_in,
    finished_run,
    land,
    landing_of,
    tasks_in,
    writes,
)
from tests.integration.run_fixtures import git, make_repository, make_run, shell, task

RESOLVED = "printf 'ours\\ntheirs\\n' > README.md"


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "repo")


def by_round(first: str, *rounds: str) -> list[str]:
    """A command that works at first, and then does one thing in each round."""
    cases = " ".join(f"{number}) {line};;" for number, line in enumerate(rounds, start=1))
    return shell(f'case "${{ORCHESTRATOR_RESOLVE_ROUND:-0}}" in 0) {first};; {cases} esac')


def conflicting(
    repo: Path, *rounds: str, more: Mapping[str, Sequence[str]] | None = None, **settings: Any
) -> Path:
    commands = {
        "a": writes("README.md", "ours"),
        "b": by_round("echo theirs > README.md", *rounds),
        **(more or {}),
    }
    return finished_run(repo, commands, **settings)


def rounds_of(folder: Path) -> list[Mapping[str, Any]]:
    events = read_events(journal_path(folder))
    return [event.data for event in events if event.kind is EventKind.LANDING_RESOLVED]


@pytest.mark.parametrize("history", ["merge", "squash", "rebase"])
def test_the_agent_resolves_its_conflict_and_then_it_lands(repo: Path, history: str) -> None:
    check = "grep -c '<<<<<<<' README.md | grep -qx 1 && "
    folder = conflicting(repo, check + RESOLVED)
    head = git(repo, "rev-parse", "main")
    result = land(folder, history=history, resolve_rounds=1)
    assert result.landed == ["a", "b"], result
    assert not result.held
    assert result.complete
    tip = branch_of(folder)
    assert git(repo, "show", f"{tip}:README.md") == "ours\ntheirs"
    assert tasks_in(repo, folder) == ["a", "b"]
    parents = git(repo, "show", "-s", "--format=%P", tip).split()
    commit = git(repo, "rev-parse", f"orchestrator/{folder.name}/b")
    assert (parents[1:] == [commit]) == (history == "merge")
    assert [(each["worker_id"], each["round"], each["agent"]) for each in result.resolved] == [
        ("b", 1, "command")
    ]
    assert landing_of(folder)["resolved"] == result.to_json()["resolved"]
    assert git(repo, "rev-parse", "main") == head
    assert not (workspaces_dir() / folder.name / "b@2").exists()
    again = land(folder, history=history, resolve_rounds=1)
    assert again.commit == result.commit
    assert len(rounds_of(folder)) == 1


def test_without_rounds_a_conflict_is_held(repo: Path) -> None:
    folder = conflicting(repo, RESOLVED)
    assert list(land(folder).held) == ["b"]
    assert rounds_of(folder) == []


def test_markers_that_are_left_count_as_no_resolution(repo: Path) -> None:
    folder = conflicting(repo, "sed -i /^=======$/d README.md")
    result = land(folder, resolve_rounds=1)
    assert result.landed == ["a"]
    assert "did not resolve it in 1 round: conflict markers are left in README.md" in result.held["b"].reason
    assert git(repo, "show", f"{branch_of(folder)}:README.md") == "ours"


def test_a_round_that_changes_another_file_counts_for_nothing(repo: Path) -> None:
    folder = conflicting(repo, f"{RESOLVED}; echo x > other.txt; git add . ; git commit -qm mine", RESOLVED)
    result = land(folder, resolve_rounds=1)
    assert "it changed files that are not in conflict: other.txt" in result.held["b"].reason
    result = land(folder, resolve_rounds=2)
    assert result.landed == ["a", "b"]
    assert "other.txt" not in files_in(repo, branch_of(folder))
    assert [each["fault"] is None for each in rounds_of(folder)] == [False, False, True]


def test_the_next_round_begins_from_the_last_and_is_told_why(repo: Path) -> None:
    told = "grep -q 'are left in README.md' {prompt_file} && sed -i '/^[<>]/d' README.md"
    folder = finished_run(
        repo,
        {
            "a": writes("README.md", "ours"),
            "b": shell(
                'case "${ORCHESTRATOR_RESOLVE_ROUND:-0}" in 0) echo theirs > README.md;; '
                f'1) sed -i "/^=====/d" README.md;; 2) {told};; esac'
            ),
        },
    )
    result = land(folder, resolve_rounds=2)
    assert result.landed == ["a", "b"], result.held
    assert git(repo, "show", f"{branch_of(folder)}:README.md") == "ours\ntheirs"
    assert result.resolved[0]["round"] == 2


def test_an_agent_that_fails_is_held_with_what_it_said(repo: Path) -> None:
    folder = conflicting(repo, f"{RESOLVED}; exit 7")
    reason = land(folder, resolve_rounds=1).held["b"].reason
    assert "did not resolve it in 1 round: its agent ended as failed" in reason


def test_the_gate_decides_on_what_was_resolved(repo: Path) -> None:
    folder = conflicting(repo, "echo wrong > README.md", RESOLVED, verify=["! grep -q wrong README.md"])
    held = land(folder, resolve_rounds=1).held["b"]
    assert "grep -q wrong" in held.reason
    assert land(folder, resolve_rounds=2).landed == ["a", "b"]


def test_what_needs_it_lands_after_it(repo: Path) -> None:
    folder = conflicting(repo, RESOLVED, more={"c": writes("c.txt")}, needs={"c": ["b"]})
    land(folder, only=("a",))
    first = land(folder)
    assert sorted(first.held) == ["b", "c"]
    result = land(folder, resolve_rounds=1)
    assert result.landed == ["a", "b", "c"], result.held
    assert not result.held
    assert landing_of(folder)["held"] == []
    assert [data["worker_id"] for data in rounds_of(folder)] == ["b"]


def test_a_removed_file_may_be_kept_or_deleted(repo: Path) -> None:
    folder = finished_run(
        repo,
        {
            "a": writes("README.md", "ours"),
            "b": by_round("git rm -q README.md && echo x > b.txt", "rm README.md"),
        },
    )
    result = land(folder, resolve_rounds=1)
    assert sorted(result.landed) == ["a", "b"], result.held
    assert "README.md" not in files_in(repo, branch_of(folder))


def test_a_run_resolves_while_it_lands_at_its_end(repo: Path) -> None:
    folder = conflicting(repo, RESOLVED, land=True, resolve_rounds=1)
    assert landing_of(folder)["landed"] == ["a", "b"]
    assert landing_of(folder)["held"] == []


def test_withheld_secrets_are_said_instead_of_a_round(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "s3cret-value-0123456789"
    tasks = [
        task("a", writes("README.md", "ours")),
        task("b", by_round("echo theirs > README.md", RESOLVED), env={"MY_API_TOKEN": secret}),
    ]
    run = make_run(repo, tasks)
    asyncio.run(run.execute())
    held = land(run.directory, resolve_rounds=1).held["b"]
    assert "could not be given back to its agent: secret values are not kept with a run" in held.reason
    assert "MY_API_TOKEN" in held.reason
    assert rounds_of(run.directory) == []
    monkeypatch.setenv("MY_API_TOKEN", secret)
    assert land(run.directory, resolve_rounds=1).landed == ["a", "b"]


def test_claude_resolves_in_the_session_that_did_the_work(repo: Path, tmp_path: Path) -> None:
    with real_agents(tmp_path, "claude") as model:
        # The prompt of the round names the script again, which then begins anew.
        model.scripts["both"] = [
            Step(shell="grep -q theirs README.md && echo both > README.md || echo theirs > README.md"),
            Step(say="Done."),
        ]
        tasks = [task("a", writes("README.md", "ours")), agent_task("b", "claude", "both")]
        run = make_run(repo, tasks, land=True, resolve_rounds=1)
        results = asyncio.run(run.execute())
        assert [result.error_message for result in results] == [None, None]
        last = [item.text for item in model.requests[-1].request.items]
    assert run.landing is not None
    assert run.landing.landed == ["a", "b"], run.landing.held
    assert git(repo, "show", f"{branch_of(run.directory)}:README.md") == "both"
    told = [text for text in last if "SCRIPT:both" in text]
    assert len(told) == 2, "the model sees the task as it was first given, and then the conflict"
    assert "conflict" not in told[0]
    assert "- README.md: contents" in told[1]
    assert "with the work of a that has landed" in " ".join(told[1].split())
    assert "You were cut off" not in " ".join(last)


KILLED = """\
import asyncio, sys
from pathlib import Path
from orchestrator.core.landing import land_again
from orchestrator.landing.land import Wishes
asyncio.run(land_again(Path(sys.argv[1]), Wishes(resolve_rounds=1)))
"""


def test_killed_in_a_round_the_next_landing_goes_on(repo: Path, tmp_path: Path) -> None:
    flag, pipe = tmp_path / "once", tmp_path / "pipe"
    os.mkfifo(pipe)
    waits = f"if [ ! -e {flag} ]; then touch {flag}; echo half > README.md; echo up > {pipe}; sleep 600; fi; "
    folder = conflicting(repo, waits + RESOLVED)
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(folder)], start_new_session=True)
    try:
        assert pipe.read_text() == "up\n"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert (workspaces_dir() / folder.name / "b@2").exists()
    result = land(folder, resolve_rounds=1)
    assert result.landed == ["a", "b"], result
    assert git(repo, "show", f"{branch_of(folder)}:README.md") == "ours\ntheirs"
    assert tasks_in(repo, folder) == ["a", "b"]
    assert not (workspaces_dir() / folder.name / "b@2").exists()
    assert not (workspaces_dir() / folder.name / "b@3").exists()
