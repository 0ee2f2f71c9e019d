"""Nothing that a workspace holds is lost when it goes: what no branch has is kept in a ref of its own."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.errors import WorkspaceError
from orchestrator.git.repository import open_repository
from orchestrator.workspaces.checkout import WorktreeWorkspace
from orchestrator.workspaces.leftovers import remove_leftovers
from orchestrator.workspaces.own_clone import CloneWorkspace
from tests.integration.clone_fixtures import clones, skip_without_overlays
from tests.integration.git_fixtures import (
    AUTHOR,
    commit_files,
    fingerprint,
    git,
    make_repository,
    workspaces,
    write_files,
)

REF = "refs/orchestrator/salvage/run-1/worker@1"
BASE = {"a.txt": "a\n", "b.txt": "b\n", ".gitignore": "*.log\nvendor/\n.env\n"}
Either = WorktreeWorkspace | CloneWorkspace


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = make_repository(tmp_path / "repo", BASE)
    (folder / ".env").write_text("TOKEN=secret\n")
    return folder


@pytest.fixture(params=["worktree", "clone", "overlay"])
def kind(tmp_path: Path, request: pytest.FixtureRequest) -> str:
    if request.param == "overlay":
        skip_without_overlays(tmp_path)
    return request.param


@contextmanager
def made(folder: Path, place: Path, kind: str, *, ignored: bool = False) -> Iterator[Either]:
    copy = {"copy_files": (".env",), "salvage_ignored": ignored}
    if kind == "worktree":
        with workspaces(folder, place, **copy) as all_of_them:
            yield asyncio.run(all_of_them.create("worker", 1, ()))
    else:
        with clones(folder, place, overlay=kind == "overlay", **copy) as all_of_them:
            yield asyncio.run(all_of_them.create("worker", 1, ()))


@pytest.fixture
def workspace(folder: Path, tmp_path: Path, kind: str) -> Iterator[Either]:
    """A fresh workspace; what is the user's stays as it was, and every object is there."""
    before = fingerprint(folder)
    with made(folder, tmp_path / "workspaces", kind) as workspace:
        yield workspace
    assert git(folder, "fsck", "--strict", "--no-dangling") == ""
    assert fingerprint(folder) == before


def salvage_refs(folder: Path) -> list[str]:
    return git(folder, "for-each-ref", "--format=%(refname)", "refs/orchestrator").splitlines()


def names(folder: Path, commit: str) -> list[str]:
    return git(folder, "ls-tree", "-r", "--name-only", commit).splitlines()


def test_what_is_on_the_branch_needs_no_salvage(folder: Path, workspace: Either) -> None:
    write_files(workspace.path, {"a.txt": "changed\n", "new.txt": "new\n"})
    asyncio.run(workspace.commit("Work"))
    assert asyncio.run(workspace.remove()) is None
    assert salvage_refs(folder) == []
    assert not workspace.path.exists()


def test_an_untouched_workspace_needs_none(folder: Path, workspace: Either) -> None:
    assert asyncio.run(workspace.remove()) is None
    assert salvage_refs(folder) == []


def test_tracked_untracked_and_staged_are_kept_apart(folder: Path, workspace: Either) -> None:
    write_files(workspace.path, {"a.txt": "staged\n", "added.txt": "added\n"})
    git(workspace.path, "add", "a.txt", "added.txt")
    write_files(workspace.path, {"a.txt": "edited after that\n", "deep/new.txt": "new\n"})
    (workspace.path / "b.txt").unlink()
    (workspace.path / "noise.log").write_text("ignored\n")
    index = git(workspace.path, "ls-files", "--stage")
    salvaged = asyncio.run(workspace.remove())
    assert salvaged is not None
    assert (salvaged.ref, salvaged.files) == (REF, 4)
    assert git(folder, "rev-parse", REF) == salvaged.commit
    assert git(folder, "rev-parse", f"{REF}^1") == workspace.start_commit
    assert names(folder, REF) == [".gitignore", "a.txt", "added.txt", "deep/new.txt"]
    assert git(folder, "show", f"{REF}:a.txt") == "edited after that"
    assert git(folder, "ls-tree", "-r", f"{REF}^2").replace(" blob ", " ").split() == [
        word for line in index.splitlines() for word in (*line.split()[:2], line.split()[3])
    ]
    assert git(folder, "show", f"{REF}^2:a.txt") == "staged"
    assert not workspace.path.exists()


def test_git_stash_apply_takes_it(folder: Path, tmp_path: Path, kind: str) -> None:
    with made(folder, tmp_path / "workspaces", kind) as workspace:
        write_files(workspace.path, {"a.txt": "changed\n", "new.txt": "new\n"})
        asyncio.run(workspace.remove())
    git(folder, "stash", "apply", "--quiet", REF)
    assert (folder / "a.txt").read_text() == "changed\n"
    assert (folder / "new.txt").read_text() == "new\n"


