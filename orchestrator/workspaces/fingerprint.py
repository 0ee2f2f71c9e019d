"""How the user's repository and checkout look now, read without running anything that they bring along."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from orchestrator.git.process import run_git
from orchestrator.git.repository import Repository

_LARGEST_KEPT = 1 << 18  #: of a larger file only the digest is kept
_LARGEST_HASHED = 1 << 24  #: a larger file is judged by its size and time alone
#: Files of a repository that say what git does and where things are. Not here: what git rewrites as it
#: goes (logs, ORIG_HEAD, FETCH_HEAD), and objects, which only ever come on top.
_FILES = ("HEAD", "config", "config.worktree", "shallow", "objects/info/alternates")
_FOLDERS = ("hooks", "info")
_OWN_ENTRY = ("HEAD", "commondir", "gitdir", "config.worktree")  # of a linked worktree
#: Branches of runs, and what `git fetch`, also that of an editor, brings up to date.
_REFS_LEFT_OUT = (b"refs/heads/orchestrator/", b"refs/orchestrator/", b"refs/remotes/")

#: Size, time, inode change time, mode, inode: a file with the same was not written to.
Stamp = tuple[int, int, int, int, int]
#: Of a file whose name alone counts: what is not tracked may be a log or a report of this very run.
_THERE: Stamp = (0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckoutState:
    """The user's checkout at one moment."""

    index: bytes = b""  #: `git ls-files --stage -z`
    index_stamp: Stamp | None = None
    files: dict[str, Stamp] = field(default_factory=dict)  #: tracked, and untracked but not ignored
    digests: dict[str, bytes] = field(default_factory=dict)
    untracked: frozenset[str] = frozenset()
    folders: dict[str, Stamp | None] = field(default_factory=dict)  #: those that hold any of the files

    def differing(self, before: CheckoutState) -> list[str]:
        """Paths that came, went, or have another content or mode than `before`."""
        return sorted(
            path
            for path in self.files.keys() | before.files.keys()
            if self.files.get(path) != before.files.get(path) and not self._same(before, path)
        )

    def _same(self, before: CheckoutState, path: str) -> bool:
        """Whether only the times of a file changed."""
        new, old = self.files.get(path), before.files.get(path)
        if new is None or old is None or new[3] != old[3] or path not in self.digests:
            return False
        return self.digests[path] == before.digests.get(path)


def git_state(repo: Repository, ours: Path) -> dict[str, bytes]:
    """Return files of the repository with their content, and its refs, by names that a person knows.

    `ours` is the folder of our worktrees, which change all the time.
    """
    state: dict[str, bytes] = {}
    for name in _FILES:
        _note(state, f".git/{name}", repo.common_dir / name)
    for name in _FOLDERS:
        _note_folder(state, f".git/{name}", repo.common_dir / name)
    if repo.git_dir != repo.common_dir:
        for name in _OWN_ENTRY:
            _note(state, f"the worktree's {name}", repo.git_dir / name)
        _note(state, ".git", repo.root / ".git")
    for entry in _folders(repo.common_dir / "worktrees"):
        place = read_file(entry / "gitdir")  # none: git is just making the entry, or taking it away
        if entry != repo.git_dir and place and not place.startswith(os.fsencode(ours) + b"/"):
            for name in _OWN_ENTRY[1:]:
                _note(state, f".git/worktrees/{entry.name}/{name}", entry / name)
    _note_modules(state, repo.common_dir / "modules")
    return state | _refs(repo.common_dir)


def checkout_state(repo: Repository, before: CheckoutState) -> CheckoutState:
    """Return how the checkout looks; only what `before` does not know already is read."""
    index_stamp = _stamp(repo.git_dir / "index")
    index = before.index
    if index_stamp != before.index_stamp:
        index = run_git(["ls-files", "--stage", "-z"], git_dir=repo.git_dir, check=False).stdout
    files = _tracked(repo, index)
    kept = before.digests.items()
    digests = {path: digest for path, digest in kept if files.get(path) == before.files[path]}
    for path, stamp in files.items():
        if path not in digests and (digest := _digest(repo.root / path, stamp)):
            digests[path] = digest
    untracked, folders = before.untracked, _folder_stamps(repo, before.folders)
    if not folders or folders != before.folders or index != before.index:
        untracked = _untracked(repo)
        # Stamped before the listing, as far as they were known: what comes later shows next time.
        known = {path.rpartition("/")[0] for path in (*files, *untracked)} | {""}
        folders = {path: folders.get(path) or _stamp(repo.root / path) for path in known}
    files |= dict.fromkeys(untracked - files.keys(), _THERE)
    return CheckoutState(
        index=index,
        index_stamp=index_stamp,
        files=files,
        digests=digests,
        untracked=untracked,
        folders=folders,
    )


def _folder_stamps(repo: Repository, folders: Iterable[str]) -> dict[str, Stamp | None]:
    """Without a change in any of these no file came or went; listing names anew needs another process."""
    return {path: _stamp(repo.root / path) for path in folders}


