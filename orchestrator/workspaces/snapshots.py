"""Live snapshots: what running workers have made so far, as commits of ours that leave their workspaces be.

Each worker has an index of ours, so that a second look hashes only what changed since the first. The
agent's own index is only ever read, from a copy; objects go into a private folder.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.errors import GitError
from orchestrator.git.foreign_index import adopt_staging
from orchestrator.git.history import commit_tree
from orchestrator.git.leftovers import nested_files
from orchestrator.git.repository import Repository
from orchestrator.git.shield import Shield
from orchestrator.git.worktrees import entries_under
from orchestrator.workspaces.checkout import WHOLE
from orchestrator.workspaces.hub import RECORD, hub_of, read_record
from orchestrator.workspaces.names import SHIELDS, START_COMMIT
from orchestrator.workspaces.overlay import is_mounted

#: Bytes. Hashing a larger file again and again costs more than the answer is worth.
LARGEST_FILE = 64 << 20
_LARGEST_INDEX = 1 << 28
_TRIES = 3
_TIMEOUT_S = 30.0
_AUTHOR = "orchestrator <orchestrator@localhost>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What one worker had made when it was looked at."""

    worker_id: str
    commit: str  #: on top of the commit that the worker started from
    start_commit: str
    left_out: tuple[str, ...]  #: files too large, or that could not be read


@dataclass(slots=True)
class _Watched:
    """What is remembered of one workspace between two looks."""

    worker_id: str
    path: Path
    start_commit: str
    whole: Path  #: there as long as the checkout is whole
    seed: Path  #: the index to begin with
    staging: Path  #: the agent's own index
    shield: Shield
    index: Path
    staged_as: tuple[int, ...] = ()  #: what the agent's index looked like
    tree: str = ""
    snapshot: Snapshot | None = None
    left_out: list[str] = field(default_factory=list)


