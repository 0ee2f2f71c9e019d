"""The contenders: how each is asked to do a job, and which of them this machine has."""

from __future__ import annotations

import importlib.util
import shlex
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.makespan.jobs import Job

PRODUCT = "orchestrator"

#: A worker with a worktree of its own, as one would write it for xargs or parallel.
_WORKTREE_JOB = """set -e
git -C {repo} worktree add -q -b "peer/$1" {trees}/"$1"
cd {trees}/"$1"
{program} "$1" {seconds} "$1.txt"
git add -A
git commit -q -m "$1"
cd /
git -C {repo} worktree remove --force {trees}/"$1"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A way of running many workers at once."""

    name: str
    command: Callable[[Job, Path], list[str]]  #: given the job and the folder that holds `job.json`
    pipes: bool = True
    terminals: bool = True
    accounts: bool = False  #: a Python program that leaves an Account; else its stdout is all output
    missing: Callable[[], str | None] = lambda: None  #: why this machine cannot run it


def _module(name: str) -> Callable[[Job, Path], list[str]]:
    def command(_: Job, folder: Path) -> list[str]:
        return [sys.executable, "-m", name, str(folder / "job.json"), str(folder / "account.json")]

    return command


def _parallel(job: Job, folder: Path) -> list[str]:
    return ["parallel", "--will-cite", "-j", str(job.slots), *_each(job, folder)]


def _xargs(job: Job, folder: Path) -> list[str]:
    return ["xargs", "-P", str(job.slots), "-I", "{}", *_each(job, folder)]


def _each(job: Job, folder: Path) -> list[str]:
    """One worker, its name to be put in for `{}`. All are of equal length: these tools know no others."""
    seconds = str(job.durations[0])
    if not job.repo:
        return [job.program, "{}", seconds]
    script = folder / "worker.sh"
    trees = folder / "trees"
    trees.mkdir()
    quoted = {key: shlex.quote(str(value)) for key, value in (("repo", job.repo), ("trees", trees))}
    script.write_text(_WORKTREE_JOB.format(**quoted, program=shlex.quote(job.program), seconds=seconds))
    return ["/bin/sh", str(script), "{}"]


def _needs_program(name: str, hint: str) -> Callable[[], str | None]:
    return lambda: None if shutil.which(name) else f"`{name}` is not installed ({hint})"


def _needs_pexpect() -> str | None:
    return None if importlib.util.find_spec("pexpect") else "pexpect is not installed"


CONTENDERS = (
    Contender(name=PRODUCT, command=_module("benchmarks.makespan.product"), accounts=True),
    Contender(
        name="xargs -P",
        command=_xargs,
        terminals=False,
        missing=_needs_program("xargs", "Debian package findutils"),
    ),
    Contender(
        name="pexpect threads",
        command=_module("benchmarks.makespan.seed_pool"),
        pipes=False,
        accounts=True,
        missing=_needs_pexpect,
    ),
    Contender(
        name="GNU parallel",
        command=_parallel,
        terminals=False,
        missing=_needs_program("parallel", "Debian package parallel"),
    ),
)


def present_contenders() -> tuple[list[Contender], list[str]]:
    """Return those that can run here, and a line for each that is left out."""
    faults = {contender.name: contender.missing() for contender in CONTENDERS}
    present = [contender for contender in CONTENDERS if not faults[contender.name]]
    return present, [f"{name} is left out: {fault}" for name, fault in faults.items() if fault]