def read_file(path: Path) -> bytes | None:
    """Return a file's content, in short when it is large or no plain file; None when it is not there."""
    try:
        found = path.lstat()
        if stat.S_ISLNK(found.st_mode):
            return b"link to " + os.fsencode(path.readlink())
        if not stat.S_ISREG(found.st_mode):
            return b"no plain file (mode %o)" % found.st_mode
        with _opened(path) as file:
            content = file.read(_LARGEST_KEPT + 1)
    except FileNotFoundError:
        return None
    except OSError as err:
        return f"cannot be read: {err.strerror}".encode()
    if len(content) > _LARGEST_KEPT:
        return b"%d bytes, changed at %d" % (found.st_size, found.st_mtime_ns)
    return content


def _opened(path: Path) -> IO[bytes]:
    # Not followed and not waited for, should an agent put a link or a pipe in its place just now.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    return os.fdopen(descriptor, "rb")


def _note(state: dict[str, bytes], name: str, path: Path) -> None:
    if (content := read_file(path)) is not None:
        state[name] = content


def _note_folder(state: dict[str, bytes], name: str, folder: Path) -> None:
    """Note a folder's files, each with whether it may be executed."""
    if folder.is_symlink():
        _note(state, name, folder)
    for path in _files(folder):
        if path.name == "refs":  # info/refs, which `git gc` writes for simple web servers
            continue
        _note(state, f"{name}/{path.name}", path)
        if os.access(path, os.X_OK):
            state[f"{name}/{path.name} (may be executed)"] = b""


def _note_modules(state: dict[str, bytes], modules: Path) -> None:
    """Note the settings and hooks of submodules' repositories, which the user's git obeys as well."""
    for folder, names, files in os.walk(modules):
        names[:] = [name for name in names if name not in {"objects", "refs", "logs"}]
        place = Path(folder)
        if place.name == "hooks" or "config" in files:
            shown = ".git/modules/" + place.relative_to(modules).as_posix()
            for name in files if place.name == "hooks" else ("config",):
                _note(state, f"{shown}/{name}", place / name)


def _refs(common_dir: Path) -> dict[str, bytes]:
    """Return every ref that matters with its value. Packing them changes nothing."""
    loose = {}  # read first, as git does: packing moves a ref from here to there
    for path in _loose(os.fsencode(common_dir), b"refs"):
        if value := read_file(Path(os.fsdecode(path))):
            loose[os.path.relpath(os.fsdecode(path), common_dir)] = value.strip()
    if (common_dir / "reftable").is_dir():
        argv = ["for-each-ref", "--format=%(objectname) %(refname)"]
        packed = run_git(argv, git_dir=common_dir, check=False).stdout
    else:
        packed = _content(common_dir / "packed-refs")
    refs = {}
    for line in packed.splitlines():
        value, _, name = line.partition(b" ")
        if name.startswith(b"refs/") and not name.startswith(_REFS_LEFT_OUT):
            refs[os.fsdecode(name)] = value
    return refs | loose


def _loose(common_dir: bytes, name: bytes) -> Iterator[bytes]:
    """Yield the files of refs; what is left out is not even entered."""
    try:
        entries = list(os.scandir(os.path.join(common_dir, name)))  # noqa: PTH118 (bytes)
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        inner = name + b"/" + entry.name
        if entry.is_dir(follow_symlinks=False):
            if inner + b"/" not in _REFS_LEFT_OUT:
                yield from _loose(common_dir, inner)
        elif not entry.name.endswith(b".lock"):
            yield entry.path


def _tracked(repo: Repository, index: bytes) -> dict[str, Stamp]:
    root = os.fsencode(repo.root) + b"/"
    paths = {line.partition(b"\t")[2] for line in index.split(b"\0") if line}
    stamps = ((path, _stamp(root + path)) for path in paths)
    return {os.fsdecode(path): stamp for path, stamp in stamps if stamp}


def _untracked(repo: Repository) -> frozenset[str]:
    """Names that git would call untracked: with the user's ignore rules, and without any of their code."""
    argv = [
        "-c",
        f"core.excludesFile={repo.excludes_file}",
        "ls-files",
        "-z",
        "--others",
        "--exclude-standard",
    ]
    output = run_git(argv, git_dir=repo.git_dir, work_tree=repo.root, cwd=repo.root, check=False)
    return frozenset(os.fsdecode(path) for path in output.stdout.split(b"\0") if path)


def _digest(path: Path, stamp: Stamp) -> bytes | None:
    """Return the digest of a file's content; None when it says nothing that the stamp does not."""
    try:
        if stat.S_ISLNK(stamp[3]):
            return os.fsencode(path.readlink())
        if not stat.S_ISREG(stamp[3]) or stamp[0] > _LARGEST_HASHED:
            return None
        with _opened(path) as file:
            return hashlib.blake2b(file.read(), digest_size=16).digest()
    except OSError:
        return None


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _stamp(path: Path | bytes) -> Stamp | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_mode, found.st_ino


def _folders(parent: Path) -> list[Path]:
    return [path for path in _entries(parent) if path.is_dir()]


def _files(folder: Path) -> list[Path]:
    return [path for path in _entries(folder) if not path.is_dir() or path.is_symlink()]


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
