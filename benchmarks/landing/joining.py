"""Many branches that do not conflict put together into one: by `land`, and by `git merge` one by one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.landing.replay import git
from orchestrator.git.repository import Repository, open_repository
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
    opened = open_repository(repo)
    for round_ in range(1, rounds + 1):
        checkout = folder / f"merge-{round_}"
        git(repo, "worktree", "add", "-q", "--detach", str(checkout), "main")
        trees = set()
        ways: dict[str, Callable[[], str]] = {
            "land, without a gate": partial(
                _land, opened, folder / f"land-{round_}", commits, f"landed-{round_}"
            ),
            "git merge, one by one": partial(_merge, checkout, commits),
        }
        for way, work in ways.items():
            began = time.perf_counter()
            commit = work()
            took = round(time.perf_counter() - began, 4)
            trees.add(git(repo, "rev-parse", f"{commit}^{{tree}}").stdout.strip())
            load = round(os.getloadavg()[0], 2)
            yield {"round": round_, "way": way, "wall_s": took, "same": len(trees) == 1, "load": load}
        git(repo, "worktree", "remove", "--force", str(checkout))


def _land(opened: Repository, place: Path, commits: Mapping[str, str], branch: str) -> str:
    """What `land` does but for gates and its journal: matrix, order, commits, objects handed over, branch."""
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


def _merge(checkout: Path, commits: Mapping[str, str]) -> str:
    """As a person would, in a checkout that is there already."""
    for commit in commits.values():
        git(checkout, "merge", "-q", "--no-ff", "--no-edit", commit)
    return git(checkout, "rev-parse", "HEAD").stdout.strip()
