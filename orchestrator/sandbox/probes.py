"""Runs inside the sandbox and tries to get out: one JSON line per probe. Standard library only.

Arguments: the lures as a JSON object (see `selftest`), then the names of the probes to try, or none for all.
A probe that comes back says how it got through; one that raises was blocked.
"""

from __future__ import annotations

import array
import ctypes
import json
import os
import signal
import socket
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from fcntl import ioctl
from pathlib import Path
from typing import Any

_LIBC = ctypes.CDLL(None, use_errno=True)
_MS_REMOUNT, _MS_BIND = 32, 4096
_MNT_DETACH = 2
_NEWNS, _NEWUSER = 0x20000, 0x10000000
_PTRACE_ATTACH = 16
_TIOCSTI = 0x5412

Lures = dict[str, Any]


class BlockedError(Exception):
    """The attempt came to nothing without an error of the system's."""


def main() -> None:
    lures: Lures = json.loads(sys.argv[1])
    for name in sys.argv[2:] or PROBES:
        print(json.dumps(_try(name, lures)), flush=True)


def _try(name: str, lures: Lures) -> dict[str, Any]:
    """In a process of its own, so that what one probe changes does not reach the next."""
    if PROBES[name] is _kill_all:  # spares only its own process
        blocked, detail = _outcome(name, lures)
        return {"name": name, "blocked": blocked, "detail": detail}
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writing, json.dumps(_outcome(name, lures)).encode())
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:  # noqa: PTH123 (a descriptor)
        said = pipe.read()
    os.waitpid(pid, 0)
    blocked, detail = json.loads(said) if said else (True, "ended")
    return {"name": name, "blocked": blocked, "detail": detail}


def _outcome(name: str, lures: Lures) -> tuple[bool, str]:
    if PROBES[name] in _HARMFUL and os.readlink("/proc/self/ns/pid") == lures["pid_namespace"]:  # noqa: PTH115
        return False, "not tried: it would harm the machine, for nothing confines this process"
    try:
        return False, str(PROBES[name](lures))
    except (OSError, BlockedError) as err:
        return True, str(err)


def _call(function: str, *arguments: object) -> None:
    if getattr(_LIBC, function)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _read(path: str) -> str:
    Path(path).read_bytes()
    return f"read {path}"


def _write(path: str) -> str:
    """Without a trace: opened for writing is proof enough."""
    os.close(os.open(path, os.O_WRONLY))
    return f"opened {path} for writing"


def _write_visible(lures: Lures) -> str:
    Path(lures["visible"], "written").write_text("x")
    return "wrote into a folder outside the workspace"


def _write_root(_: Lures) -> str:
    path = Path("/", f"orchestrator-probe-{os.getpid()}")
    path.write_text("x")
    path.unlink()
    return "wrote into /"


def _write_home(lures: Lures) -> str:
    """The home inside is a private one; the caller looks whether the real one changed."""
    Path(lures["home"], ".bashrc").write_text("x")
    raise BlockedError("wrote into a home of its own")


def _link_in(lures: Lures) -> str:
    os.link(Path(lures["visible"], "file"), Path(lures["workspace"], "linked"))
    return "linked an outer file into the workspace"


def _connect(family: int, address: Any) -> str:
    with socket.socket(family) as client:
        client.settimeout(2)
        client.connect(address)
    return f"connected to {address!r}"


def _signal_outside(lures: Lures) -> str:
    os.kill(lures["victim"], 0)
    return "the orchestrator's process can be signalled"


def _kill_all(_: Lures) -> str:
    """The caller looks whether its victim lives."""
    with suppress(ProcessLookupError):  # nobody else is here
        os.kill(-1, signal.SIGKILL)
    raise BlockedError("killed only what is inside")


def _environ(lures: Lures) -> str:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if lures["secret"].encode() in (entry / "environ").read_bytes():
                    return "read the orchestrator's environment"
    raise BlockedError("no such process")


def _proc_root(lures: Lures) -> str:
    for pid in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208
        for way in ("root", "cwd"):
            with suppress(OSError):
                return _read(f"/proc/{pid}/{way}{lures['key']}")
    raise BlockedError("every root is this one")


def _descriptors(_: Lures) -> str:
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        with suppress(OSError):  # the listing's own descriptor is closed by now
            if stat.S_ISDIR(os.fstat(int(name)).st_mode):
                return f"descriptor {name} is an open folder"
    raise BlockedError("no open folder")


def _remount(_: Lures) -> str:
    for flags in (_MS_REMOUNT | _MS_BIND, _MS_REMOUNT):
        with suppress(OSError):
            _call("mount", b"none", b"/", None, flags, None)
            return "made / writable"
    raise BlockedError("refused")