def test_staged_work_that_the_commit_would_run_over_is_kept(folder: Path, workspace: Either) -> None:
    write_files(workspace.path, {"a.txt": "good, staged\n"})
    git(workspace.path, "add", "a.txt")
    write_files(workspace.path, {"a.txt": "worse\n"})
    tip = asyncio.run(workspace.commit("Work"))
    assert git(folder, "show", f"{tip}:a.txt") == "worse"
    assert git(folder, "show", f"{REF}^2:a.txt") == "good, staged"
    assert asyncio.run(workspace.remove()) is None


def test_staging_what_is_committed_then_is_nothing_to_keep(folder: Path, workspace: Either) -> None:
    write_files(workspace.path, {"a.txt": "changed\n", "new.txt": "new\n"})
    git(workspace.path, "add", "a.txt")
    asyncio.run(workspace.commit("Work"))
    assert asyncio.run(workspace.remove()) is None
    assert salvage_refs(folder) == []


def test_ignored_files_are_kept_by_option_but_not_what_was_copied(
    folder: Path, tmp_path: Path, kind: str
) -> None:
    with made(folder, tmp_path / "workspaces", kind, ignored=True) as workspace:
        (workspace.path / "notes.log").write_text("found it\n")
        nested = make_repository(workspace.path / "vendor" / "lib", {"lib.txt": "lib\n"})
        asyncio.run(workspace.commit("Work"))
        assert (nested / "lib.txt").exists()
        assert (workspace.path / ".env").exists()
        assert asyncio.run(workspace.remove()) is not None
    assert names(folder, REF) == [".gitignore", "a.txt", "b.txt", "notes.log", "vendor/lib/lib.txt"]
    assert "TOKEN" not in git(folder, "log", "--all", "-p")


def test_an_open_merge_is_kept_with_our_side_staged(folder: Path, workspace: Either) -> None:
    commit_files(workspace.path, {"a.txt": "ours\n"}, "Ours")
    git(workspace.path, "checkout", "--quiet", "-b", "aside", workspace.start_commit)
    commit_files(workspace.path, {"a.txt": "theirs\n"}, "Theirs")
    git(workspace.path, "checkout", "--quiet", workspace.branch)
    git(workspace.path, "merge", "aside", check=False)
    assert "UU a.txt" in git(workspace.path, "status", "--porcelain")
    salvaged = asyncio.run(workspace.remove())
    git(folder, "update-ref", "-d", "refs/heads/aside")  # a worktree's agent writes branches of the user's
    assert salvaged is not None
    assert "<<<<<<<" in git(folder, "show", f"{REF}:a.txt")
    assert git(folder, "show", f"{REF}^2:a.txt") == "ours"
    assert git(folder, "log", "-1", "--format=%s", f"{REF}^1") == "Ours"


def test_a_commit_that_no_branch_holds_is_kept(folder: Path, workspace: Either) -> None:
    git(workspace.path, "checkout", "--quiet", "--detach")
    left = commit_files(workspace.path, {"a.txt": "detached\n"})
    salvaged = asyncio.run(workspace.remove())
    assert salvaged is not None
    assert git(folder, "rev-parse", f"{REF}^1") == left


@pytest.mark.parametrize("packed", [False, True])
def test_what_a_clone_holds_on_other_branches_and_in_its_stash_is_kept(
    folder: Path, tmp_path: Path, packed: bool
) -> None:
    with made(folder, tmp_path / "workspaces", "clone") as workspace:
        place = workspace.path
        git(place, "branch", "no-work")
        git(place, "checkout", "--quiet", "-b", "idea")
        left = commit_files(place, {"idea.txt": "idea\n"}, "An idea")
        git(place, "checkout", "--quiet", workspace.branch)
        write_files(place, {"a.txt": "stashed\n"})
        git(place, "stash")
        if packed:
            git(place, "pack-refs", "--all")
        write_files(place, {"b.txt": "work\n"})
        asyncio.run(workspace.commit("Work"))
        assert asyncio.run(workspace.remove()) is not None
    assert salvage_refs(folder) == [REF, f"{REF}.2"]
    kept = [git(folder, "diff", f"{ref}^1", ref) for ref in salvage_refs(folder)]
    assert any("+idea" in text for text in kept)
    assert any("+stashed" in text for text in kept)
    assert left in git(folder, "rev-list", "--glob=refs/orchestrator/*")
    assert git(folder, "fsck", "--strict", "--no-dangling") == ""


def test_a_damaged_index_loses_no_files(folder: Path, workspace: Either) -> None:
    write_files(workspace.path, {"new.txt": "new\n"})
    Path(git(workspace.path, "rev-parse", "--absolute-git-dir"), "index").write_bytes(b"DIRC damaged")
    asyncio.run(workspace.remove())
    assert git(folder, "show", f"{REF}:new.txt") == "new"


