"""The long test of containment: orchestrators killed at random instants, and nothing of theirs left."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration.sandbox_fixtures import Cell, needs_bubblewrap
from tests.integration.test_sandbox_tree import ORCHESTRATOR, family, inside, wait_until_empty
from tests.integration.test_sessions_tree import assert_gone, orchestrator

KILLS = 60
LONGEST_S = 1.0  #: a family of six kinds is complete after about a third of it

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def random_instants() -> list[float]:
    seed = int(os.environ.get("KILLS_SEED") or random.randrange(2**32))
    print(f"KILLS_SEED={seed}")
    rng = random.Random(seed)
    return [rng.uniform(0, LONGEST_S) for _ in range(KILLS)]


def test_nothing_outlives_many_killed_orchestrators(tmp_path: Path) -> None:
    slowest = 0.0
    for number, instant in enumerate(random_instants()):
        folder = tmp_path / str(number)
        folder.mkdir()
        with orchestrator(folder, 4) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(instant)  # any instant will do
            process.kill()
        began = time.monotonic()
        assert_gone(folder, 2)
        slowest = max(slowest, time.monotonic() - began)
    print(f"{KILLS} kills without a sandbox, slowest clean-up {slowest:.2f} s")


@needs_bubblewrap
def test_nothing_outlives_many_killed_orchestrators_with_sandboxes(tmp_path: Path) -> None:
    slowest, alive = 0.0, 0
    for number, instant in enumerate(random_instants()):
        cell = Cell(tmp_path / str(number))
        argv = [sys.executable, "-c", ORCHESTRATOR, str(cell.root), json.dumps(family(cell))]
        with subprocess.Popen(
            [*argv, str(cell.workspace)], cwd=Path(__file__).parents[2], stdout=subprocess.PIPE
        ) as process:
            time.sleep(0.3 + instant)  # any instant will do, after its imports
            alive += bool(inside(cell.workspace))
            process.kill()
        began = time.monotonic()
        wait_until_empty(cell.root)
        slowest = max(slowest, time.monotonic() - began)
    assert alive > KILLS // 4, "too few were killed while something ran"
    print(f"{KILLS} kills with sandboxes, {alive} of them with agents, slowest clean-up {slowest:.2f} s")
