"""Proof that the sandbox holds on this machine: real attempts to get out, and what came of each."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import OrchestratorError
from orchestrator.model.confinement import Confinement
from orchestrator.sandbox import probes
from orchestrator.sandbox.confine import BubblewrapSandbox
from orchestrator.sandbox.surface import look_around

_LIMIT_S = 20.0
_WORKS = "works at all"


@dataclass(frozen=True, slots=True)
class Probe:
    """One attempt to get out."""

    name: str
    blocked: bool
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTest:
    """What became of all of them."""

    passed: bool
    probes: tuple[Probe, ...]

    @property
    def fault(self) -> str | None:
        """The first reason not to trust the sandbox."""
        return next((f"{probe.name}: {probe.detail}" for probe in self.probes if not probe.blocked), None)


def run_selftest(bwrap: Path) -> SelfTest:
    """Try every probe in a sandbox made as those of runs are. Takes about half a second; blocks."""
    try:
        with _stage() as stage:
            found = [*stage.attack(bwrap), *stage.damage()]
    except (OSError, subprocess.SubprocessError, OrchestratorError) as err:
        found = [Probe(_WORKS, False, str(err))]
    return SelfTest(passed=all(probe.blocked for probe in found), probes=tuple(found))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stage:
    """A home, a state folder, a workspace, listeners and a victim: what an escape would reach."""

    root: Path
    lures: dict[str, Any]
    victim: subprocess.Popen[bytes]
    listeners: tuple[socket.socket, ...]

    def attack(self, bwrap: Path) -> list[Probe]:
        place = Confinement(
            workspace=self.root / "workspace",
            tmp_dir=self.root / "tmp" / "run" / "attempt",
            prompt_file=self.root / "state" / "prompt.md",
        )
        env = {**os.environ, "HOME": str(self.root / "home"), "PATH": os.environ.get("PATH", os.defpath)}
        surface = look_around(
            env,
            state_home=self.root / "state",
            run_tmp=self.root / "tmp" / "run",
            readable=[str(self.root / "visible")],
        )
        sandbox = BubblewrapSandbox(bwrap=bwrap, surface=surface, share_network=False)
        script = [sys.executable, "-I", "-S", probes.__file__, json.dumps(self.lures)]
        argv = sandbox.confine(place, env)(script)
        done = subprocess.run(
            argv,
            cwd=place.workspace,
            env={"PATH": env["PATH"]},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_LIMIT_S,
            check=False,
            start_new_session=True,
        )
        found = [Probe(**json.loads(line)) for line in done.stdout.splitlines()]
        whole = done.returncode == 0 and [probe.name for probe in found] == list(probes.PROBES)
        words = done.stderr.decode(errors="replace").strip() or f"ended with status {done.returncode}"
        return [Probe(_WORKS, whole, "every probe ran" if whole else words), *found]

    def damage(self) -> Iterator[Probe]:
        """Look from outside, whatever the probes said."""
        untouched = (self.root / "home" / ".bashrc").read_text() == "mine"
        yield Probe("HOME as it was", untouched, "unchanged" if untouched else "changed")
        alone = sorted(entry.name for entry in (self.root / "visible").iterdir()) == ["file"]
        yield Probe("visible folder as it was", alone, "unchanged" if alone else "changed")
        lives = self.victim.poll() is None
        yield Probe("outer processes live", lives, "unharmed" if lives else "killed")
        callers = [listener for listener in self.listeners if _was_called(listener)]
        yield Probe("nobody called", not callers, f"{len(callers)} connections")


def _was_called(listener: socket.socket) -> bool:
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True


@contextmanager
def _stage() -> Iterator[_Stage]:
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="orch-probe-"))).resolve()
        secret = secrets.token_hex(16)
        _furnish(root, secret)
        tcp = _listen(stack, socket.AF_INET, ("127.0.0.1", 0))
        files = _listen(stack, socket.AF_UNIX, str(root / "home" / "docker.sock"))
        abstract = _listen(stack, socket.AF_UNIX, f"\0{secret}")
        victim = stack.enter_context(
            subprocess.Popen(["sleep", str(_LIMIT_S)], env={"SECRET": secret, "PATH": os.defpath})
        )
        stack.callback(victim.kill)
        lures = {
            "home": str(root / "home"),
            "key": str(root / "home" / ".ssh" / "id_ed25519"),
            "state": str(root / "state" / "journal"),
            "neighbour": str(root / "tmp" / "run" / "other" / "file"),
            "visible": str(root / "visible"),
            "workspace": str(root / "workspace"),
            "port": tcp.getsockname()[1],
            "socket": str(root / "home" / "docker.sock"),
            "abstract": secret,
            "victim": victim.pid,
            "secret": secret,
            "pid_namespace": str(Path("/proc/self/ns/pid").readlink()),
        }
        yield _Stage(root=root, lures=lures, victim=victim, listeners=(tcp, files, abstract))


def _furnish(root: Path, secret: str) -> None:
    for folder in ("home/.ssh", "state", "tmp/run/attempt", "tmp/run/other", "visible", "workspace"):
        (root / folder).mkdir(parents=True)
    for name in ("home/.ssh/id_ed25519", "state/journal", "state/prompt.md", "tmp/run/other/file"):
        (root / name).write_text(secret)
    (root / "home" / ".bashrc").write_text("mine")
    (root / "visible" / "file").write_text("mine")


def _listen(stack: ExitStack, family: int, address: Any) -> socket.socket:
    listener = stack.enter_context(socket.socket(family))
    listener.bind(address)
    listener.listen()
    listener.setblocking(False)
    return listener
