"""Many branches that do not conflict put together into one: by `land`, and by `git merge` one by one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.landing.replay import git
from orchestrator.git.repository import open_repository
from orchestrator.git.transfer import hand_over_own
from orchestrator.landing.conflicts import compare
from orchestrator.landing.integration import Integration
from orchestrator.landing.moving import move_branch
from orchestrator.landing.plan import Candidate


def measure_joining(
    repo: Path, folder: Path, commits: Mapping[str, str], rounds: int
) -> Iterator[dict[str, Any]]:
    """Yield a row for each way and round; both must come to the same tree."""
    folder.mkdir(parents=True)
    for round_ in range(1, rounds + 1):
        trees = set()
        ways: dict[str, Callable[[], str]] = {
            "land, without a gate": partial(
                _land, repo, folder / f"land-{round_}", commits, f"landed-{round_}"
            ),
            "git merge, one by one": partial(_merge, repo, folder / f"merge-{round_}", commits),
        }
        for way, work in ways.items():
            began = time.perf_counter()
            commit = work()
            took = round(time.perf_counter() - began, 4)
            trees.add(git(repo, "rev-parse", f"{commit}^{{tree}}").stdout.strip())
            load = round(os.getloadavg()[0], 2)
            yield {"round": round_, "way": way, "wall_s": took, "same": len(trees) == 1, "load": load}


def _land(repo: Path, place: Path, commits: Mapping[str, str], branch: str) -> str:
    """What `land` does but for gates and its journal: matrix, order, commits, objects handed over, branch."""
    opened = open_repository(repo)
    shield, theirs = (
        opened.scratch(place / "git", head=opened.head),
        opened.shield(place / "theirs", head=opened.head),
    )
    found = compare(shield, opened.head, commits, {}, locate=False)
    candidates = [
        Candidate(worker_id=name, name=name, agent="command", branch=name, commit=commits[name])
        for name in found.order
    ]
    integration = Integration(
        shield=shield, base=opened.head, run_id="bench", author="N <n@localhost>", history="merge"
    )
    integration.learn(candidates)
    made = integration.extend(integration.tip_at(opened.head, []), candidates)
    if made.held or len(made.steps) != len(commits):
        raise RuntimeError(f"not all landed: {made.held}")
    commit = made.steps[-1].tip.commit
    hand_over_own(shield, theirs, commit, known=opened.head)
    if not move_branch(opened.common_dir, branch, commit, old=None):
        raise RuntimeError(f"{branch} could not be made")
    return commit


def _merge(repo: Path, place: Path, commits: Mapping[str, str]) -> str:
    """As a person would, in a worktree that is there already."""
    git(repo, "worktree", "add", "-q", "--detach", str(place), "main")
    for commit in commits.values():
        git(place, "merge", "-q", "--no-ff", "--no-edit", commit)
    found = git(place, "rev-parse", "HEAD").stdout.strip()
    git(repo, "worktree", "remove", "--force", str(place))
    return found
