"""What was salvaged from workspaces of any run: finding it, and bringing it back. Nothing is overwritten."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from orchestrator.errors import InputError
from orchestrator.git.history import commit_tree, resolve_commits
from orchestrator.git.process import run_git
from orchestrator.git.repository import Repository
from orchestrator.git.shield import Shield
from orchestrator.git.worktrees import add_worktree, delete_branch_at, remove_worktree
from orchestrator.model.salvage import SALVAGE_REFS

_HINT = "`orchestrator undo` lists what there is"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One state that was salvaged."""

    ref: str
    commit: str
    base: str  #: the commit that the workspace was at
    run_id: str
    name: str  #: `worker@attempt`; a number follows when several states of it are kept
    at: datetime
    files: int  #: that differ from `base`
    staged: int  #: of which this many were staged, in the same or in another state
    untracked: int
    size: int  #: bytes of those files

    @property
    def worker_id(self) -> str:
        return self.name.partition("@")[0]

    @property
    def branch(self) -> str:
        """Where it goes to when nobody says otherwise."""
        return f"orchestrator/{self.run_id}/{self.name.removesuffix('@1')}-restored"


def list_kept(repo: Repository) -> list[Kept]:
    """Everything that was salvaged in the repository, the newest run first."""
    fields = "%(refname) %(objectname) %(committerdate:unix) %(parent)"
    output = run_git(["for-each-ref", f"--format={fields}", f"{SALVAGE_REFS}/"], git_dir=repo.common_dir)
    rows = [line.split(" ") for line in output.stdout.decode("utf-8", "replace").splitlines()]
    with _reading(repo) as shield:
        kept = [_kept(shield, row) for row in rows if len(row) == 5]  # what has two parents is ours
    return sorted(kept, key=lambda one: (one.run_id, one.at, one.name), reverse=True)


def find_kept(repo: Repository, run: str, worker: str | None) -> Kept:
    """The one state that these name: a run or the beginning of its id, a worker, perhaps its attempt."""
    every = list_kept(repo)
    runs = {one.run_id for one in every}
    named = {run} if run in runs else {run_id for run_id in runs if run_id.startswith(run)}
    if not named:
        raise InputError(f"nothing was salvaged of a run {run[:80]!a}", hint=_HINT)
    if len(named) > 1:
        raise InputError(f"{run[:80]!a} fits {len(named)} runs: {_few(named)}", hint="write more of the id")
    of_run = [one for one in every if one.run_id in named]
    found = [one for one in of_run if worker is None or one.name == worker]
    found = found or [one for one in of_run if one.worker_id == worker]
    if not found:
        names = _few(one.name for one in of_run)
        raise InputError(
            f"nothing was salvaged of {worker!a} in {of_run[0].run_id}, but of {names}", hint=_HINT
        )
    if len(found) > 1:
        names = _few(one.name for one in found)
        raise InputError(f"there are {len(found)} in {found[0].run_id}: {names}", hint="give one of these")
    return found[0]


def restore_to_branch(repo: Repository, kept: Kept, branch: str, *, author: str) -> str:
    """Make `branch` with all files as one commit on the one the workspace was at; return that commit."""
    _require_new(repo, branch)
    with tempfile.TemporaryDirectory(prefix="orchestrator-") as folder:
        shield = repo.shield(Path(folder) / "git", head=kept.base)
        tree = _text(shield, "rev-parse", f"{kept.commit}^{{tree}}")
        message = f"Restore what was salvaged from {kept.name}\n\nRun: {kept.run_id}\n"
        commit = commit_tree(shield, tree, (kept.base,), author=author, message=message)
    argv = ["update-ref", "--no-deref", f"refs/heads/{branch}", commit, "0" * len(commit)]
    run_git(argv, git_dir=repo.common_dir)
    return commit


def restore_to_folder(repo: Repository, kept: Kept, folder: Path, branch: str) -> None:
    """Make a worktree in `folder`, on `branch`, in the state that the workspace was in.

    What was staged is staged, what was untracked is untracked. No filter of the repository runs.
    """
    folder = folder.absolute()
    if folder.exists() or folder.is_symlink():
        raise InputError(f"{folder} is there already", hint="give a folder that is not there yet")
    _require_new(repo, branch)
    entry = add_worktree(repo.common_dir, folder, branch, kept.base)
    try:
        with tempfile.TemporaryDirectory(prefix="orchestrator-") as ours:
            shield, index = repo.shield(Path(ours) / "git", head=kept.base), entry / "index"
            shield.run(["read-tree", "-u", "--reset", kept.commit], work_tree=folder, index=index)
            shield.run(["read-tree", "--reset", f"{kept.commit}^2"], index=index)
            shield.run(["update-index", "-q", "--refresh"], work_tree=folder, index=index, check=False)
    except BaseException:
        remove_worktree(repo.common_dir, folder)
        delete_branch_at(repo.common_dir, branch, kept.base)
        raise


def drop_kept(repo: Repository, kept: Kept) -> bool:
    """Let go of one state, unless another one has its name by now; say whether it is gone."""
    argv = ["update-ref", "--no-deref", "-d", kept.ref, kept.commit]
    return run_git(argv, git_dir=repo.common_dir, check=False).exit_code == 0


def _require_new(repo: Repository, branch: str) -> None:
    named = run_git(["check-ref-format", f"refs/heads/{branch}"], git_dir=repo.common_dir, check=False)
    if named.exit_code != 0 or branch.startswith("-"):
        raise InputError(f"{branch[:80]!a} cannot be the name of a branch", hint="see `git check-ref-format`")
    if resolve_commits([f"refs/heads/{branch}"], git_dir=repo.common_dir) != [None]:
        raise InputError(f"there is a branch {branch} already", hint="give another name with --branch")


@contextmanager
def _reading(repo: Repository) -> Iterator[Shield]:
    with tempfile.TemporaryDirectory(prefix="orchestrator-") as folder:
        yield repo.scratch(Path(folder) / "git", head=repo.head)


def _kept(shield: Shield, row: list[str]) -> Kept:
    ref, commit, seconds, base, index = row
    run_id, _, name = ref.removeprefix(f"{SALVAGE_REFS}/").partition("/")
    changed = _changes(shield, base, commit)
    asked = b"".join(oid + b"\n" for oid, _ in changed)
    argv = ["cat-file", "--batch-check=%(objectsize)"]
    sizes = shield.run(argv, input=asked).stdout.split(b"\n") if asked else []
    return Kept(
        ref=ref,
        commit=commit,
        base=base,
        run_id=run_id,
        name=name,
        at=datetime.fromtimestamp(int(seconds)).astimezone(),
        files=len(changed),
        staged=len(_changes(shield, base, index)),
        untracked=sum(kind == b"A" for _, kind in _changes(shield, index, commit)),
        size=sum(int(line) for line in sizes if line.isdigit()),
    )


def _changes(shield: Shield, old: str, new: str) -> list[tuple[bytes, bytes]]:
    """The new object and the kind of each change; a deletion's object is all zeros."""
    output = shield.run(["diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-commit-id", old, new])
    changes = (field.split(b" ") for field in output.stdout.split(b"\0")[::2] if field.startswith(b":"))
    return [(change[3], change[4]) for change in changes]


def _text(shield: Shield, *argv: str) -> str:
    return shield.run(argv).stdout.decode("ascii").strip()


def _few(names: Iterable[str]) -> str:
    listed = sorted(names)
    return ", ".join(listed[:5]) + (", …" if len(listed) > 5 else "")
