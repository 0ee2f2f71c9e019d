"""Landings that meet what they should not: nothing is lost, and the next one goes on."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.journal.state import load_state
from tests.integration.git_fixtures import fingerprint
from tests.integration.landing_fixtures import (
    branch_of,
    files_in,
    finished_run,
    land,
    landing_of,
    tasks_in,
    writes,
)
from tests.integration.run_fixtures import git, make_repository, shell

NAMES = ("a", "b", "c", "d", "e")


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "repo")


def _is_sound(repo: Path, folder: Path) -> None:
    assert git(repo, "fsck", "--strict", "--no-dangling") == ""
    landed = tasks_in(repo, folder)
    assert len(landed) == len(set(landed))


# -- branches that are not where they were -----------------------------------------------------------


def test_a_deleted_workers_branch_lands_as_long_as_git_has_its_commit(repo: Path) -> None:
    folder = finished_run(repo, {"a": writes("a.txt"), "b": writes("b.txt")})
    git(repo, "branch", "-D", f"orchestrator/{folder.name}/a")
    assert land(folder, only=("a",)).complete
    git(repo, "branch", "-D", f"orchestrator/{folder.name}/b")
    git(repo, "reflog", "expire", "--expire=now", "--all")
    git(repo, "gc", "-q", "--prune=now")
    result = land(folder)
    assert result.landed == ["a"]
    assert result.held["b"].kind == "missing"
    assert "is not in the repository any more" in result.held["b"].reason
    _is_sound(repo, folder)


def test_a_deleted_integration_branch_is_made_again(repo: Path) -> None:
    folder = finished_run(repo, {"a": writes("a.txt"), "b": writes("b.txt")})
    land(folder, only=("a",))
    git(repo, "branch", "-D", branch_of(folder))
    assert land(folder).landed == ["a", "b"]
    assert tasks_in(repo, folder) == ["a", "b"]


def test_the_users_own_commit_on_the_integration_branch_stays(repo: Path) -> None:
    folder = finished_run(repo, {"a": writes("a.txt"), "b": writes("b.txt")})
    land(folder, only=("a",))
    mine = git(repo, "commit-tree", "-p", branch_of(folder), "-m", "mine", f"{branch_of(folder)}^{{tree}}")
    git(repo, "update-ref", f"refs/heads/{branch_of(folder)}", mine)
    assert land(folder).landed == ["a", "b"]
    git(repo, "merge-base", "--is-ancestor", mine, branch_of(folder))


def test_a_branch_that_is_moved_during_the_gate_is_not_overwritten(repo: Path) -> None:
    folder = finished_run(repo, {"a": writes("a.txt"), "b": writes("b.txt")}, verify=["true"])
    land(folder, only=("a",))
    name = branch_of(folder)
    mine = git(repo, "commit-tree", "-p", name, "-m", "mine", f"{name}^{{tree}}")
    move = f"git -C {repo} update-ref refs/heads/{name} {mine}"
    folder2 = _with_gate(folder, move)
    result = land(folder2)
    assert "moved or deleted during the landing" in (result.stopped or "")
    assert not result.complete
    assert git(repo, "rev-parse", name) == mine
    _with_gate(folder, "true")
    assert land(folder).landed == ["a", "b"]
    git(repo, "merge-base", "--is-ancestor", mine, name)
    _is_sound(repo, folder)


def _with_gate(folder: Path, line: str) -> Path:
    """Let the run's recorded gate be another one."""
    plan = folder / "plan.json"
    document = json.loads(plan.read_text())
    document["config"]["verify"] = [line]
    plan.write_text(json.dumps(document))
    return folder


def test_an_integration_branch_that_was_reset_is_refused_with_a_way_out(repo: Path) -> None:
    folder = finished_run(repo, {"a": writes("a.txt")})
    land(folder)
    orphan = git(repo, "commit-tree", "-m", "elsewhere", "main^{tree}")
    git(repo, "update-ref", f"refs/heads/{branch_of(folder)}", orphan)
    result = land(folder)
    assert "not built on" in (result.stopped or "")
    assert git(repo, "rev-parse", branch_of(folder)) == orphan


