"""Several attempts at one task: the gate filters, the comparison picks, the rest is salvaged."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from orchestrator.config import OrchestratorConfig
from orchestrator.core.run import Run
from orchestrator.core.worker_manager import WorkerManager
from orchestrator.errors import InputError
from orchestrator.journal.state import load_state
from orchestrator.model.result import Status
from orchestrator.report.build import build_report
from orchestrator.report.text import render_text
from tests.integration.run_fixtures import git, make_repository, make_run, run, shell, task

#: The first fails its gate, the second makes a big diff, the third a small one.
WORK = """
case $ORCHESTRATOR_WORKER_ID in
*.v1) echo bad > work.txt ;;
*.v2) seq 50 > work.txt ;;
*.v3) echo small > work.txt ;;
esac
"""
GATE = ["! grep -q bad work.txt"]


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "repo")


def salvage_of(repo: Path, going: Run) -> list[str]:
    refs = git(repo, "for-each-ref", "--format=%(refname)", "refs/orchestrator/salvage/")
    return [ref.rpartition("/")[2] for ref in refs.splitlines()]


def test_the_small_one_wins_and_dependents_build_on_it(repo: Path) -> None:
    going = make_run(
        repo,
        [
            task("a", shell(WORK), attempts=3, verify=GATE),
            task("b", shell("cat work.txt > seen.txt"), needs=["a"]),
        ],
        land=True,
    )

    a, b = asyncio.run(going.execute())

    assert (a.status, a.worker_id, a.branch) == (Status.SUCCEEDED, "a", f"orchestrator/{going.run_id}/a.v3")
    assert git(repo, "show", f"{b.commit}:seen.txt") == "small"
    v1, v2, v3 = a.variants
    assert (v1["status"], v1["verified"], v1["chosen"]) == ("failed", False, False)
    assert (v2["diff_lines"], v3["diff_lines"], v3["chosen"]) == (50, 1, True)
    assert "smallest diff: 1 line against 50 lines of a.v2" in v3["why"]
    assert salvage_of(repo, going) == ["a.v1@1", "a.v2@1"]
    left = git(repo, "branch", "--format=%(refname:short)", "--list", "orchestrator/*/a.*")
    assert left.splitlines() == [a.branch]
    kept = git(repo, "for-each-ref", "--format=%(objectname)", "refs/orchestrator/salvage/*/a.v2@1")
    assert git(repo, "show", f"{kept}:work.txt").splitlines()[-1] == "50"
    assert going.landing is not None and going.landing.landed == ["a", "b"]
    report = build_report(load_state(going.directory))
    assert [entry["worker_id"] for entry in report["results"]] == ["a", "b"]
    assert sum(report["counts"].values()) == 2
    assert "chosen: of 2 that succeeded, the smallest diff" in " ".join(render_text(report).split())


def test_the_one_without_conflicts_wins_over_the_smaller(repo: Path, tmp_path: Path) -> None:
    work = "case $ORCHESTRATOR_WORKER_ID in *.v1) echo a > README.md;; *) seq 9 > own.txt;; esac"
    _, b = run(
        repo,
        [
            task("a", shell("echo first > README.md")),
            task("b", shell(f"while ! [ -e {tmp_path}/go ]; do sleep 0.05; done; {work}"), attempts=2),
        ],
        on_event=lambda event: (tmp_path / "go").touch() if _ended(event, "a") else None,
    )

    assert b.branch is not None and b.branch.endswith("b.v2")
    assert [one["conflicts"] for one in b.variants] == [1, 0]
    assert "fewest conflicts" in b.variants[1]["why"]


def _ended(event: Any, worker_id: str) -> bool:
    return event.kind == "worker.finished" and event.worker_id == worker_id


def test_none_succeeds(repo: Path) -> None:
    a, b, c = run(
        repo,
        [
            task("a", shell("echo no; exit 3"), attempts=2),
            task("b", shell("true"), needs=["a"]),
            task("c", shell("echo c > c.txt")),
        ],
        halt="now,fail=2",
    )

    assert (a.status, a.error_kind) == (Status.FAILED, "no_variant")
    assert "none of 2 variants succeeded: a.v1 failed" in (a.error_message or "")
    assert (b.status, b.error_kind, c.status) == (Status.CANCELLED, "need_failed", Status.SUCCEEDED)


@pytest.mark.parametrize(
    ("first", "others", "settings", "told"),
    [
        ({"attempts": 2}, ["A.V2"], {}, "`a.v2` has the id of the task `A.V2`"),
        ({"agents": ["command", "nobody"]}, [], {}, "nobody"),
        ({"attempts": 1, "models": ["x", "y"]}, [], {}, "models: names 2 for 1 variants"),
        ({"models": ["x", "y"], "model": "z"}, [], {}, "give `model` or `models`"),
        ({"attempts": 2}, [], {"isolation": "none"}, "isolation is `none`"),
    ],
)
def test_what_cannot_be_is_said_before_anything_starts(
    repo: Path, first: dict[str, Any], others: list[str], settings: dict[str, Any], told: str
) -> None:
    tasks = [task("a", shell("true"), **first), *(task(name, shell("true")) for name in others)]
    with pytest.raises(InputError) as caught:
        make_run(repo, tasks, **settings)
    assert told in str(caught.value)


def test_a_long_id_leaves_no_room_for_variants(repo: Path) -> None:
    with pytest.raises(InputError, match="cannot be named so"):
        make_run(repo, [task("x" * 62, shell("true"), attempts=2)])


BOTH = "case $ORCHESTRATOR_WORKER_ID in *.v1) seq 9;; *) seq 2;; esac > work.txt"


@pytest.mark.parametrize(
    ("judge", "winner", "why"),
    [
        (
            """grep -q '"diff": "diff --git' && echo '{"winner": "a.v1", "why": "more to read"}'""",
            "a.v1",
            "the judge's choice: more to read",
        ),
        ("""echo '{"winner": "a.v9", "why": "x"}'""", "a.v2", "the judge chose what is no candidate"),
        ("echo I like a.v1", "a.v2", "not one JSON object"),
        ("""echo '{"winner": "a.v1", "why": "x"}'; exit 3""", "a.v2", "the judge failed"),
        ("""echo '{"winner": "a.v1", "why": "x", "more": 1}'""", "a.v2", "has not the two keys"),
        ("sleep 60", "a.v2", "the judge failed"),
    ],
)
def test_a_judge_decides_unless_it_talks_nonsense(repo: Path, judge: str, winner: str, why: str) -> None:
    timeout = {"timeout": 1} if judge.startswith("sleep") else {}
    going = make_run(repo, [task("a", shell(BOTH), attempts=2, **timeout)], judge={"command": shell(judge)})
    (a,) = asyncio.run(going.execute())
    (chosen,) = [one for one in a.variants if one["chosen"]]
    assert (chosen["worker_id"], why in chosen["why"]) == (winner, True), chosen["why"]
    left = git(repo, "branch", "--format=%(refname:short)", "--list", "orchestrator/*")
    assert left.splitlines() == [a.branch] == [f"orchestrator/{going.run_id}/{winner}"]


def test_the_task_has_a_judge_of_its_own_and_one_candidate_needs_none(repo: Path, tmp_path: Path) -> None:
    mark = tmp_path / "asked"
    judge = {"command": shell(f"touch {mark}; exit 1")}
    line = "case $ORCHESTRATOR_WORKER_ID in *.v1) exit 1;; esac; echo x > work.txt"
    (a,) = run(repo, [task("a", shell(line), attempts=2, judge=judge)])
    assert (a.success, mark.exists()) == (True, False)
    (b,) = run(repo, [task("b", shell("echo x > work.txt"), attempts=2, judge=judge)])
    assert (b.success, mark.exists()) == (True, True)


def test_python_gets_one_result_for_each_worker_that_it_spawned(repo: Path) -> None:
    heard: list[str] = []
    config = OrchestratorConfig(repo=repo, sandbox="off")
    with WorkerManager(config, on_result=lambda result: heard.append(result.worker_id)) as manager:
        line = "echo $ORCHESTRATOR_WORKER_ID > work.txt"
        manager.spawn_worker("a", {"prompt": "p", "command": shell(line), "attempts": 2})
        manager.spawn_worker("b", {"prompt": "p", "command": shell("cat work.txt"), "needs": ["a"]})
        a, b = manager.wait_all()
    assert (a.worker_id, b.worker_id, heard) == ("a", "b", ["a", "b"])
    assert b.output.strip() == "a.v1"
