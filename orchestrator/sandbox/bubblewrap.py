"""The command line of bubblewrap for a profile: the whole agent inside, on pipes or on a terminal.

Two small programs frame it. A terminal's Ctrl-C, and the shim's polite signals, reach bubblewrap's own
processes as well as the agent; bubblewrap would die of them and take the agent along without grace. So
`env` starts bubblewrap with these signals ignored, and a second `env` gives the agent its defaults back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from orchestrator.sandbox.profile import Access, Mount, SandboxProfile

_POLITE = "HUP,INT,QUIT,TERM"
_NOTHING = "/dev/null"


def bubblewrap_argv(
    profile: SandboxProfile, argv: Sequence[str], *, bwrap: Path, env: Path = Path("/usr/bin/env")
) -> list[str]:
    """Return the command line that runs `argv` inside."""
    return [
        *(str(env), f"--ignore-signal={_POLITE}"),
        *(str(bwrap), "--die-with-parent"),
        *_namespaces(profile),
        *("--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"),
        *(word for path in profile.covered for word in ("--ro-bind", str(path), str(path))),
        *(word for mount in profile.mounts for word in _mount(mount)),
        *(word for name, value in profile.variables.items() for word in ("--setenv", name, value)),
        *("--chdir", str(profile.folder), "--"),
        *(str(env), f"--default-signal={_POLITE}"),
        *profile.launcher,
        *argv,
    ]


def _namespaces(profile: SandboxProfile) -> Iterator[str]:
    yield from ("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")
    if not profile.share_network:
        yield "--unshare-net"
    if profile.uid is not None:
        yield from ("--uid", str(profile.uid), "--gid", str(profile.uid))
    yield from ("--cap-drop", "ALL")


def _mount(mount: Mount) -> tuple[str, ...]:
    path, source = str(mount.path), str(mount.source or mount.path)
    match mount.access:
        case Access.READ:
            return ("--ro-bind", source, path)
        case Access.WRITE:
            return ("--bind", source, path)
        case Access.EMPTY:
            return ("--perms", "0700", "--tmpfs", path)
        case Access.HIDDEN:
            return ("--ro-bind", _NOTHING, path)