# -- the target ----------------------------------------------------------------------------------------


def _step_aside(repo: Path) -> None:
    git(repo, "checkout", "-q", "-b", "elsewhere")


def test_a_branch_is_fast_forwarded_to_what_was_gated(repo: Path) -> None:
    _step_aside(repo)
    folder = finished_run(repo, {"a": writes("a.txt"), "b": writes("b.txt")}, verify=["true"])
    result = land(folder, into="main")
    assert result.complete
    assert git(repo, "rev-parse", "main") == result.commit
    assert files_in(repo, "main") == [".gitignore", "README.md", "a.txt", "b.txt"]
    assert git(repo, "status", "--short") == ""


@pytest.mark.parametrize("history", ["merge", "squash", "rebase"])
def test_a_target_that_moved_is_built_on_and_gated_again(repo: Path, history: str) -> None:
    folder = finished_run(repo, {"a": writes("a.txt"), "b": writes("b.txt")}, verify=["true"])
    git(repo, "commit", "-q", "--allow-empty", "-m", "empty")
    (repo / "new.txt").write_text("new\n")
    git(repo, "add", "new.txt")
    git(repo, "commit", "-q", "-m", "moved on")
    moved = git(repo, "rev-parse", "main")
    _step_aside(repo)
    result = land(folder, into="main", history=history)
    assert result.complete, result
    assert files_in(repo, "main") == [".gitignore", "README.md", "a.txt", "b.txt", "new.txt"]
    git(repo, "merge-base", "--is-ancestor", moved, "main")
    gates = [gate for gate in load_state(folder).gates if gate["on"] == "landing"]
    assert gates[-1]["tree"] == git(repo, "rev-parse", "main^{tree}")
    assert all(gate["passed"] for gate in gates)


def test_a_target_that_moved_into_a_conflict_or_a_failing_gate_stays(repo: Path) -> None:
    folder = finished_run(repo, {"a": writes("README.md", "a")}, verify=["! test -e bad.txt"])
    (repo / "README.md").write_text("mine\n")
    git(repo, "commit", "-qam", "mine")
    before = git(repo, "rev-parse", "main")
    _step_aside(repo)
    result = land(folder, into="main")
    assert result.landed == ["a"]
    assert result.into is not None
    assert "conflicts with it in README.md" in result.into["reason"]
    assert not result.complete
    assert git(repo, "rev-parse", "main") == before
    folder = finished_run(repo, {"b": writes("b.txt")}, verify=["! test -e bad.txt"])
    git(repo, "checkout", "-q", "main")
    (repo / "bad.txt").write_text("bad\n")
    git(repo, "add", "bad.txt")
    git(repo, "commit", "-q", "-m", "bad")
    before = git(repo, "rev-parse", "main")
    git(repo, "checkout", "-q", "elsewhere")
    result = land(folder, into="main")
    assert result.into is not None
    assert "gate fails on top of it" in result.into["reason"]
    assert git(repo, "rev-parse", "main") == before


def test_a_checked_out_branch_is_left_alone_with_the_command_to_run(repo: Path) -> None:
    folder = finished_run(repo, {"a": writes("a.txt")})
    before = fingerprint(repo)
    result = land(folder, into="main")
    assert result.into is not None
    assert not result.into["moved"]
    command = f"git -C {repo} merge --ff-only {branch_of(folder)}"
    assert command in result.into["reason"]
    assert fingerprint(repo) == before
    subprocess.run(command.split(), check=True, capture_output=True)
    assert (repo / "a.txt").exists()
    assert land(folder, into="main").complete


# -- gates that cannot be run --------------------------------------------------------------------------


def test_a_missing_gate_command_blames_nobody(repo: Path) -> None:
    folder = finished_run(repo, {name: writes(f"{name}.txt") for name in NAMES})
    _with_gate(folder, "no-such-program --check")
    result = land(folder)
    assert result.landed == []
    assert "not even on the base commit" in (result.stopped or "")
    assert {held.kind for held in result.held.values()} == {"stopped"}
    assert len(load_state(folder).gates) == 2
    _with_gate(folder, "true")
    assert sorted(land(folder).landed) == list(NAMES)