def _mount(_: Lures) -> str:
    _call("mount", b"tmpfs", b"/mnt", b"tmpfs", 0, None)
    return "mounted a file system"


def _unmount(lures: Lures) -> str:
    _call("umount2", os.fsencode(lures["home"]), _MNT_DETACH)
    return _read(lures["key"])


def _user_namespace(lures: Lures) -> str:
    """All powers in a namespace of one's own: what was hidden or read-only must stay so."""
    uid, gid = os.getuid(), os.getgid()
    _call("unshare", _NEWUSER | _NEWNS)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    for attempt in (_remount, _unmount, _remount_visible, _write_kernel, _device, _signal_outside):
        with suppress(OSError, BlockedError):
            return f"in a user namespace: {attempt(lures)}"
    raise BlockedError("made one, and got nowhere")


def _remount_visible(lures: Lures) -> str:
    _call("mount", b"none", os.fsencode(lures["visible"]), None, _MS_REMOUNT | _MS_BIND, None)
    return _write_visible(lures)


def _ptrace(lures: Lures) -> str:
    _call("ptrace", _PTRACE_ATTACH, lures["victim"], None, None)
    return "traces the orchestrator's process"


def _device(lures: Lures) -> str:
    """The kernel's null device, which everybody may use, stands for every other."""
    path = Path(lures["workspace"], "device")
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))
    return _write(str(path))


def _block_devices(_: Lures) -> str:
    for folder in ("/dev", "/dev/mapper", "/dev/disk"):
        with suppress(FileNotFoundError):
            for entry in Path(folder).iterdir():
                if entry.is_block_device() or entry.name in ("mem", "kmsg", "kvm", "fuse"):
                    return f"{entry} is there"
    raise BlockedError("none there")


def _chroot(lures: Lures) -> str:
    os.chroot(lures["workspace"])
    return "changed its root"


def _set_uid(_: Lures) -> str:
    os.setgroups([0])
    os.setresuid(0, 0, 0)
    return "became another user"


def _write_kernel(_: Lures) -> str:
    """Only what is the whole machine's: some settings belong to the sandbox's own namespaces."""
    settings = ("kernel/core_pattern", "kernel/panic", "kernel/sysrq", "kernel/modprobe", "vm/drop_caches")
    others = ("/proc/sysrq-trigger", "/proc/mtrr", "/proc/irq/default_smp_affinity", "/sys/power/state")
    for path in (*(f"/proc/sys/{name}" for name in settings), *others):
        with suppress(OSError):
            return _write(path)
    raise BlockedError("read-only")


def _cgroup(_: Lures) -> str:
    for walked in os.walk("/sys/fs/cgroup"):
        with suppress(OSError):
            made = Path(walked[0], "orchestrator-probe")
            made.mkdir()
            made.rmdir()
            return f"made a control group in {walked[0]}"
    raise BlockedError("read-only")


def _type_into_terminal(_: Lures) -> str:
    with open("/dev/tty", "rb") as terminal:  # noqa: PTH123 (pathlib would not be shorter)
        ioctl(terminal, _TIOCSTI, array.array("b", b"x"))
    return "typed into a terminal"


PROBES: dict[str, Callable[[Lures], str]] = {
    "write a visible folder": _write_visible,
    "write /": _write_root,
    "write HOME": _write_home,
    "read a key in HOME": lambda lures: _read(lures["key"]),
    "read our state": lambda lures: _read(lures["state"]),
    "read another attempt's files": lambda lures: _read(lures["neighbour"]),
    "hard link an outer file": _link_in,
    "TCP to this machine": lambda lures: _connect(socket.AF_INET, ("127.0.0.1", lures["port"])),
    "socket file": lambda lures: _connect(socket.AF_UNIX, lures["socket"]),
    "abstract socket": lambda lures: _connect(socket.AF_UNIX, "\0" + lures["abstract"]),
    "signal the orchestrator": _signal_outside,
    "read its environment": _environ,
    "trace it": _ptrace,
    "other roots in /proc": _proc_root,
    "inherited folders": _descriptors,
    "remount /": _remount,
    "mount": _mount,
    "unmount a mask": _unmount,
    "new user namespace": _user_namespace,
    "make a device": _device,
    "disks and memory": _block_devices,
    "chroot": _chroot,
    "another user id": _set_uid,
    "kernel settings": _write_kernel,
    "control groups": _cgroup,
    "type into a terminal": _type_into_terminal,
    "kill everything": _kill_all,
}

#: Not to be tried outside a pid namespace of our own: there they would do what they try.
_HARMFUL = (_remount, _mount, _unmount, _user_namespace, _device, _chroot, _set_uid, _kill_all)

if __name__ == "__main__":
    main()
