"""Git of ours killed in the middle: what comes next works, and no lock goes while its owner lives."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import GitError, WorkspaceError
from orchestrator.git import locks
from orchestrator.ports import Workspace, Workspaces
from tests.integration.clone_fixtures import clones
from tests.integration.git_fixtures import commit_files, fingerprint, git, make_repository, workspaces

KILLS = int(os.environ.get("GIT_KILLS", "20"))
LONGEST_S = 0.008  #: most of our git commands take less than that


class Killer:
    """Puts a `git` before the real one; once armed, one that takes long enough is killed in the middle."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        folder.mkdir()
        self.delay, self.rng = folder / "delay", rng
        real = shutil.which("git")
        self.count = folder / "count"
        (folder / "git").write_text(
            "#!/bin/sh\n"
            f"if [ -e {self.delay} ]; then\n"
            f"  read -r delay < {self.delay}\n"
            f'  (exec >/dev/null 2>&1 </dev/null; sleep "$delay"; mv {self.delay} {folder}/done || exit; '
            f"kill -9 $$ && echo >> {self.count} || mv {folder}/done {self.delay}) &\n"
            "fi\n"
            f'exec {real} "$@"\n'
        )
        (folder / "git").chmod(0o755)
        self.folder = folder

    def arm(self) -> None:
        self.delay.write_text(f"{self.rng.uniform(0, LONGEST_S):.4f}\n")

    def disarm(self) -> None:
        self.delay.unlink(missing_ok=True)

    def end(self) -> None:
        """Let PATH lead to git itself: a timer that missed its git may just be arming the next one."""
        (self.folder / "git").unlink()

    @property
    def kills(self) -> int:
        return len(self.count.read_text().splitlines()) if self.count.exists() else 0


@pytest.fixture
def killer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Killer]:
    seed = int(os.environ.get("KILLS_SEED") or random.randrange(2**32))
    print(f"KILLS_SEED={seed}")
    made = Killer(tmp_path / "bin", random.Random(seed))
    monkeypatch.setenv("PATH", f"{made.folder}{os.pathsep}{os.environ['PATH']}")
    yield made
    made.disarm()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("isolation", ["worktree", "clone"])
def test_whatever_git_was_killed_in_the_next_operation_succeeds(
    tmp_path: Path, killer: Killer, isolation: str
) -> None:
    repo = make_repository(tmp_path / "repo", {f"d{n % 7}/f{n}.txt": f"{n}\n" for n in range(60)})
    git(repo, "pack-refs", "--all")  # so that deleting a branch locks the packed ones too
    before = fingerprint(repo)
    with ExitStack() as stack:
        opening: Any = workspaces if isolation == "worktree" else clones
        made: Workspaces = stack.enter_context(opening(repo, tmp_path / "workspaces"))
        number = 0
        while killer.kills < KILLS:
            number += 1
            assert number < 40 * KILLS, f"only {killer.kills} kills landed"
            asyncio.run(_a_worker(made, killer, f"w{number}"))
    killer.end()
    assert git(repo, "fsck", "--strict", "--no-dangling") == ""
    assert sorted((repo / ".git").rglob("*.lock")) == []
    assert fingerprint(repo) == before
    branches = git(repo, "for-each-ref", "--format=%(refname)", "refs/heads/orchestrator").splitlines()
    assert len(branches) == number
    for branch in branches:
        assert git(repo, "show", f"{branch}:work.txt") == branch.rpartition("/")[2].partition("@")[0]
    print(f"{killer.kills} kills of git over {number} workers, {isolation}")


async def _a_worker(made: Workspaces, killer: Killer, worker: str) -> None:
    """Each operation under fire, then again in peace, as the next attempt would."""
    killer.arm()
    try:
        workspace = await made.create(worker, 1, ())
    except (WorkspaceError, GitError):
        killer.disarm()
        workspace = await made.create(worker, 2, ())
    killer.disarm()
    (workspace.path / "work.txt").write_text(f"{worker}\n")
    await _tried(killer, workspace, "commit")
    assert await workspace.files_changed() == ("work.txt",)
    await _tried(killer, workspace, "remove")


async def _tried(killer: Killer, workspace: Workspace, operation: str) -> None:
    async def once() -> object:
        if operation == "commit":
            return await workspace.commit("Work")
        return await workspace.remove()

    killer.arm()
    try:
        await once()
    except (WorkspaceError, GitError):
        killer.disarm()
        await once()
    killer.disarm()


HOLDER = """
import os, sys, time
os.open(sys.argv[1], os.O_CREAT | os.O_EXCL | os.O_WRONLY)
print("held", flush=True)
time.sleep(60)
"""


def test_a_lock_whose_owner_lives_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "PATIENCE_S", 0.2)
    repo = make_repository(tmp_path / "repo")
    with workspaces(repo, tmp_path / "workspaces") as made:
        workspace = asyncio.run(made.create("w", 1, ()))
        lock = repo / ".git" / "refs" / "heads" / f"{workspace.branch}.lock"
        commit_files(workspace.path, {"b.txt": "b\n"})
        (workspace.path / "c.txt").write_text("c\n")
        with subprocess.Popen([sys.executable, "-c", HOLDER, str(lock)], stdout=subprocess.PIPE) as holder:
            assert holder.stdout
            holder.stdout.readline()
            with pytest.raises(WorkspaceError, match=rf"held by process {holder.pid}"):
                asyncio.run(workspace.commit("Work"))
            assert lock.exists()
            holder.kill()
        asyncio.run(workspace.commit("Work"))
        assert not lock.exists()
        assert asyncio.run(workspace.files_changed()) == ("b.txt", "c.txt")


def test_a_lock_that_is_let_go_soon_is_waited_for(tmp_path: Path) -> None:
    lock = tmp_path / "x.lock"
    code = HOLDER.replace("time.sleep(60)", "time.sleep(0.2); os.unlink(sys.argv[1])")
    with subprocess.Popen([sys.executable, "-c", code, str(lock)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        holder.stdout.readline()
        locks.clear_stale_lock(lock)
        assert not lock.exists()
