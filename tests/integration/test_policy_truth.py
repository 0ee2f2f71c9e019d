"""Every attack of the corpus does harm under real bash, and nothing that is approved does.

The commands run in bubblewrap: nothing can be written but a small world that is thrown away, and there
is no network.
"""

from __future__ import annotations

import os
import random
import shlex
from pathlib import Path

import pytest

from orchestrator.model.request import PermissionRequest, Tool, Verdict
from orchestrator.policy import load_policy
from tests.policy_corpus import world
from tests.policy_corpus.fixture import commands, run_all, why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")

ATTACKS = commands("attacks.yaml")
BENIGN = commands("benign.yaml")
POLICY = load_policy(None)
QUICK_STRINGS, LONG_STRINGS = 6_000, 150_000
#: What is put between pieces, and into them.
_JOINTS = (
    *("; ", " && ", " || ", " | ", "\n", " > ", " >> ", " 2>&1 ", " ", "", " -- ", " -", '"', "'", "\\", "$"),
    *("*", "(", ")", "{", "}", "`", " <<'E'\n", "\nE\n", "$(", " & ", "#", " ~", "=", "/", "..", "\t"),
    *("canary", " ./evil.sh "),
)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the commands run in, for the policy to look at."""
    root = tmp_path_factory.mktemp("world")
    world.build(root)
    return root / "ws"


def _allowed(command: str, workspace: Path) -> bool:
    request = PermissionRequest(id="1", tool=Tool.SHELL, command=command)
    return POLICY.judge(request, workspace).verdict is Verdict.ALLOW


def _seed() -> int:
    return int(os.environ.get("POLICY_FUZZ_SEED") or random.randrange(2**32))


def _harmless(lines: list[str]) -> list[str]:
    return [line for line, harm in zip(lines, run_all(lines), strict=True) if not harm]


def test_some_attacks_do_harm() -> None:
    assert _harmless(random.Random(4).sample(ATTACKS, 25)) == []


@pytest.mark.slow
def test_every_attack_does_harm() -> None:
    assert _harmless(ATTACKS) == []


def test_ordinary_work_that_is_allowed_does_no_harm(workspace: Path) -> None:
    lines = [line for line in BENIGN if _allowed(line, workspace)]
    assert [pair for pair in zip(lines, run_all(lines), strict=True) if pair[1]] == []


def test_what_is_approved_of_mutated_commands_does_no_harm(workspace: Path) -> None:
    _fuzz(workspace, QUICK_STRINGS, most_runs=100)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_what_is_approved_of_very_many_mutated_commands_does_no_harm(workspace: Path) -> None:
    _fuzz(workspace, LONG_STRINGS, most_runs=20_000)


def _fuzz(workspace: Path, count: int, *, most_runs: int) -> None:
    seed = _seed()
    print(f"POLICY_FUZZ_SEED={seed}")
    rng = random.Random(seed)
    approved: set[str] = set()
    for _ in range(count):
        line = _mutant(rng)
        if _allowed(line, workspace):
            approved.add(line)
    chosen = sorted(approved)
    rng.shuffle(chosen)
    chosen = chosen[:most_runs]
    print(f"{count} strings, {len(approved)} approved, {len(chosen)} run")
    assert len(chosen) >= count // 100, "the mutants are too wild to test anything"
    assert [(line, harm) for line, harm in zip(chosen, run_all(chosen), strict=True) if harm] == []


def _mutant(rng: random.Random) -> str:
    """Pieces of attacks and of ordinary commands, cut, joined and disturbed."""
    parts = [_piece(rng) for _ in range(rng.randint(1, 3))]
    line = parts[0]
    for part in parts[1:]:
        line += rng.choice(_JOINTS) + part
    for _ in range(rng.randrange(3)):
        at = rng.randrange(len(line) + 1)
        line = line[:at] + rng.choice(_JOINTS) + line[at + rng.randrange(3) :]
    return f"bash -c {shlex.quote(line)}" if rng.random() < 0.1 else line


def _piece(rng: random.Random) -> str:
    line = rng.choice(rng.choice((ATTACKS, BENIGN, BENIGN)))
    if rng.random() < 0.5:
        words = line.split(" ")
        start = rng.randrange(len(words))
        line = " ".join(words[start : start + rng.randint(1, 4)])
    return line