class Snapshots:
    """Takes snapshots of a run's workspaces; for one thread. They live as long as the folder `scratch`."""

    def __init__(self, repo: Repository, *, base: str, directory: Path, scratch: Path) -> None:
        """`directory` is where the run has its workspaces; `scratch` need not exist."""
        scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.shield = repo.scratch(scratch / "git", head=base)
        hub = hub_of(repo).objects
        if hub.is_dir():
            with (self.shield.objects / "info" / "alternates").open("ab") as file:
                file.write(os.fsencode(hub) + b"\n")
        self._repo = repo
        self._directory = directory.resolve()
        self._scratch = scratch
        self._watched: dict[str, _Watched] = {}
        self._closed = False

    def close(self) -> None:
        """Let a look that goes on in another thread end soon, with what it has."""
        self._closed = True

    def take(self, worker_ids: Collection[str]) -> dict[str, Snapshot]:
        """Look at those of the workers that have a workspace now; a fault leaves a worker out."""
        found: dict[str, Snapshot] = {}
        for name, worker_id in self._names(worker_ids):
            if self._closed:
                break
            try:
                snapshot = self._take_one(name, worker_id)
            except (GitError, OSError):
                continue  # it changes too quickly or goes away; the next look may do better
            if snapshot:
                found[worker_id] = snapshot
        return found

    def _names(self, worker_ids: Collection[str]) -> Iterator[tuple[str, str]]:
        """The newest workspace of each worker: `id`, then `id@2` and so on."""
        place = self._directory / SHIELDS
        newest: dict[str, int] = {}
        for entry in place.iterdir() if place.is_dir() else ():
            worker_id, _, attempt = entry.name.partition("@")
            if worker_id in worker_ids and (attempt or "1").isdigit():
                newest[worker_id] = max(newest.get(worker_id, 0), int(attempt or "1"))
        for worker_id in worker_ids:
            if number := newest.get(worker_id):
                yield (worker_id if number == 1 else f"{worker_id}@{number}"), worker_id

    def _take_one(self, name: str, worker_id: str) -> Snapshot | None:
        watched = self._watched.get(name) or self._begin(name, worker_id)
        if watched is None or not watched.whole.exists():
            return None
        self._watched[name] = watched
        self._follow_staging(watched)
        self._stage(watched)
        tree = self._git(watched, ["write-tree"]).decode("ascii").strip()
        if not watched.whole.exists():
            return None  # its removal began meanwhile, so files that are missing were not deleted
        if watched.snapshot is None or tree != watched.tree:
            commit = commit_tree(
                watched.shield, tree, (watched.start_commit,), author=_AUTHOR, message=f"Snapshot of {name}"
            )
            watched.tree = tree
            watched.snapshot = Snapshot(
                worker_id=worker_id,
                commit=commit,
                start_commit=watched.start_commit,
                left_out=tuple(watched.left_out),
            )
        return watched.snapshot

    # -- the first look ------------------------------------------------------------------------

    def _begin(self, name: str, worker_id: str) -> _Watched | None:
        theirs, path = self._directory / SHIELDS / name, self._directory / name
        start = theirs / START_COMMIT
        if not (start.is_file() and (theirs / WHOLE).exists() and path.is_dir()):
            return None
        if (theirs / RECORD).is_file():
            _, base = read_record(theirs)
            if base and not is_mounted(path):
                return None  # nothing is to be seen there
            seed, staging = theirs / "index", path / ".git" / "index"
            if base and not seed.exists():
                seed = base.index
        else:
            entries = {place: entry for entry, place in entries_under(self._repo.common_dir, self._directory)}
            if path not in entries:
                return None
            seed = staging = entries[path] / "index"
        watched = _Watched(
            worker_id=worker_id,
            path=path,
            start_commit=start.read_text(),
            whole=theirs / WHOLE,
            seed=seed,
            staging=staging,
            shield=self._make_shield(name, theirs),
            index=self._scratch / "workers" / name / "index",
        )
        self._fill_index(watched)
        return watched

    def _make_shield(self, name: str, theirs: Path) -> Shield:
        """A shield with the workspace's own ignore rules, over the private objects."""
        folder = self._scratch / "workers" / name
        shutil.rmtree(folder, ignore_errors=True)
        for part in ("objects", "refs", "info"):
            (folder / part).mkdir(parents=True, mode=0o700)
        for part in ("config", "HEAD", "shallow", "info/exclude", "info/attributes"):
            if (theirs / part).is_file():
                shutil.copyfile(theirs / part, folder / part)
        return Shield(git_dir=folder, objects=self.shield.objects)

    def _fill_index(self, watched: _Watched) -> None:
        """Begin with an index that knows how the files look, so that few have to be read."""
        if copy_index(watched.seed, watched.index):
            try:
                self._git(watched, ["write-tree"])
            except GitError:
                pass  # damaged, or in the middle of a merge
            else:
                return
        watched.index.unlink(missing_ok=True)
        self._git(watched, ["read-tree", watched.start_commit])

    # -- every look ----------------------------------------------------------------------------

    def _follow_staging(self, watched: _Watched) -> None:
        """Take over what the agent staged by hand since the last look."""
        looks = _looks(watched.staging)
        if not looks or looks == watched.staged_as:
            return
        copy = watched.index.with_name("theirs")
        if copy_index(watched.staging, copy):
            adopt_staging(watched.shield, watched.path, copy, watched.index)
            copy.unlink()
        watched.staged_as = looks

    def _stage(self, watched: _Watched) -> None:
        """Bring every file that differs into our index. Files may come and go meanwhile."""
        for left in reversed(range(_TRIES)):
            paths, watched.left_out = self._differing(watched)
            if not paths:
                return
            try:
                self._update(watched, paths)
            except GitError:
                if not left:
                    watched.left_out += [os.fsdecode(path) for path in self._update_some(watched, paths)]
            else:
                return

    def _differing(self, watched: _Watched) -> tuple[list[bytes], list[str]]:
        argv = ["ls-files", "-z", "--modified", "--deleted", "--others", "--exclude-standard"]
        listed = dict.fromkeys(filter(None, self._git(watched, argv).split(b"\0")))
        paths: list[bytes] = []
        for path in listed:
            if path.endswith(b"/"):
                paths += nested_files(watched.shield, watched.path, path.rstrip(b"/"))
            else:
                paths.append(path)
        large = {path for path in paths if _is_large(watched.path / os.fsdecode(path))}
        return [path for path in paths if path not in large], sorted(map(os.fsdecode, large))

    def _update(self, watched: _Watched, paths: Iterable[bytes]) -> None:
        argv = ["update-index", "--add", "--replace", "--remove", "-z", "--stdin"]
        self._git(watched, argv, b"".join(path + b"\0" for path in paths))

    def _update_some(self, watched: _Watched, paths: Sequence[bytes]) -> list[bytes]:
        """Stage what can be staged; return what cannot, found by halving."""
        try:
            self._update(watched, paths)
        except GitError:
            if len(paths) == 1:
                return list(paths)
            half = len(paths) // 2
            return self._update_some(watched, paths[:half]) + self._update_some(watched, paths[half:])
        return []

    def _git(self, watched: _Watched, argv: list[str], data: bytes | None = None) -> bytes:
        """Run git over the workspace; an agent can make it wait, by a pipe named `.gitignore`."""
        return watched.shield.run(
            argv, work_tree=watched.path, index=watched.index, input=data, timeout_s=_TIMEOUT_S
        ).stdout


def copy_index(source: Path, target: Path) -> bool:
    """Copy an index that an agent may have replaced by anything; False when it is no plain file.

    Its time is kept: git trusts what it knows of files that are older than their index.
    """
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > _LARGEST_INDEX:
            return False
        target.write_bytes(file.read(_LARGEST_INDEX))
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))
    return True


def _looks(path: Path) -> tuple[int, ...]:
    try:
        found = path.lstat()
    except OSError:
        return ()
    return (found.st_ino, found.st_size, found.st_mtime_ns)


def _is_large(path: Path) -> bool:
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size > LARGEST_FILE
