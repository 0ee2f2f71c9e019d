"""A repository's hub: a bare repository of ours over the user's objects, and cached checkouts of bases.

What agents commit arrives here first and is checked; the user's repository only gets what passed.
A hub holds nothing that cannot be made again, so it may be removed whenever no workspace needs it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestrator import config
from orchestrator.errors import WorkspaceError
from orchestrator.git.lock import repository_lock
from orchestrator.git.repository import Repository
from orchestrator.git.shield import Shield
from orchestrator.git.status import read_status
from orchestrator.git.worktrees import remove_tree
from orchestrator.state_file import write_state_file

#: How much older than its making the files of a shared checkout look.
OLDER_S = 10.0


@dataclass(frozen=True, slots=True)
class Hub:
    """Where the hub of one repository lies."""

    directory: Path

    @property
    def git_dir(self) -> Path:
        return self.directory / "git"

    @property
    def objects(self) -> Path:
        return self.git_dir / "objects"


@dataclass(frozen=True, slots=True)
class Base:
    """A checkout of one commit that is shared and never edited."""

    directory: Path

    @property
    def files(self) -> Path:
        return self.directory / "files"

    @property
    def index(self) -> Path:
        return self.directory / "index"


def hub_of(repo: Repository) -> Hub:
    """Return the place of the repository's hub, which need not be there."""
    digest = hashlib.sha256(os.fsencode(repo.common_dir.resolve())).hexdigest()[:32]
    return Hub(config.home() / "hubs" / digest)


@contextmanager
def hub_lock(hub: Hub) -> Iterator[None]:
    """Hold the hub still: nobody else makes or removes it, or its bases, meanwhile."""
    with repository_lock(hub.git_dir):
        yield


def ensure_hub(hub: Hub, repo: Repository, commit: str) -> None:
    """Make the hub if it is not there, and let it pin `commit`. The caller holds its lock."""
    _write(hub.git_dir / "HEAD", "ref: refs/heads/none\n")
    _write(hub.git_dir / "config", _config(repo))
    _write(hub.objects / "info" / "alternates", f"{_one_line(repo.common_dir / 'objects')}\n")
    shallow = hub.git_dir / "shallow"
    if repo.is_shallow:
        shutil.copyfile(repo.common_dir / "shallow", shallow)
    else:
        shallow.unlink(missing_ok=True)
    _write(hub.git_dir / "refs" / "bases" / commit, f"{commit}\n")


def ensure_base(hub: Hub, repo: Repository, commit: str) -> Base:
    """Check `commit` out to be shared, unless that was done before. The caller holds the hub's lock."""
    base = Base(hub.directory / "bases" / f"{commit[:40]}-{_appearance(repo)}")
    if base.directory.exists():
        if _untouched(repo, base):
            return base
        _put_aside(base.directory)
    making = base.directory.with_name(f"{base.directory.name}.new")
    remove_tree(making)
    shield = repo.shield(making / "git", head=commit)
    files, index = making / "files", making / "index"
    files.mkdir()
    shield.run(["read-tree", "-u", "--reset", commit], work_tree=files, index=index)
    _make_older(files)
    shield.run(["update-index", "-q", "--refresh"], work_tree=files, index=index, check=False)
    making.rename(base.directory)
    return base


def _make_older(folder: Path) -> None:
    """Date files back, so that no edit falls into the second of a file's making.

    Git takes a file for unchanged that has the same size and second as in an older index. Refreshed
    once after this, the index spares every workspace to read all files for its first `git status`.
    """
    made = time.time() - OLDER_S
    for place, _, names in os.walk(folder):
        for name in names:
            os.utime(Path(place, name), (made, made), follow_symlinks=False)


def remove_unused_hubs() -> tuple[Path, ...]:
    """Remove the hubs that no workspace of any run refers to; return them."""
    root = config.home() / "hubs"
    removed = []
    for directory in sorted(root.iterdir()) if root.is_dir() else ():
        hub = Hub(directory)
        with hub_lock(hub):
            if directory not in _in_use():
                remove_tree(directory)
                removed.append(directory)
    return tuple(removed)


#: In a workspace's shield: which hub and base it needs.
RECORD = "clone.json"


def write_record(shield: Path, hub: Hub, base: Base | None) -> None:
    """Say, before anything is made, what a workspace is made from."""
    record = {"hub": str(hub.directory), "base": str(base.directory) if base else None}
    _write(shield / RECORD, json.dumps(record))


def read_record(shield: Path) -> tuple[Hub, Base | None]:
    """Read what `write_record` wrote."""
    record = json.loads((shield / RECORD).read_bytes())
    return Hub(Path(record["hub"])), Base(Path(record["base"])) if record["base"] else None


def _in_use() -> set[Path]:
    records = config.workspaces_dir().glob(f"*/.shields/*/{RECORD}")
    return {read_record(record.parent)[0].directory for record in records}


def _untouched(repo: Repository, base: Base) -> bool:
    """Whether the shared checkout is as it was made. Nobody has any business in there."""
    shield = Shield(git_dir=base.directory / "git", objects=repo.common_dir / "objects")
    return not read_status(shield, base.files, base.index)


def _put_aside(directory: Path) -> None:
    """Workspaces of other runs may still show it, so it keeps its files, under another name."""
    number = 1
    while (aside := directory.with_name(f"{directory.name}.edited-{number}")).exists():
        number += 1
    directory.rename(aside)


def _appearance(repo: Repository) -> str:
    """A digest of what decides how a commit's files look on disk."""
    attributes = repo.common_dir / "info" / "attributes"
    rules = attributes.read_bytes() if attributes.is_file() else b""
    return hashlib.sha256(json.dumps(dict(repo.settings)).encode() + b"\0" + rules).hexdigest()[:12]


def _config(repo: Repository) -> str:
    lines = ["[core]\n\trepositoryformatversion = 0\n\tbare = true\n[gc]\n\tauto = 0\n"]
    if object_format := repo.settings.get("extensions.objectformat"):
        lines[0] = lines[0].replace("version = 0", "version = 1")
        lines.append(f"[extensions]\n\tobjectformat = {object_format}\n")
    return "".join(lines)


def _one_line(path: Path) -> Path:
    if "\n" in str(path):
        raise WorkspaceError(f"the path {str(path)!r} holds a line break", hint="rename the folder")
    return path


def _write(path: Path, text: str) -> None:
    if path.is_file() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_state_file(path, text.encode())
