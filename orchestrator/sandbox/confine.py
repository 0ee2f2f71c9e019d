"""The sandbox of a run on Linux: puts each attempt's processes into bubblewrap."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from orchestrator.errors import SpawnError
from orchestrator.model.confinement import Confinement, GitFolders
from orchestrator.ports import Wrap
from orchestrator.sandbox.bubblewrap import bubblewrap_argv
from orchestrator.sandbox.profile import (
    Access,
    Mount,
    SandboxProfile,
    Surface,
    branch_folders,
    build_profile,
)
from orchestrator.sandbox.proxy import ProxyDoor
from orchestrator.sandbox.surface import INNER_UID

#: Within an attempt's TMPDIR; the attempt's HOME, so that set-up, agent and checks share one.
PRIVATE_HOME = ".home"


@dataclass(frozen=True, slots=True, kw_only=True)
class BubblewrapSandbox:
    """Implements `ports.Sandbox`."""

    bwrap: Path
    surface: Surface
    share_network: bool
    door: ProxyDoor | None = None  #: the way to the allowed hosts

    def confine(self, place: Confinement, env: Mapping[str, str]) -> Wrap:
        """Prepare an attempt's places; return what puts a command line inside."""
        profile = self.profile(place)
        return partial(_wrap, profile, self.bwrap, dict(env))

    def profile(self, place: Confinement) -> SandboxProfile:
        """Settle what the attempt sees. Call it before any of its processes runs: it trusts what it finds."""
        private_home = place.tmp_dir / PRIVATE_HOME
        private_home.mkdir(mode=0o700, exist_ok=True)
        if place.git:
            _make_branch_folders(place.git)
        door = self.door
        made = build_profile(
            self.surface,
            place,
            private_home=private_home,
            share_network=self.share_network,
            uid=INNER_UID if os.getuid() == 0 else None,
            extra=door.mounts if door else (),
            variables=door.variables if door else {},
            launcher=door.launcher if door else (),
        )
        return replace(made, mounts=tuple(filter(_can_be_made, made.mounts)))


def _make_branch_folders(git: GitFolders) -> None:
    """Git takes them away when it packs its branches."""
    if (git.common_dir / "refs" / "heads").is_dir():
        for folder in branch_folders(git):
            folder.mkdir(parents=True, exist_ok=True)


def _can_be_made(mount: Mount) -> bool:
    return mount.access in (Access.EMPTY, Access.HIDDEN) or (mount.source or mount.path).exists()


def _wrap(profile: SandboxProfile, bwrap: Path, env: Mapping[str, str], argv: Sequence[str]) -> list[str]:
    """Raises SpawnError for a program that is not there, in the words of a start without a sandbox."""
    if not argv or not argv[0] or "\0" in argv[0]:
        raise SpawnError(
            "Cannot start a program without a name.", hint="Give a command of at least one word."
        )
    program = _find(argv[0], env, profile.folder)
    if program is None:
        raise SpawnError(
            f"Cannot start {argv[0]!r}: No such file or directory.",
            hint="Check its name, the PATH it is looked up in, and the interpreter its first line names.",
        )
    if "=" in argv[0]:
        raise SpawnError(
            f"Cannot start {argv[0]!r} in the sandbox: its name contains '='.", hint="Start it by /bin/sh -c."
        )
    return bubblewrap_argv(_with_program(profile, program), argv, bwrap=bwrap)


def _find(name: str, env: Mapping[str, str], folder: Path) -> Path | None:
    if "/" in name:
        path = folder / name
        return path if path.exists() else None
    search = env.get("PATH", os.defpath).split(os.pathsep)
    found = shutil.which(name, path=os.pathsep.join(str(folder / part) for part in search))
    return Path(found) if found else None


def _with_program(profile: SandboxProfile, program: Path) -> SandboxProfile:
    """Show the program itself where its place is hidden, with the packages beside it.

    Not if the agent, or the repository, could have put it there: a link would open what it points to.
    """
    place, target = program.parent.resolve() / program.name, program.resolve()
    above = _nearest(place, profile.mounts)
    theirs = above is not None and above.access is Access.WRITE and above.source is None
    if theirs or not target.is_file() or not os.access(target, os.X_OK):
        return profile
    new = [Mount(path, Access.READ) for path in (place, _package(target)) if _hidden(path, profile.mounts)]
    if not new:
        return profile
    mounts = sorted((*profile.mounts, *new), key=lambda mount: mount.path.parts)
    return replace(profile, mounts=tuple(mounts))


def _package(program: Path) -> Path:
    """A script of Node's needs its packages; of anything else the file is enough."""
    parts = program.parts
    if "node_modules" in parts:
        return Path(*parts[: parts.index("node_modules") + 1])
    return program


def _hidden(path: Path, mounts: Sequence[Mount]) -> bool:
    above = _nearest(path, mounts)
    if above is None:
        return False
    return above.access in (Access.EMPTY, Access.HIDDEN) or above.source is not None


def _nearest(path: Path, mounts: Sequence[Mount]) -> Mount | None:
    above = [mount for mount in mounts if path.is_relative_to(mount.path)]
    return max(above, key=lambda mount: len(mount.path.parts), default=None)