def test_a_gate_past_its_time_is_a_failing_gate_and_a_flaky_one_is_said(repo: Path, tmp_path: Path) -> None:
    folder = finished_run(repo, {"a": writes("a.txt")}, verify_timeout=0.3, verify_retries=1)
    _with_gate(folder, "test ! -e a.txt || sleep 100")
    result = land(folder)
    assert "ran past its time limit" in result.held["a"].reason
    once = tmp_path / "once"
    _with_gate(folder, f"test -e {once} || {{ touch {once}; exit 1; }}")
    assert land(folder).complete
    assert load_state(folder).gates[-1]["flaky"]


# -- no room ---------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 24 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    argv = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(place)]
    if os.getuid() != 0 or subprocess.run(argv, check=False, capture_output=True).returncode != 0:
        pytest.skip("only the superuser can mount a small disk")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_disk_that_fills_up_in_a_merge_loses_nothing(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = make_repository(tmp_path / "repo")
    noise = "head -c 9000000 /dev/urandom > {}.bin"
    folder = finished_run(repo, {name: shell(noise.format(name)) for name in "ab"})
    home = small_disk / "home"
    shutil.copytree(folder, home / "runs" / folder.name)
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(home))
    folder = home / "runs" / folder.name
    _with_gate(folder, "true")  # its checkout needs 18 MB, and there is ballast beside
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 10_000_000)
    before = fingerprint(repo)
    result = land(folder)
    assert result.landed == []
    assert result.stopped
    assert fingerprint(repo) == before
    assert landing_of(folder)["stopped"]
    filler.unlink()
    result = land(folder)
    assert result.landed == ["a", "b"], result
    assert fingerprint(repo) == before
    _is_sound(repo, folder)


# -- sudden ends -------------------------------------------------------------------------------------------


def _kill_again_and_again(repo: Path, home: Path, times: int) -> None:
    commands = {name: writes(f"{name}.txt") for name in NAMES} | {"x": writes("a.txt", "other")}
    folder = finished_run(repo, commands, needs={"e": ["d"]}, verify=["sleep 0.02"])
    chance = random.Random(7)
    argv = [sys.executable, "-m", "orchestrator", "land", folder.name, "--batch", "2"]
    # `--batch 2` makes three gates and three steps, so there is much to be killed in
    began = time.monotonic()
    done = subprocess.run(argv, cwd=repo, check=False, capture_output=True, timeout=60)
    whole = time.monotonic() - began
    assert done.returncode == 3, done.stderr
    ended_early = 0
    git(repo, "branch", "-D", branch_of(folder))  # git itself writes its list of packed branches anew
    git(repo, "branch", branch_of(folder), "main")
    before = fingerprint(repo)
    for _ in range(times):
        git(repo, "branch", "-D", branch_of(folder))
        shutil.rmtree(home / "certificates", ignore_errors=True)
        process = subprocess.Popen(argv, cwd=repo, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(chance.uniform(0.2, 1.0) * whole)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        ended_early += process.returncode == -signal.SIGKILL
        if git(repo, "branch", "--list", branch_of(folder)):
            _is_sound(repo, folder)
        else:
            git(repo, "branch", branch_of(folder), "main")
        result = land(folder, batch=2)
        assert sorted([*result.landed, *result.held]) == [*NAMES, "x"]
        assert len(result.held) == 1
        assert sorted(tasks_in(repo, folder)) == sorted(result.landed)
        _is_sound(repo, folder)
        assert fingerprint(repo) == before
        assert not (home / "workspaces" / folder.name).exists()
    assert ended_early  # under a changing load not every kill comes in time


def test_a_landing_that_is_killed_goes_on_where_it_was(repo: Path, home: Path) -> None:
    _kill_again_and_again(repo, home, 5)


@pytest.mark.slow
def test_a_landing_that_is_killed_twenty_times_goes_on_where_it_was(repo: Path, home: Path) -> None:
    _kill_again_and_again(repo, home, 20)
