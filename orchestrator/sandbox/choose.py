"""Decides whether there is a sandbox here that can be trusted, and remembers the self-test that says so."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from orchestrator.errors import InputError
from orchestrator.sandbox.selftest import Probe, SelfTest, run_selftest
from orchestrator.state_file import write_state_file

_PROGRAM = "bwrap"
_ENV = Path("/usr/bin/env")
#: Settings and facts of the kernel that decide whether namespaces may be made.
_KERNEL_FACTS = (
    "/proc/sys/kernel/random/boot_id",
    "/proc/sys/user/max_user_namespaces",
    "/proc/sys/kernel/unprivileged_userns_clone",
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
)
_INSTALL = "install bubblewrap 0.8 or newer (`apt install bubblewrap`, `dnf install bubblewrap`)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The program to confine with, or why there is none."""

    bwrap: Path | None
    reason: str  #: why there is no sandbox; empty with one


def choose_sandbox(setting: str, *, state_home: Path) -> Choice:
    """Settle `auto`, `on` or `off`. Raises InputError when `on` cannot be kept."""
    if setting == "off":
        return Choice(bwrap=None, reason="sandbox: off")
    bwrap, lack = find_bubblewrap()
    if bwrap is not None:
        lack = tested(bwrap, state_home).fault or ""
        if not lack:
            return Choice(bwrap=bwrap, reason="")
    if setting == "on":
        raise InputError(
            f"sandbox: `on` cannot be kept here: {lack}",
            hint=f"{_INSTALL if bwrap is None else 'see `orchestrator doctor`'}, or use `auto` or `off`",
        )
    return Choice(bwrap=None, reason=lack)


def find_bubblewrap() -> tuple[Path | None, str]:
    """Return the program, or why it cannot be used."""
    if sys.platform != "linux":
        return None, "bubblewrap is for Linux only"
    found = shutil.which(_PROGRAM)
    if found is None:
        return None, "bubblewrap is not installed"
    if not _can_set_signals():
        return None, f"{_ENV} is not of GNU coreutils 8.31 or newer"
    return Path(found).absolute(), ""


@lru_cache(maxsize=1)
def _can_set_signals() -> bool:
    argv = [str(_ENV), "--ignore-signal=TERM", str(_ENV), "--default-signal=TERM", "true"]
    try:
        return subprocess.run(argv, capture_output=True, check=False, timeout=10).returncode == 0
    except OSError:
        return False


def tested(bwrap: Path, state_home: Path) -> SelfTest:
    """Return the self-test's outcome: a recorded pass of this boot with the same program, or a new test."""
    record = state_home / "sandbox-selftest.json"
    key = _key(bwrap)
    known = _recorded(record, key)
    if known is not None:
        return known
    outcome = run_selftest(bwrap)
    if outcome.passed:
        _record(record, {"key": key, "probes": [asdict(probe) for probe in outcome.probes]})
    return outcome


def _key(bwrap: Path) -> str:
    """Changes whenever the outcome could."""
    found = bwrap.stat()
    facts: list[object] = [str(bwrap), found.st_ino, found.st_size, found.st_mtime_ns]
    facts += [path.read_text() for path in sorted(Path(__file__).parent.glob("*.py"))]
    facts += [os.getuid(), sys.executable, os.uname().release]
    for name in _KERNEL_FACTS:
        path = Path(name)
        facts.append(path.read_text() if path.exists() else "")
    for name in ("user", "mnt", "pid", "net"):
        facts.append(str(Path("/proc/self/ns", name).readlink()))
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _recorded(record: Path, key: str) -> SelfTest | None:
    try:
        document = json.loads(record.read_bytes())
        if document["key"] != key:
            return None
        probes = tuple(Probe(**probe) for probe in document["probes"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # none yet, or of another version
    return SelfTest(passed=True, probes=probes)


def _record(record: Path, document: Mapping[str, Any]) -> None:
    record.parent.mkdir(parents=True, exist_ok=True)
    write_state_file(record, json.dumps(document).encode())
