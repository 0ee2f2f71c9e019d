"""The matrix of all pairs: ours, against git's own ways to merge in memory."""

from __future__ import annotations

import itertools
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.landing.replay import HERMETIC
from orchestrator.git.merging import merge_all
from orchestrator.git.repository import Repository, open_repository
from orchestrator.landing.conflicts import compare

Pairs = frozenset[tuple[str, str]]


def measure_matrix(
    repo_dir: Path, commits: Mapping[str, str], rounds: int, *, slow: bool
) -> Iterator[dict[str, Any]]:
    """Yield a row for each way and round; every way must find the same pairs."""
    repo = open_repository(repo_dir)
    ways: dict[str, Callable[[Repository, Mapping[str, str]], Pairs]] = {
        "ours": _ours,
        "ours, with lines": _ours_with_lines,
        "merge-tree --stdin": _batch,
    }
    if slow:
        ways["merge-tree per pair"] = _each
    first: Pairs | None = None
    for round_ in range(1, rounds + 1):
        for way, find in ways.items():
            if way == "merge-tree per pair" and round_ > 1:
                continue  # the slowest; one round says enough
            began = time.perf_counter()
            found = find(repo, commits)
            took = time.perf_counter() - began
            first = found if first is None else first
            yield {
                "round": round_,
                "way": way,
                "wall_s": round(took, 4),
                "pairs": len(commits) * (len(commits) - 1) // 2,
                "conflicting": len(found),
                "same": found == first,
                "load": round(os.getloadavg()[0], 2),
            }


def _ours(repo: Repository, commits: Mapping[str, str], *, locate: bool = False) -> Pairs:
    with tempfile.TemporaryDirectory(prefix="landing-") as folder:
        shield = repo.scratch(Path(folder, "git"), head=repo.head)
        found = compare(shield, repo.head, commits, {}, locate=locate)
    return frozenset((pair.a, pair.b) for pair in found.pairs)


def _ours_with_lines(repo: Repository, commits: Mapping[str, str]) -> Pairs:
    return _ours(repo, commits, locate=True)


def _batch(repo: Repository, commits: Mapping[str, str]) -> Pairs:
    pairs = list(itertools.combinations(commits, 2))
    with tempfile.TemporaryDirectory(prefix="landing-") as folder:
        shield = repo.scratch(Path(folder, "git"), head=repo.head)
        merges = merge_all(shield, [(commits[a], commits[b]) for a, b in pairs])
    return frozenset(pair for pair, merge in zip(pairs, merges, strict=True) if merge.conflicts)


def _each(repo: Repository, commits: Mapping[str, str]) -> Pairs:
    found = set()
    with tempfile.TemporaryDirectory(prefix="landing-") as folder:
        environment = {
            **os.environ,
            **HERMETIC,
            "GIT_OBJECT_DIRECTORY": folder,
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(repo.common_dir / "objects"),
        }
        for a, b in itertools.combinations(commits, 2):
            argv = ["git", "merge-tree", "--write-tree", "--name-only", commits[a], commits[b]]
            done = subprocess.run(argv, cwd=repo.root, env=environment, capture_output=True, check=False)
            if done.returncode > 1:
                raise RuntimeError(done.stderr.decode())
            if done.returncode:
                found.add((a, b))
    return frozenset(found)
