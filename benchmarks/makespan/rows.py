"""One row of raw figures: a contender does a job in a fresh process and a fresh folder."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.makespan.contenders import Contender
from benchmarks.makespan.jobs import Job, load_account
from benchmarks.makespan.measure import MidRunMemory, OvertimeError, measure
from benchmarks.makespan.workloads import build_program, lost_files, lost_lines, make_repository

#: How long a contender may take beyond its workers' own time.
_LIMIT_S = 30.0
_LIMIT_PER_WORKER_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is measured, whoever does it."""

    table: str  #: `makespan`, `memory`, `sequential`, `parallel` or `microblog`
    durations: Sequence[float]
    slots: int
    terminal: bool = False
    worktrees: bool = False

    @property
    def ideal(self) -> float:
        """The wall time without any overhead, slots being filled in order."""
        free = [0.0] * self.slots
        for duration in self.durations:
            free[free.index(min(free))] += duration
        return max(free)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What all rows share. The caller removes `folder`, with all that the rows left, at the very end:

    ext4 avoids the inodes of files deleted a short while ago, which makes new ones several times dearer,
    so that each row would pay for the one before.
    """

    folder: Path
    program: Path
    template: Path  #: the repository that every row with worktrees gets a copy of


def run_case(case: Case, contender: Contender, ground: Ground) -> dict[str, Any]:
    """Run it and return the row. A contender that does not end in time gives a row with a `fault`."""
    folder = Path(tempfile.mkdtemp(dir=ground.folder))
    job = _job(case, folder, ground)
    job.save(folder / "job.json")
    row = {
        "table": case.table,
        "contender": contender.name,
        "count": len(case.durations),
        "slots": case.slots,
        "channel": "pty" if case.terminal else "pipe",
        "worktrees": case.worktrees,
        "sum": sum(case.durations),
        "longest": max(case.durations),
        "ideal": case.ideal,
        "load": os.getloadavg()[0],
    }
    try:
        return row | _figures(case, contender, job, folder)
    except OvertimeError as err:
        return row | {"fault": str(err)}


def _job(case: Case, folder: Path, ground: Ground) -> Job:
    scratch = folder / "scratch"
    scratch.mkdir()
    if case.worktrees:
        shutil.copytree(ground.template, folder / "repo", symlinks=True)
    return Job(
        program=str(ground.program),
        durations=case.durations,
        slots=case.slots,
        terminal=case.terminal,
        repo=str(folder / "repo") if case.worktrees else None,
        scratch=str(scratch),
    )


def _figures(case: Case, contender: Contender, job: Job, folder: Path) -> dict[str, Any]:
    memory = MidRunMemory(case.ideal)  # the workers began later than the process, so none has ended
    measured = measure(
        contender.command(job, folder),
        env=_environment(folder),
        folder=folder,
        feed="".join(f"{name}\n" for name in job.ids),
        limit_s=case.ideal + _LIMIT_S + _LIMIT_PER_WORKER_S * len(case.durations),
        **({"watch": memory} if case.table == "memory" else {}),
    )
    figures = {"process_wall": measured.wall} | asdict(measured) | _account(contender, job, folder)
    if said := (folder / "stderr").read_text(errors="replace"):
        figures["said"] = said[-1000:]
    if contender.accounts and measured.exit_code != 0:
        figures["fault"] = f"ended with status {measured.exit_code}"
    if job.repo:
        figures["lost_files"] = lost_files(Path(job.repo), job.ids)
    if case.table == "memory":
        figures |= {"live": memory.live, "pss_own": memory.own, "pss_others": memory.others}
    return figures


def _account(contender: Contender, job: Job, folder: Path) -> dict[str, Any]:
    """Without an account the process's own start is part of the run, as it is for who uses the tool."""
    if not contender.accounts:
        output = (folder / "stdout").read_bytes()
        incomplete = sum(lost_lines([name], output) > 0 for name in job.ids)
        return {"lost_lines": lost_lines(job.ids, output), "failed": incomplete}
    if not (folder / "account.json").exists():
        return {"lost_lines": lost_lines(job.ids, b""), "failed": len(job.ids)}
    account = load_account(folder / "account.json")
    account["run_cpu_own"] = account.pop("cpu_own")
    account["run_cpu_children"] = account.pop("cpu_children")
    return account


def _environment(folder: Path) -> dict[str, str]:
    """Nothing of the user's settings, and nothing left outside the row's folder."""
    (folder / "tmp").mkdir()
    config = folder / "gitconfig"
    config.write_text("[user]\n\tname = Benchmark\n\temail = benchmark@localhost\n")
    root = Path(__file__).parents[2]
    return {
        **{name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ},
        "HOME": str(folder),
        "TMPDIR": str(folder / "tmp"),
        "ORCHESTRATOR_HOME": str(folder / "home"),
        "PARALLEL_HOME": str(folder / "parallel"),
        "PYTHONPATH": str(root),
        "GIT_CONFIG_GLOBAL": str(config),
        "GIT_CONFIG_NOSYSTEM": "1",
    }


def make_ground(folder: Path) -> tuple[Ground, str]:
    """Make what all rows share; say what the worker program is."""
    program, kind = build_program(folder)
    template = folder / "template"
    template.mkdir()
    make_repository(template)
    return Ground(folder=folder, program=program, template=template), kind
