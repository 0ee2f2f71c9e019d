"""The branches that a run made: which of them may go, since a branch of the user's holds their work."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import GitError
from orchestrator.git.history import resolve_commits
from orchestrator.git.process import run_git
from orchestrator.git.repository import Repository
from orchestrator.git.shield import Shield
from orchestrator.git.worktrees import delete_branch_at
from orchestrator.landing.landed import How, is_landed

_OURS = "orchestrator/"
_WORDS = {
    How.MISSING: "not landed in {target}",
    How.REVERTED: "landed in {target} and reverted there, at least in part",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What becomes of one branch, and why."""

    branch: str
    commit: str
    how: How | None  #: None: nobody asked, as it stays anyway
    reason: str  #: in words, why it stays; empty when it goes

    @property
    def goes(self) -> bool:
        return not self.reason


def judge_branches(
    repo: Repository, made: Mapping[str, str], *, base_ref: str, leaving: Iterable[str] = ()
) -> list[Fate]:
    """Say of each branch in `made` (with the commit it began at) that is there whether it may go.

    It may when it holds nothing, or when its work is in the user's current branch, in the run's base
    branch, or in what these follow on a remote. `leaving` are worktrees that a trial run leaves there.
    """
    there = _branches(repo)
    wanted = {name: start for branch, start in made.items() for name in (branch, f"{branch}@head")}
    targets = _targets(repo, there, base_ref)
    with tempfile.TemporaryDirectory(prefix="orchestrator-") as folder:
        shield = repo.scratch(Path(folder) / "git", head=repo.head)
        return [
            _fate(shield, there[name], start, targets, set(leaving))
            for name, start in wanted.items()
            if name in there
        ]


def remove_branch(repo: Repository, fate: Fate) -> bool:
    """Delete the branch, if it still is where it was judged; say whether it is gone."""
    return delete_branch_at(repo.common_dir, fate.branch, fate.commit)


@dataclass(frozen=True, slots=True)
class _Branch:
    name: str
    commit: str
    upstream: str
    worktree: str  #: where it is checked out
    is_current: bool


def _branches(repo: Repository) -> dict[str, _Branch]:
    parts = ("refname:lstrip=2", "objectname", "upstream", "worktreepath", "HEAD")  # the fields of _Branch
    fields = "%00".join(f"%({part})" for part in parts)
    output = run_git(["for-each-ref", f"--format={fields}", "refs/heads/"], git_dir=repo.git_dir).stdout
    rows = [line.split("\0") for line in output.decode("utf-8", "surrogateescape").splitlines()]
    return {row[0]: _Branch(row[0], row[1], row[2], row[3], row[4] == "*") for row in rows}


def _targets(repo: Repository, there: Mapping[str, _Branch], base_ref: str) -> dict[str, str]:
    """Branches of the user's, by name, the current one first. A detached HEAD keeps nothing for long."""
    chosen = [branch for branch in there.values() if branch.is_current or branch.name == base_ref]
    chosen = [branch for branch in chosen if not branch.name.startswith(_OURS)]
    chosen.sort(key=lambda branch: not branch.is_current)
    targets = {branch.name: branch.commit for branch in chosen}
    for branch in chosen:
        (commit,) = resolve_commits([branch.upstream], git_dir=repo.git_dir) if branch.upstream else (None,)
        if commit is not None:
            targets[branch.upstream.removeprefix("refs/heads/").removeprefix("refs/remotes/")] = commit
    return targets


def _fate(shield: Shield, branch: _Branch, start: str, targets: Mapping[str, str], leaving: set[str]) -> Fate:
    if branch.worktree:
        gone_soon = branch.worktree in leaving
        reason = "its workspace goes first" if gone_soon else f"checked out in {branch.worktree}"
        return Fate(branch=branch.name, commit=branch.commit, how=None, reason=reason)
    how, reason = _standing(shield, branch.commit, start, targets)
    return Fate(branch=branch.name, commit=branch.commit, how=how, reason=reason)


def _standing(shield: Shield, commit: str, start: str, targets: Mapping[str, str]) -> tuple[How | None, str]:
    how: How | None = None
    reason = "no branch of yours to look for it in: HEAD is detached"
    for name, target in targets.items():
        try:
            found = is_landed(shield, commit, target, start)
        except GitError as err:
            return None, f"git cannot tell whether it is landed: {err.message.splitlines()[0]}"
        if found.is_landed:
            return found, ""
        if how is not How.REVERTED:
            how, reason = found, _WORDS[found].format(target=name)
    return how, reason
