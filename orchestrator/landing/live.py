"""Compares what a run's workers have made so far: commits of those that ended, snapshots of the others."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import InputError
from orchestrator.git.history import resolve_commits
from orchestrator.git.repository import Repository, resolve_base
from orchestrator.landing.conflicts import Conflicts, Target, compare
from orchestrator.landing.hints import find_hints
from orchestrator.landing.manifests import MergeRules
from orchestrator.workspaces.snapshots import Snapshots


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a look at a run found."""

    conflicts: Conflicts
    commits: Mapping[str, str]  #: by worker, what was compared
    live: frozenset[str]  #: workers of which a snapshot was taken
    gone: tuple[str, ...]  #: workers whose commit is not in the repository any more
    left_out: Mapping[str, tuple[str, ...]]  #: files that a worker's snapshot lacks


class LiveView:
    """Looks at one run as often as wanted; for one thread."""

    def __init__(
        self,
        repo: Repository,
        *,
        base: str,
        directory: Path,
        scratch: Path,
        needs: Mapping[str, Collection[str]],
        rules: MergeRules | None = None,
    ) -> None:
        """`directory` is where the run has its workspaces; `scratch` is for our own objects.

        `needs` names every worker, in spawn order.
        """
        self.snapshots = Snapshots(repo, base=base, directory=directory, scratch=scratch)
        self._repo = repo
        self._base = base
        self._needs = needs
        self._rules = rules
        self._compared: tuple[Mapping[str, str], Target | None] | None = None
        self._conflicts = Conflicts(pairs=(), order=(), conflicting=())

    def look(
        self,
        finished: Mapping[str, str],
        running: Collection[str],
        target: Target | None = None,
        *,
        locate: bool = True,
    ) -> Look:
        """Compare the commits of `finished` workers and what the `running` ones have. Raises GitError."""
        names = list(finished)
        found = resolve_commits([finished[name] for name in names], git_dir=self._repo.common_dir)
        commits = {name: commit for name, commit in zip(names, found, strict=True) if commit}
        taken = self.snapshots.take(running)
        commits |= {name: snapshot.commit for name, snapshot in taken.items()}
        commits = {name: commits[name] for name in self._needs if name in commits}
        if (commits, target) != self._compared:
            self._conflicts = compare(
                self.snapshots.shield,
                self._base,
                commits,
                self._needs,
                target,
                locate=locate,
                rules=self._rules,
            )
            self._compared = (commits, target)
        return Look(
            conflicts=self._conflicts,
            commits=commits,
            live=frozenset(taken),
            gone=tuple(name for name in names if name not in commits),
            left_out={name: one.left_out for name, one in taken.items() if one.left_out},
        )


def present_target(repo: Repository, ref: str) -> Target | None:
    """Where `ref`, which a run was based on, is by now; None when it is gone."""
    try:
        return Target(ref=ref, commit=resolve_base(repo, ref))
    except InputError:
        return None


def foresee(
    repo: Repository,
    base: str,
    commits: Mapping[str, str],
    needs: Mapping[str, Collection[str]],
    *,
    rules: MergeRules | None,
    ref: str,
) -> dict[str, Any]:
    """Return what is known of finished branches, as the report's `conflicts`. Raises GitError."""
    with tempfile.TemporaryDirectory(prefix="orchestrator-merge-") as folder:
        shield = repo.scratch(Path(folder, "git"), head=base)
        target = present_target(repo, ref) if commits else None
        found = compare(shield, base, commits, needs, target, rules=rules).to_json()
        return {**found, "hints": [hint.to_json() for hint in find_hints(shield, base, commits)]}
