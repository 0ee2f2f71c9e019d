"""What the kinds of workspaces share in salvage: names, messages, and whether ignored files count."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from orchestrator.git.history import resolve_commits
from orchestrator.git.leftovers import changed_paths
from orchestrator.git.salvage import Scene, capture, ignored_files, publish
from orchestrator.git.shield import Shield
from orchestrator.model.salvage import SALVAGE_REFS, Salvaged

#: In a workspace's shield where ignored files are salvaged too: the names of those that the user's own
#: checkout gave, which are no work, one after the other with a zero byte between them.
_IGNORED_TOO = "salvage-ignored"
#: In a workspace's shield: the private copy of its index.
PRIVATE_INDEX = "salvage-index"


def salvage_ignored_too(shielding: Path, copy_files: Sequence[str]) -> None:
    """Remember, for whoever takes the workspace away, that ignored files are to be kept."""
    (shielding / _IGNORED_TOO).write_bytes(b"\0".join(map(os.fsencode, copy_files)))


def wanted_ignored(shield: Shield, work_tree: Path) -> list[bytes]:
    """The ignored files that are to be kept: none unless that was asked for."""
    try:
        copied = (shield.git_dir / _IGNORED_TOO).read_bytes().split(b"\0")
    except FileNotFoundError:
        return []
    return ignored_files(shield, work_tree, but=[os.path.normpath(name) for name in copied if name])


def held_commits(common_dir: Path, branch: str) -> tuple[str, ...]:
    """Where the worker's branch is, and the one for work that did not fit it."""
    tips = resolve_commits([f"refs/heads/{name}" for name in (branch, f"{branch}@head")], git_dir=common_dir)
    return tuple(tip for tip in tips if tip)


def salvage_commit(scene: Scene, ignored: Sequence[bytes], *, branch: str, author: str) -> str | None:
    """Commit the state of a workspace; None when its branch holds all of it."""
    _, run_id, name = branch.split("/", 2)
    worker, _, attempt = name.partition("@")
    message = f"Salvaged from {name}\n\nTask: {worker}\nAttempt: {attempt or 1}\nRun: {run_id}\n"
    return capture(scene, ignored=ignored, author=author, message=message)


def salvage_ref(branch: str) -> str:
    """Where the salvage of the attempt with this branch goes."""
    _, run_id, name = branch.split("/", 2)
    return f"{SALVAGE_REFS}/{run_id}/{name if '@' in name else f'{name}@1'}"


def keep_salvage(shield: Shield, common_dir: Path, branch: str, commit: str, *, head: str) -> Salvaged:
    """Give the commit, which is in the user's repository, its ref. `shield` is over that repository."""
    ref, kept = publish(common_dir, salvage_ref(branch), commit)
    return Salvaged(ref=ref, commit=kept, files=len(changed_paths(shield, head, kept)))