def test_a_state_that_is_kept_already_is_not_kept_twice(folder: Path, workspace: Either) -> None:
    write_files(workspace.path, {"new.txt": "1\n"})
    first = workspace.salvage_now()
    assert workspace.salvage_now() == first
    write_files(workspace.path, {"new.txt": "2\n"})
    second = workspace.salvage_now()
    assert second is not None
    assert second.ref == f"{REF}.2"
    assert git(folder, "show", f"{REF}:new.txt") == "1"
    assert salvage_refs(folder) == [REF, f"{REF}.2"]
    asyncio.run(workspace.remove())


def test_what_cannot_be_salvaged_is_not_removed(folder: Path, workspace: Either) -> None:
    write_files(workspace.path, {"new.txt": "new\n"})
    lock = folder / ".git" / f"{REF}.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    with pytest.raises(WorkspaceError, match="cannot salvage"):
        asyncio.run(workspace.remove())
    assert (workspace.path / "new.txt").read_text() == "new\n"
    lock.unlink()
    asyncio.run(workspace.remove())
    assert git(folder, "show", f"{REF}:new.txt") == "new"


def test_content_that_git_would_run_things_for_is_kept_and_not_run(
    folder: Path, workspace: Either, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    evil = f"touch {mark}; cat"
    git(workspace.path, "config", "filter.evil.clean", evil)
    git(workspace.path, "config", "core.fsmonitor", evil)
    write_files(workspace.path, {".gitattributes": "* filter=evil\n", "new.txt": "new\n"})
    asyncio.run(workspace.remove())
    git(folder, "config", "--unset", "filter.evil.clean", check=False)
    git(folder, "config", "--unset", "core.fsmonitor", check=False)
    git(folder, "config", "--remove-section", "filter.evil", check=False)
    assert git(folder, "show", f"{REF}:new.txt") == "new"
    assert not mark.exists()


def test_many_are_salvaged_at_once(folder: Path, tmp_path: Path, kind: str) -> None:
    async def scenario(all_of_them: object) -> None:
        making = (all_of_them.create(f"w{n}", 1, ()) for n in range(16))  # type: ignore[attr-defined]
        every = await asyncio.gather(*making)
        for number, workspace in enumerate(every):
            write_files(workspace.path, {"new.txt": f"{number}\n", "same.txt": "same\n"})
        await asyncio.gather(*(workspace.remove() for workspace in every))

    if kind == "worktree":
        with workspaces(folder, tmp_path / "workspaces") as all_of_them:
            asyncio.run(scenario(all_of_them))
    else:
        with clones(folder, tmp_path / "workspaces", overlay=kind == "overlay") as all_of_them:
            asyncio.run(scenario(all_of_them))
    assert len(salvage_refs(folder)) == 16
    assert git(folder, "show", "refs/orchestrator/salvage/run-1/w7@1:new.txt") == "7"
    assert git(folder, "fsck", "--strict", "--no-dangling") == ""


KILLED_AFTER_SALVAGE = """
import asyncio, os, signal, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from orchestrator.git.repository import open_repository
from orchestrator.workspaces.worktree import WorktreeWorkspaces
repo = open_repository(Path(sys.argv[1]))
pool = ThreadPoolExecutor(2)
made = WorktreeWorkspaces(repo, run_id="run-1", base_commit=repo.head, directory=Path(sys.argv[2]),
                          author="A <a@example.org>", copy_files=(), pool=pool)
workspace = asyncio.run(made.create("worker", 1, ()))
(workspace.path / "new.txt").write_text("new")
workspace.salvage_now()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_between_salvage_and_removal_keeps_it_once(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "workspaces"
    argv = [sys.executable, "-c", KILLED_AFTER_SALVAGE, folder, place]
    died = subprocess.run(argv, timeout=60, check=False)
    assert died.returncode == -signal.SIGKILL
    assert (place / "worker" / "new.txt").exists()
    gone = remove_leftovers(open_repository(folder), "run-1", place, author=AUTHOR)
    assert gone.faults == ()
    assert salvage_refs(folder) == [REF]
    assert git(folder, "show", "orchestrator/run-1/worker:new.txt") == "new"
    assert not place.exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a small disk")
    mounting = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", place], check=False)
    if mounting.returncode != 0:
        pytest.skip("no tmpfs can be mounted here")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_a_full_disk_keeps_the_workspace(small_disk: Path, tmp_path: Path, kind: str) -> None:
    folder = make_repository(small_disk / "repo", BASE)
    (folder / ".env").write_text("TOKEN=secret\n")
    with made(folder, tmp_path / "workspaces", kind) as workspace:
        content = os.urandom(1 << 20)
        (workspace.path / "new.bin").write_bytes(content)
        full = small_disk / "full"
        with pytest.raises(OSError, match="No space"), full.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        with pytest.raises(WorkspaceError, match="cannot salvage"):
            asyncio.run(workspace.remove())
        assert (workspace.path / "new.bin").read_bytes() == content
        full.unlink()
        assert asyncio.run(workspace.remove()) is not None
    shown = subprocess.run(["git", "show", f"{REF}:new.bin"], cwd=folder, capture_output=True, check=True)
    assert shown.stdout == content
