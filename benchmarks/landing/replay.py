"""Replays the merges of a real repository: our verdict in memory against `git merge` in a checkout."""

from __future__ import annotations

import itertools
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestrator.git.repository import Repository, open_repository
from orchestrator.landing.conflicts import find_conflicts

IDENTITY = ("-c", "user.name=Nobody", "-c", "user.email=nobody@localhost", "-c", "commit.gpgSign=false")
HERMETIC = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C"}


def git(folder: Path, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run git as a person would, without that person's settings."""
    return subprocess.run(
        ["git", *IDENTITY, "-c", "core.hooksPath=/dev/null", *argv],
        cwd=folder,
        env={**os.environ, **HERMETIC},
        check=check,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=600,
    )


def replay(source: Path, folder: Path, count: int) -> Iterator[dict[str, Any]]:
    """Yield a row for each of `count` merges, spread over the history, and of as many pairs of siblings.

    Siblings are the branches of two merges that follow each other: both were open at one time, and
    nobody had merged them with each other yet.
    """
    checkout = folder / "checkout"
    git(folder, "clone", "-q", "--shared", "--no-checkout", str(source), str(checkout))
    repo = open_repository(checkout)
    merges = _merges(checkout, count)
    pairs = [("merge", *parents) for parents in merges]
    pairs += [("siblings", one[1], two[1]) for one, two in itertools.pairwise(merges)]
    for kind, ours, theirs in pairs:
        base = git(checkout, "merge-base", ours, theirs, check=False).stdout.strip()
        if not base or base in {ours, theirs}:
            continue
        yield {
            "measure": "replay",
            "repository": source_name(source),
            "what": kind,
            **_one(repo, base, ours, theirs),
        }


def source_name(source: Path) -> str:
    """The name that a person knows the repository by."""
    parts = [part for part in source.resolve().parts if part not in {"repo", ".git"}]
    return parts[-1].replace("+", "/")


def _merges(checkout: Path, count: int) -> list[tuple[str, str]]:
    lines = git(checkout, "rev-list", "--merges", "--parents", "--topo-order", "HEAD").stdout.splitlines()
    parents = [tuple(line.split()[1:]) for line in lines]
    two = [(pair[0], pair[1]) for pair in parents if len(pair) == 2]
    step = max(1, len(two) // count)
    return two[::step][:count]


def _one(repo: Repository, base: str, ours: str, theirs: str) -> dict[str, Any]:
    began = time.perf_counter()
    found = find_conflicts(repo, base, {"ours": ours, "theirs": theirs}, {})
    took = time.perf_counter() - began
    told = sorted({name for pair in found.pairs for name in pair.files})
    began = time.perf_counter()
    conflicts, files = _really(repo.root, ours, theirs)
    return {
        "ours": ours,
        "theirs": theirs,
        "we_say": bool(found.pairs),
        "git_says": conflicts,
        "agree": bool(found.pairs) == conflicts,
        "files_agree": set(files) <= set(told) if conflicts else not told,
        "kinds": sorted({one.kind for pair in found.pairs for one in pair.conflicts}),
        "we_s": round(took, 4),
        "git_s": round(time.perf_counter() - began, 4),
        "load": round(os.getloadavg()[0], 2),
    }


def _really(checkout: Path, ours: str, theirs: str) -> tuple[bool, list[str]]:
    """Merge in the checkout; whether that conflicted, and in which paths of the index."""
    git(checkout, "checkout", "-q", "--force", "--detach", ours)
    done = git(checkout, "merge", "--no-ff", "--no-edit", "-q", theirs, check=False)
    listed = git(checkout, "ls-files", "-z", "--unmerged").stdout.split("\0")
    git(checkout, "reset", "-q", "--hard", ours)
    git(checkout, "clean", "-qfdx")
    if done.returncode not in {0, 1}:
        raise RuntimeError(f"git merge ended with {done.returncode}: {done.stderr}")
    return done.returncode == 1, sorted({entry.partition("\t")[2] for entry in listed if entry})
