"""The seed's design as a contender: a thread per worker, each waiting on a pexpect child."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pexpect  # type: ignore[import-untyped]  # it brings no types

from benchmarks.makespan.jobs import Account, Job
from benchmarks.makespan.workloads import git, lost_lines


def main(job_file: str, account_file: str) -> None:
    """Run the job: from tasks in hand to results in hand. Worktrees are made one after the other."""
    job = Job.load(Path(job_file))
    _raise_descriptor_limit()
    own, children, began = _cpu(resource.RUSAGE_SELF), _cpu(resource.RUSAGE_CHILDREN), time.monotonic()
    folders = [_workspace(job, name) for name in job.ids]
    with ThreadPoolExecutor(max_workers=job.slots) as pool:
        ends = list(pool.map(lambda number: _work(job, number, folders[number]), range(len(folders))))
    wall = time.monotonic() - began
    Account(
        wall=wall,
        cpu_own=_cpu(resource.RUSAGE_SELF) - own,
        cpu_children=_cpu(resource.RUSAGE_CHILDREN) - children,
        lost_lines=sum(lost_lines([name], end[0]) for name, end in zip(job.ids, ends, strict=True)),
        failed=sum(status != 0 for _, status in ends),
    ).save(Path(account_file))


def _workspace(job: Job, name: str) -> Path:
    if not job.repo:
        return Path(job.scratch)
    folder = Path(job.scratch) / name
    git(Path(job.repo), "worktree", "add", "-q", "-b", f"pool/{name}", str(folder))
    return folder


def _work(job: Job, number: int, folder: Path) -> tuple[bytes, int | None]:
    """`use_poll`: without it pexpect fails on descriptors above 1023."""
    child = pexpect.spawn(
        job.program, job.arguments(number), timeout=None, use_poll=True, cwd=str(folder), encoding=None
    )
    child.expect(pexpect.EOF)
    output = child.before
    child.close()
    status = child.exitstatus
    if job.repo:
        status = status or _keep(Path(job.repo), folder, job.ids[number])
    return output, status


def _keep(repo: Path, folder: Path, name: str) -> int:
    """Commit the work and remove the worktree. Several at once may fail in git itself: that worker failed."""
    try:
        git(folder, "add", "-A")
        git(folder, "commit", "-q", "-m", name)
        git(repo, "worktree", "remove", "--force", str(folder))
    except subprocess.CalledProcessError as err:
        print(f"{name}: {err.stderr}", file=sys.stderr)
        return 1
    return 0


def _raise_descriptor_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _cpu(who: int) -> float:
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
