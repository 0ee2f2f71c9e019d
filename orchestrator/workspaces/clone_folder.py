"""The `.git` folder of a clone: writing it, and reading it again after an agent could do anything to it.

No git of ours ever runs in it. What is read here is a handful of small files, and no link is followed.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path, PurePosixPath

from orchestrator.errors import GitError
from orchestrator.git.transfer import is_commit_id
from orchestrator.git.worktrees import remove_tree

_LARGEST = 1 << 24
_DEEPEST_LINK = 5
_MOST_ASIDE = 20


class UntrustedCloneError(GitError):
    """The agent changed its `.git` folder in a way that its commits cannot be taken over from."""


def write_clone(
    git_dir: Path, *, branch: str, commit: str, objects: Path, config: str, files: Mapping[str, bytes]
) -> None:
    """Make a whole `.git` folder, but for its index. `files` are further files in it."""
    content = {
        "HEAD": _head(branch),
        "config": config.encode(),
        "objects/info/alternates": _alternates(objects),
        f"refs/heads/{branch}": f"{commit}\n".encode(),
        **files,
    }
    for folder in ("objects/pack", "refs/tags"):
        (git_dir / folder).mkdir(parents=True, exist_ok=True)
    for name, data in content.items():
        path = git_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def is_where(git_dir: Path, branch: str, commit: str) -> bool:
    """Whether the clone is on its branch, and that at `commit`, in plain sight."""
    return _read(git_dir, "HEAD") == _head(branch) and _loose(git_dir, f"refs/heads/{branch}") == commit


def places(git_dir: Path, branch: str) -> dict[str, str]:
    """The commits that `head` and `tip` (of the branch) claim to be; what is spoilt or unborn is missing."""
    if (git_dir / "reftable").exists():
        raise UntrustedCloneError("its branches were moved to another format (reftable)")
    found = {"head": _resolve(git_dir, "HEAD"), "tip": _resolve(git_dir, f"refs/heads/{branch}")}
    return {name: commit for name, commit in found.items() if commit is not None}


def set_aside(git_dir: Path, branch: str) -> list[str]:
    """The commits that the agent's other branches and its stash claim to be at, the first few of them."""
    heads = git_dir / "refs" / "heads"
    names = [Path(folder, name) for folder, _, files in os.walk(heads) for name in files]
    found = [_loose(git_dir, str(name.relative_to(git_dir))) for name in sorted(names)]
    found += [_loose(git_dir, "refs/stash"), _packed(git_dir, "refs/stash")]
    for line in (_read(git_dir, "packed-refs") or b"").splitlines():
        commit, _, ref = line.decode("ascii", "replace").partition(" ")
        if ref.startswith("refs/heads/") and is_commit_id(commit):
            found.append(commit)
    own = _resolve(git_dir, f"refs/heads/{branch}")
    return [commit for commit in dict.fromkeys(found) if commit and commit != own][:_MOST_ASIDE]


def make_view(view: Path, hub: Path, objects: Path) -> Path:
    """Make a repository of ours, anew, that borrows the clone's objects and has nothing else of it."""
    remove_tree(view)
    for folder in ("objects/info", "refs/heads"):
        (view / folder).mkdir(parents=True, mode=0o700)
    for name in ("config", "HEAD"):
        shutil.copyfile(hub / name, view / name)
    if (hub / "shallow").is_file():
        shutil.copyfile(hub / "shallow", view / "shallow")
    (view / "objects" / "info" / "alternates").write_bytes(
        _alternates(objects) + _alternates(hub / "objects")
    )
    return view


def require_plain(git_dir: Path, objects: Path) -> None:
    """Refuse a folder that could make us read objects which are not the agent's own.

    Without this, an agent could name an object of any repository on the machine and get it handed out.
    """
    for place in (git_dir, git_dir / "objects"):
        if not stat.S_ISDIR(place.lstat().st_mode):
            raise UntrustedCloneError(f"{place.name} is no folder any more")
    if _read(git_dir, "objects/info/alternates") not in {None, _alternates(objects)}:
        raise UntrustedCloneError("objects/info/alternates was changed")
    for folder, names, files in os.walk(git_dir / "objects"):
        for name in (*names, *files):
            found = Path(folder, name).lstat().st_mode
            if not (stat.S_ISREG(found) or stat.S_ISDIR(found)):
                raise UntrustedCloneError(f"{name} among its objects is neither a file nor a folder")


def put_back(git_dir: Path, branch: str, commit: str, *, index: Path, objects: Path) -> None:
    """Let the clone be on its branch at `commit`, with that index, if it still is a clone of that kind."""
    if _read(git_dir, "objects/info/alternates") != _alternates(objects):
        return
    with suppress(OSError):  # a link in the way
        _replace(git_dir, f"refs/heads/{branch}", f"{commit}\n".encode())
        _replace(git_dir, "HEAD", _head(branch))
        _replace(git_dir, "index", index.read_bytes())


def _head(branch: str) -> bytes:
    return f"ref: refs/heads/{branch}\n".encode()


def _alternates(objects: Path) -> bytes:
    return os.fsencode(objects) + b"\n"


def _resolve(git_dir: Path, name: str) -> str | None:
    for _ in range(_DEEPEST_LINK):
        content = _read(git_dir, name)
        if content is None:
            return _packed(git_dir, name)
        if not content.startswith(b"ref:"):
            return _loose(git_dir, name)
        name = os.fsdecode(content.removeprefix(b"ref:").strip())
        if not name.startswith("refs/") or ".." in PurePosixPath(name).parts or "\0" in name:
            return None
    return None


def _loose(git_dir: Path, name: str) -> str | None:
    text = (_read(git_dir, name) or b"").decode("ascii", "replace").strip()
    return text if is_commit_id(text) else None


def _packed(git_dir: Path, name: str) -> str | None:
    wanted = os.fsencode(name)
    for line in (_read(git_dir, "packed-refs") or b"").splitlines():
        commit, _, ref = line.partition(b" ")
        if ref == wanted and is_commit_id(commit.decode("ascii", "replace")):
            return commit.decode("ascii")
    return None


def _read(git_dir: Path, name: str) -> bytes | None:
    """Read a plain file of reasonable size; None for anything else."""
    *folders, last = PurePosixPath(name).parts
    try:
        with _folder(git_dir, folders) as place:
            descriptor = os.open(
                last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=place
            )
            with os.fdopen(descriptor, "rb") as file:
                found = os.fstat(descriptor)
                if not stat.S_ISREG(found.st_mode) or found.st_size > _LARGEST:
                    return None
                return file.read(_LARGEST)
    except (OSError, ValueError):
        return None


def _replace(git_dir: Path, name: str, content: bytes) -> None:
    *folders, last = PurePosixPath(name).parts
    with _folder(git_dir, folders, make=True) as place:
        with suppress(FileNotFoundError):
            os.unlink(f"{last}.lock", dir_fd=place)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(f"{last}.lock", flags, 0o644, dir_fd=place), "wb") as file:
            file.write(content)
        os.rename(f"{last}.lock", last, src_dir_fd=place, dst_dir_fd=place)


@contextmanager
def _folder(git_dir: Path, folders: list[str], *, make: bool = False) -> Iterator[int]:
    """Open a folder step by step, so that no link anywhere on the way leads elsewhere."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    with ExitStack() as stack:
        place = os.open(git_dir, flags)
        stack.callback(os.close, place)
        for name in folders:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(name, dir_fd=place)
            place = os.open(name, flags, dir_fd=place)
            stack.callback(os.close, place)
        yield place
