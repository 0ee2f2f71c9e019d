"""Looks at this machine once and says what a run's attempts see of it."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from orchestrator.errors import InputError
from orchestrator.sandbox.profile import Access, Mount, Surface

#: Where sockets of services, other people's files and the user's session lie.
_MASKED = ("/tmp", "/run", "/var/tmp")  # noqa: S108 (hidden, not used)
#: Root reads everything, so what only root may read is hidden from its agents.
_MASKED_FOR_ROOT = (
    *("/root", "/home", "/etc/shadow", "/etc/gshadow", "/etc/shadow-", "/etc/gshadow-", "/etc/ssh"),
    *("/etc/sudoers", "/etc/sudoers.d", "/etc/ssl/private", "/var/lib/docker", "/var/lib/containerd"),
    *("/var/lib/private", "/var/spool/cron", "/boot", "/lost+found"),
)
#: Programs and plain settings that people keep in their home folder; none of these holds keys.
_HOME_READABLE = (
    *(".local/bin", ".local/lib", ".local/share/uv", ".local/share/pipx", ".local/pipx", ".local/share/mise"),
    *(".local/share/claude", ".local/share/pnpm", ".nvm", ".pyenv", ".rbenv", ".volta", ".asdf", ".fnm"),
    *(".bun/bin", ".deno/bin", ".cargo/bin", ".cargo/registry", ".cargo/config.toml", ".rustup", ".sdkman"),
    *("bin", "go/bin", "go/pkg", ".npm-global", ".gitconfig", ".config/git/config", ".config/git/ignore"),
    *(".config/git/attributes", ".node_modules"),
)
_RUN_READABLE = ("/run/current-system", "/run/opengl-driver", "/etc/resolv.conf")
_TOOL_VARIABLES = (
    *("VIRTUAL_ENV", "PYENV_ROOT", "NVM_DIR", "GOPATH", "RUSTUP_HOME", "JAVA_HOME"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"),
    *("GIT_SSL_CAINFO",),
)
#: The user that root's agents are inside: some refuse to work as root.
INNER_UID = 1000


def look_around(
    env: Mapping[str, str],
    *,
    state_home: Path,
    run_tmp: Path,
    readable: Sequence[str] = (),
    writable: Sequence[str] = (),
) -> Surface:
    """Say what attempts see whose environment comes from `env`. Raises InputError for what is not there."""
    home = Path(env.get("HOME") or Path.home()).resolve()
    places: tuple[str | Path, ...] = (*_MASKED, tempfile.gettempdir(), run_tmp.parent, state_home)
    if os.getuid() == 0:
        places += _MASKED_FOR_ROOT
    return Surface(
        home=home,
        masked=tuple(_masks((*places, home))),
        readable=tuple(_resolved(_own_programs(env, home))),
        listed=listed("readable", readable, home),
        writable=listed("writable", writable, home),
        covered=tuple(_root_writable()) if os.getuid() == 0 else (),
        shadowed=tuple(_passwd(run_tmp, home)) if os.getuid() == 0 else (),
    )


def _masks(places: Iterable[str | Path]) -> Iterator[Mount]:
    for place in places:
        path = Path(place).resolve()
        if path.is_dir() and path != Path("/"):
            yield Mount(path, Access.EMPTY)
        elif path.is_file():
            yield Mount(path, Access.HIDDEN)


def _own_programs(env: Mapping[str, str], home: Path) -> Iterator[Path]:
    """Us, our Python, what PATH and toolchain variables name, and known folders of programs."""
    yield from map(Path, (sys.prefix, sys.base_prefix))
    yield Path(__file__).parents[1]
    yield from map(Path, env.get("PATH", "").split(os.pathsep))
    yield from (Path(env[name]) for name in _TOOL_VARIABLES if env.get(name))
    yield from (home / name for name in _HOME_READABLE)
    yield from map(Path, _RUN_READABLE)


def _resolved(paths: Iterable[Path]) -> Iterator[Path]:
    """Both the path and what it points to: programs are looked up by the first and found by the second."""
    for path in paths:
        if path.is_absolute() and path.exists():
            yield path.parent.resolve() / path.name
            yield path.resolve()


def listed(key: str, names: Sequence[str], home: Path) -> tuple[Path, ...]:
    """Read a list of paths of the user's. Raises InputError for one that is not there."""
    paths = [home / name.removeprefix("~/") if name.startswith("~/") else Path(name) for name in names]
    for name, path in zip(names, paths, strict=True):
        if not path.is_absolute():
            raise InputError(f"{key}: expected a full path, or one that starts with ~/ (got {name!r})")
        if not path.exists():
            raise InputError(f"{key}: there is no {path}", hint="make it, or take it off the list")
    return tuple(path.resolve() for path in paths)


def _root_writable() -> Iterator[Path]:
    """Files of /proc that the kernel lets root's uid write, whatever its capabilities."""
    for path in sorted(Path("/proc").iterdir()):
        if path.name.isdigit() or path.is_symlink():
            continue
        if path.is_dir() or path.stat().st_mode & stat.S_IWUSR:
            yield path


def _passwd(run_tmp: Path, home: Path) -> Iterator[Mount]:
    """Give the inner user a name and this home; many programs fail for a user without one."""
    for name, line in (
        ("passwd", f"agent:x:{INNER_UID}:{INNER_UID}::{home}:/bin/sh"),
        ("group", f"agent:x:{INNER_UID}:"),
    ):
        theirs = Path("/etc", name)
        kept = [old for old in theirs.read_text().splitlines() if old.split(":")[2:3] != [str(INNER_UID)]]
        made = run_tmp / name
        made.write_text("\n".join([*kept, line, ""]))
        yield Mount(theirs.resolve(), Access.READ, made)
