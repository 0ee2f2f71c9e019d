"""What one attempt's processes may see, write and reach: a plain value, made by a pure function."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from orchestrator.model.confinement import Confinement, GitFolders


class Access(Enum):
    """What a path is inside the sandbox."""

    READ = "read"
    WRITE = "write"
    EMPTY = "empty"  #: an empty folder in memory
    HIDDEN = "hidden"  #: an empty file that cannot be written


@dataclass(frozen=True, slots=True)
class Mount:
    """One path that differs from the read-only view of the machine."""

    path: Path
    access: Access
    source: Path | None = None  #: what is shown there; None: the path itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """What every attempt of a run sees of the machine. Paths are resolved and exist."""

    home: Path
    masked: tuple[Mount, ...]  #: where the user's things lie
    readable: tuple[Path, ...]  #: programs and settings within masked places; never opens a whole one
    listed: tuple[Path, ...] = ()  #: what the user lists as readable
    writable: tuple[Path, ...] = ()  #: what the user lists as writable
    covered: tuple[Path, ...] = ()  #: parts of /proc that root could write
    shadowed: tuple[Mount, ...] = ()  #: files shown in place of the machine's own


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxProfile:
    """Everything that `bubblewrap_argv` needs to know. Mounts are in order: outer before inner."""

    mounts: tuple[Mount, ...]
    covered: tuple[Path, ...]
    folder: Path
    share_network: bool
    uid: int | None  #: the user inside; None: the one outside
    variables: Mapping[str, str] = field(default_factory=dict)
    launcher: tuple[str, ...] = ()  #: starts the program, inside


def build_profile(
    surface: Surface,
    place: Confinement,
    *,
    private_home: Path,
    share_network: bool,
    uid: int | None = None,
    extra: Sequence[Mount] = (),
    variables: Mapping[str, str] | None = None,
    launcher: Sequence[str] = (),
) -> SandboxProfile:
    """Put the machine's surface and one attempt's places together; the later rule for a path counts."""
    mounts = [
        *surface.masked,
        *(
            Mount(mask.path, Access.WRITE, private_home)
            for mask in surface.masked
            if mask.path == surface.home
        ),
        *_reading(_within(surface.readable, surface.masked)),
        *_reading(surface.listed),
        *(Mount(path, Access.WRITE) for path in surface.writable),
        *surface.shadowed,
        *(git_mounts(place.git) if place.git else ()),
        Mount(place.tmp_dir, Access.WRITE),
        Mount(private_home, Access.EMPTY),
        Mount(place.workspace, Access.WRITE),
        *(_own_checkout(place.git) if place.git and place.git.branch is None else ()),
        *((Mount(place.config_dir, Access.WRITE),) if place.config_dir else ()),
        *((Mount(place.login_dir, Access.WRITE),) if place.login_dir else ()),
        Mount(place.prompt_file, Access.READ),
        *extra,
    ]
    return SandboxProfile(
        mounts=_ordered(mounts),
        covered=surface.covered,
        folder=place.workspace,
        share_network=share_network,
        uid=uid,
        variables=variables or {},
        launcher=tuple(launcher),
    )


def git_mounts(git: GitFolders) -> Iterator[Mount]:
    """The parts of the user's repository that a commit in a linked worktree writes, and nothing else of it.

    Packs, configuration, hooks, HEAD and every other branch stay read-only. Loose objects and the
    branches of the same run can still be harmed.
    """
    yield from _reading(git.borrowed)
    if git.entry is None:
        return
    yield Mount(git.common_dir, Access.READ)
    yield Mount(git.common_dir / "objects", Access.WRITE)
    yield Mount(git.common_dir / "objects" / "pack", Access.READ)
    yield Mount(git.common_dir / "objects" / "info", Access.READ)
    yield Mount(git.entry, Access.WRITE)
    yield Mount(git.entry / "gitdir", Access.READ)
    yield Mount(git.entry / "commondir", Access.READ)
    yield Mount(git.entry / "config.worktree", Access.HIDDEN)
    for folder in branch_folders(git):
        yield Mount(folder, Access.WRITE)


def branch_folders(git: GitFolders) -> tuple[Path, ...]:
    """The folders that hold the worker's branch and its log."""
    if git.branch is None or git.entry is None:
        return ()
    heads = Path("refs", "heads", git.branch).parent
    return (git.common_dir / heads, git.common_dir / "logs" / heads)


def _own_checkout(git: GitFolders) -> Iterator[Mount]:
    """Without isolation git must work; but what the user's git would run stays as it is."""
    yield Mount(git.common_dir, Access.WRITE)
    for name in ("config", "hooks", "info"):
        yield Mount(git.common_dir / name, Access.READ)


def _reading(paths: Iterable[Path]) -> Iterator[Mount]:
    return (Mount(path, Access.READ) for path in paths)


def _within(paths: Iterable[Path], masked: Iterable[Mount]) -> list[Path]:
    """Those that lie inside a masked place without being, or holding, one."""
    roots = [mount.path for mount in masked]
    return [
        path
        for path in paths
        if any(path.is_relative_to(root) for root in roots)
        and not any(root.is_relative_to(path) for root in roots)
    ]


def _ordered(mounts: Iterable[Mount]) -> tuple[Mount, ...]:
    last = {mount.path: mount for mount in mounts}
    return tuple(sorted(last.values(), key=lambda mount: mount.path.parts))
