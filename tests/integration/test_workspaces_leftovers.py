"""Clearing away what a run that died has left behind."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from orchestrator.git.repository import open_repository
from orchestrator.workspaces.checkout import WorktreeWorkspace
from orchestrator.workspaces.leftovers import remove_leftovers
from tests.integration.git_fixtures import (
    AUTHOR,
    fingerprint,
    git,
    make_repository,
    our_branches,
    workspaces,
    write_files,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "repo")


def leave(folder: Path, directory: Path, run_id: str = "run-1") -> dict[str, WorktreeWorkspace]:
    """What a killed run leaves: work committed, work uncommitted, nothing done, and odd states."""

    async def scenario() -> dict[str, WorktreeWorkspace]:
        with workspaces(folder, directory, run_id=run_id) as made:
            names = ("committed", "uncommitted", "untouched", "conflict", "half")
            left = {name: await made.create(name, 1, ()) for name in names}
            write_files(left["committed"].path, {"a.txt": "committed\n"})
            await left["committed"].commit("Work")
            return left

    left = asyncio.run(scenario())
    write_files(left["uncommitted"].path, {"new.txt": "uncommitted\n"})
    conflicting = left["conflict"].path
    write_files(conflicting, {"a.txt": "1\n"})
    git(conflicting, "commit", "--quiet", "-a", "-m", "First")
    git(conflicting, "checkout", "--quiet", "--detach", "HEAD~1")
    write_files(conflicting, {"a.txt": "2\n"})
    (directory / ".shields" / "barely-begun").mkdir()
    return left


def test_everything_goes_but_the_work(folder: Path, tmp_path: Path) -> None:
    before, place = fingerprint(folder), tmp_path / "workspaces" / "run-1"
    leave(folder, place)
    gone = remove_leftovers(open_repository(folder), "run-1", place, author=AUTHOR)
    prefix = "orchestrator/run-1"
    kept = [f"{prefix}/{name}" for name in ("committed", "conflict", "conflict@head", "uncommitted")]
    assert list(gone.kept) == our_branches(folder) == kept
    assert gone.faults == ()
    assert {path.name for path in gone.removed} == {
        "committed",
        "conflict",
        "half",
        "uncommitted",
        "untouched",
    }
    assert git(folder, "show", f"{prefix}/uncommitted:new.txt") == "uncommitted"
    assert not place.exists()
    assert not (folder / ".git" / "worktrees").exists()
    assert fingerprint(folder) == before
    again = remove_leftovers(open_repository(folder), "run-1", place, author=AUTHOR)
    assert (again.removed, again.kept, again.faults) == ((), (), ())


def test_a_dry_run_says_the_same_and_changes_nothing(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "workspaces" / "run-1"
    left = leave(folder, place)
    branches, files = our_branches(folder), sorted(place.rglob("*"))
    found = remove_leftovers(open_repository(folder), "run-1", place, author=AUTHOR, dry_run=True)
    assert {path.name for path in found.removed} == set(left)
    with_work = ("committed", "conflict", "uncommitted")
    assert list(found.kept) == [f"orchestrator/run-1/{name}" for name in with_work]
    assert our_branches(folder) == branches
    assert sorted(place.rglob("*")) == files


def test_other_runs_and_the_users_own_worktrees_stay(folder: Path, tmp_path: Path) -> None:
    place, other = tmp_path / "workspaces" / "run-1", tmp_path / "workspaces" / "run-2"
    leave(folder, place)
    others = leave(folder, other, run_id="run-2")
    git(folder, "worktree", "add", "--quiet", "-b", "mine", str(tmp_path / "mine"))
    stale = tmp_path / "stale"
    git(folder, "worktree", "add", "--quiet", "--detach", str(stale))
    (stale / ".git").unlink()
    remove_leftovers(open_repository(folder), "run-1", place, author=AUTHOR)
    assert all(workspace.path.is_dir() for workspace in others.values())
    assert git(others["uncommitted"].path, "status", "--porcelain") == "?? new.txt"
    listed = git(folder, "worktree", "list", "--porcelain")
    assert f"worktree {tmp_path / 'mine'}" in listed
    assert f"worktree {stale}" in listed


def test_files_that_were_never_checked_out_are_no_deletions(folder: Path, tmp_path: Path) -> None:
    """Killed in the middle of a checkout, or of its removal."""
    place = tmp_path / "workspaces" / "run-1"
    left = leave(folder, place)
    (left["untouched"].shield.git_dir / "whole").unlink()
    (left["untouched"].path / "a.txt").unlink()
    (left["untouched"].entry / "index").unlink()
    for dry_run in (True, False):
        found = remove_leftovers(open_repository(folder), "run-1", place, author=AUTHOR, dry_run=dry_run)
        assert "orchestrator/run-1/untouched" not in found.kept
    assert "orchestrator/run-1/untouched" not in our_branches(folder)
    assert not place.exists()


def test_half_of_a_workspace_is_cleared_too(folder: Path, tmp_path: Path) -> None:
    """Killed between any two steps of making or removing one."""
    place = tmp_path / "workspaces" / "run-1"
    left = leave(folder, place)
    (left["untouched"].path / ".git").unlink()
    git(folder, "worktree", "prune")
    git(folder, "worktree", "remove", "--force", str(left["half"].path))
    gone = remove_leftovers(open_repository(folder), "run-1", place, author=AUTHOR)
    assert gone.faults == ()
    assert not place.exists()
    assert not {"orchestrator/run-1/untouched", "orchestrator/run-1/half"} & set(our_branches(folder))
