"""What `doctor` looks at: each finding says ok, warn or fail, and how to mend it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

GIT_NEEDED = (2, 39)
PYTHON_NEEDED = (3, 11)
GIB = 1024**3
_MEND_GIT = "install git 2.39 or newer"
#: File systems on which SQLite's locks and shared memory cannot be trusted.
REMOTE_FILE_SYSTEMS = {"nfs", "nfs4", "cifs", "smbfs", "smb3", "9p", "fuse.sshfs", "afs", "ceph", "glusterfs"}
#: Coding-agent programs that a person may have.
KNOWN_PROGRAMS = (
    "claude",
    "codex",
    "gemini",
    "opencode",
    "aider",
    "goose",
    "amp",
    "cursor-agent",
    "copilot",
    "qwen",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the doctor's findings."""

    name: str
    status: Literal["ok", "warn", "fail"]
    found: str
    mend: str | None = None


def all_findings(repo: Path, home: Path) -> Iterator[Finding]:
    """Look at everything; yields as it finds."""
    yield check_python(sys.version_info[:3])
    yield check_git()
    yield check_repository(repo)
    yield check_state_folder(home)
    yield check_state_file_system(home)
    yield check_disk(_existing(home))
    yield check_cores(os.cpu_count() or 1)
    yield check_memory()
    yield check_open_files()
    yield check_pty()
    yield check_containment()
    yield check_boundary(home)
    yield check_terminal()
    yield from find_programs()


def check_python(version: tuple[int, ...]) -> Finding:
    found = ".".join(map(str, version))
    if version < PYTHON_NEEDED:
        return Finding(name="python", status="fail", found=found, mend="install Python 3.11 or newer")
    return Finding(name="python", status="ok", found=f"{found} ({sys.executable})")


def check_git() -> Finding:
    try:
        text = subprocess.run(
            ["git", "--version"], capture_output=True, text=True, check=True, timeout=10
        ).stdout
    except (OSError, subprocess.SubprocessError) as err:
        return Finding(name="git", status="fail", found=f"does not run: {err}", mend=_MEND_GIT)
    return judge_git(text.strip())


def judge_git(text: str) -> Finding:
    """Judge the line that `git --version` printed."""
    numbers = re.search(r"(\d+)\.(\d+)", text)
    if not numbers or tuple(map(int, numbers.groups())) < GIT_NEEDED:
        return Finding(name="git", status="fail", found=text, mend=_MEND_GIT)
    return Finding(name="git", status="ok", found=text.removeprefix("git version "))


def check_repository(repo: Path) -> Finding:
    from orchestrator.errors import OrchestratorError
    from orchestrator.git.repository import open_repository

    try:
        found = open_repository(repo)
    except OrchestratorError as err:
        return Finding(name="repository", status="warn", found=err.message, mend=err.hint)
    notes = "".join(f"; {warning}" for warning in found.warnings)
    return Finding(name="repository", status="ok", found=f"{found.root}{notes}")


def check_state_folder(home: Path) -> Finding:
    mend = "set ORCHESTRATOR_HOME to a folder that you can write"
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home) as file:
            file.write(b"x")
    except OSError as err:
        return Finding(name="state folder", status="fail", found=f"{home}: {err.strerror}", mend=mend)
    return Finding(name="state folder", status="ok", found=str(home))


def check_state_file_system(home: Path) -> Finding:
    kind = file_system_of(_existing(home))
    if kind in REMOTE_FILE_SYSTEMS:
        mend = "set ORCHESTRATOR_HOME to a folder on a local disk: the journal's locks need one"
        return Finding(name="file system", status="fail", found=f"{home} is on {kind}", mend=mend)
    return Finding(name="file system", status="ok", found=kind or "unknown, taken for local")


def file_system_of(path: Path) -> str | None:
    """The type of the file system that holds `path`; None where the system does not tell."""
    import psutil

    best: tuple[str, str | None] = ("", None)
    for part in psutil.disk_partitions(all=True):
        if path.is_relative_to(part.mountpoint) and len(part.mountpoint) >= len(best[0]):
            best = (part.mountpoint, part.fstype)
    return best[1]


