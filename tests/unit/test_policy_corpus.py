"""No attack of the corpus is approved, ordinary work goes on unasked, and the answer comes at once."""

from __future__ import annotations

import shlex
import statistics
import time
from pathlib import Path

import pytest

from orchestrator.model.request import PermissionRequest, Tool, Verdict
from orchestrator.policy import load_policy
from tests.policy_corpus import world
from tests.policy_corpus.fixture import commands

ATTACKS = commands("attacks.yaml")
BENIGN = commands("benign.yaml")
POLICY = load_policy(None)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace in which the attacks are shown to do harm."""
    root = tmp_path_factory.mktemp("world")
    world.build(root)
    return root / "ws"


def _verdict(command: str, workspace: Path) -> Verdict:
    return POLICY.judge(PermissionRequest(id="1", tool=Tool.SHELL, command=command), workspace).verdict


def test_the_corpus_is_large_enough() -> None:
    assert len(set(ATTACKS)) >= 150
    assert len(set(BENIGN)) >= 60


def test_no_attack_is_approved(workspace: Path) -> None:
    assert [command for command in ATTACKS if _verdict(command, workspace) is not Verdict.DENY] == []


def test_an_attack_is_not_approved_behind_or_before_harmless_commands(workspace: Path) -> None:
    for frame in ("ls; {}", "{}\nls", "git status && {}", "({}\n)", "ls | {}", "timeout 5 {}", "cd src; {}"):
        framed = [frame.format(command) for command in ATTACKS]
        assert [command for command in framed if _verdict(command, workspace) is not Verdict.DENY] == []


def test_an_attack_is_not_approved_inside_a_shell(workspace: Path) -> None:
    for shell in ("/bin/bash -lc {}", "sh -c {}", "timeout 9 bash -c {} > out.txt", "bash -c {} && ls"):
        framed = [shell.format(shlex.quote(command)) for command in ATTACKS]
        assert [command for command in framed if _verdict(command, workspace) is not Verdict.DENY] == []


def test_a_shell_is_judged_by_what_it_is_given(workspace: Path) -> None:
    for command in (
        "/bin/bash -lc 'touch x && ls'",
        "bash -lc \"bash -c 'git status'\"",
        "sh -c 'cd src' && git diff",
    ):
        assert _verdict(command, workspace) is Verdict.ALLOW, command
    for command in (
        "bash -lic ls",
        "bash x.sh",
        "bash -c",
        "bash -c 'ls' x",
        "bash -c '$0' ls",
        "fish -c ls",
    ):
        assert _verdict(command, workspace) is Verdict.DENY, command


def test_ordinary_work_is_allowed_without_a_question(workspace: Path) -> None:
    refused = [command for command in BENIGN if _verdict(command, workspace) is not Verdict.ALLOW]
    assert len(refused) <= 0.15 * len(BENIGN), refused


def test_an_answer_takes_less_than_a_tenth_of_a_millisecond_on_a_quiet_machine(workspace: Path) -> None:
    times = []
    for command in BENIGN * 3:
        begin = time.process_time_ns()
        _verdict(command, workspace)
        times.append((time.process_time_ns() - begin) / 1e6)
    assert statistics.median(times) < 1.0  # ten times the goal: this is no benchmark, and machines are shared