def check_disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free / GIB
    found = f"{free:.1f} GiB free for workspaces and logs"
    if free < 1:
        mend = "free some, run `orchestrator gc`, or set ORCHESTRATOR_HOME to a larger disk"
        return Finding(name="disk", status="fail" if free < 0.1 else "warn", found=found, mend=mend)
    return Finding(name="disk", status="ok", found=found)


def check_cores(cores: int) -> Finding:
    if cores < 2:
        return Finding(name="cores", status="warn", found=str(cores), mend="expect agents to slow each other")
    return Finding(name="cores", status="ok", found=str(cores))


def check_memory() -> Finding:
    import psutil

    memory = psutil.virtual_memory()
    found = f"{memory.available / GIB:.1f} of {memory.total / GIB:.1f} GiB available"
    if memory.available < GIB:
        return Finding(name="memory", status="warn", found=found, mend="run fewer workers: `--max-workers 1`")
    return Finding(name="memory", status="ok", found=found)


def check_open_files() -> Finding:
    try:
        import resource
    except ImportError:
        return Finding(name="open files", status="ok", found="no limit on this system")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    found = f"{soft} allowed (up to {'any number' if hard == resource.RLIM_INFINITY else hard})"
    if soft < 1024:
        return Finding(name="open files", status="warn", found=found, mend="raise it: `ulimit -n 4096`")
    return Finding(name="open files", status="ok", found=found)


def check_pty() -> Finding:
    try:
        import pty
    except ImportError:
        return Finding(name="pty", status="fail", found="none on this system", mend="use Linux, macOS or WSL")
    try:
        for end in pty.openpty():
            os.close(end)
    except OSError as err:
        return Finding(
            name="pty", status="fail", found=str(err), mend="mount /dev/pts or raise kernel.pty.max"
        )
    return Finding(name="pty", status="ok", found="opens")


def check_containment() -> Finding:
    """Whether every descendant of an agent can be found and ended, wherever it hides."""
    if sys.platform != "linux":
        found = f"{platform.system()}: a process that leaves its group and its parent may escape a stop"
        return Finding(name="containment", status="warn", found=found, mend="use Linux where that matters")
    if not Path("/proc/self/stat").exists():
        return Finding(
            name="containment", status="fail", found="/proc is missing", mend="mount -t proc proc /proc"
        )
    return _check_subreaper()


def _check_subreaper() -> Finding:
    import ctypes

    get_child_subreaper = 37
    answer = ctypes.c_int()
    if ctypes.CDLL(None, use_errno=True).prctl(get_child_subreaper, ctypes.byref(answer)) != 0:
        mend = "use a kernel and a container that allow PR_SET_CHILD_SUBREAPER"
        return Finding(name="containment", status="fail", found="no subreaper", mend=mend)
    return Finding(name="containment", status="ok", found="/proc and subreaper")


def check_boundary(home: Path) -> Finding:
    """Whether runs have a sandbox here; the first look after a boot makes real attempts to get out of one."""
    from orchestrator.sandbox.choose import choose_sandbox, tested

    try:
        choice = choose_sandbox("auto", state_home=home)
    except OSError as err:
        found = f"the self-test cannot be kept: {err}"
        return Finding(name="boundary", status="warn", found=found, mend="mend the state folder first")
    if choice.bwrap is None:
        found = f"no sandbox: agents run with your rights ({choice.reason})"
        mend = "install bubblewrap 0.8 or newer" if "not installed" in choice.reason else None
        return Finding(name="boundary", status="warn", found=found, mend=mend)
    version = subprocess.run(
        [choice.bwrap, "--version"], capture_output=True, text=True, check=False, timeout=10
    ).stdout.strip()
    probes = len(tested(choice.bwrap, home).probes)
    found = f"sandboxed by {version}: {probes} of {probes} checks of its self-test hold"
    return Finding(name="boundary", status="ok", found=found)


def check_terminal() -> Finding:
    if not sys.stderr.isatty():
        return Finding(name="terminal", status="ok", found="none: progress comes as plain lines")
    size = shutil.get_terminal_size()
    return Finding(
        name="terminal", status="ok", found=f"{os.environ.get('TERM', '')} {size.columns}x{size.lines}"
    )


def find_programs() -> Iterator[Finding]:
    """Coding agents on PATH, as information: that one is here does not say that this version drives it."""
    for name in KNOWN_PROGRAMS:
        if path := shutil.which(name):
            yield Finding(name=name, status="ok", found=f"found at {path}")


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)
