"""Workspaces of the strategy `clone`: what holds for worktrees holds for them, plain and overlaid."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from orchestrator.git.repository import open_repository
from orchestrator.workspaces.hub import hub_of
from orchestrator.workspaces.leftovers import remove_leftovers
from orchestrator.workspaces.own_clone import CloneWorkspace
from tests.integration import test_workspaces_worktree
from tests.integration.clone_fixtures import clones, skip_without_overlays, unmount_all
from tests.integration.git_fixtures import (
    AUTHOR,
    commit_files,
    fingerprint,
    git,
    make_repository,
    our_branches,
    write_files,
)
from tests.integration.test_workspaces_worktree import (  # noqa: F401 (pytest collects them here as well)
    test_a_branch_that_is_there_already_is_never_touched,
    test_a_cancelled_create_leaves_nothing,
    test_a_create_that_fails_leaves_nothing,
    test_a_dirty_checkout_is_neither_used_nor_touched,
    test_a_users_worktree_of_the_same_name_is_no_obstacle,
    test_later_attempts_have_branches_of_their_own,
    test_making_and_removing_at_once_do_not_disturb_each_other,
    test_names_of_any_bytes_survive,
    test_needs_are_the_start,
    test_needs_that_conflict_are_named_and_leave_nothing,
    test_read_only_folders_are_removed_too,
    test_repositories_of_every_kind_work,
    test_submodules_and_lfs_pointers_stay_as_they_are,
    test_the_copy_list_is_brought_along_and_not_committed,
    test_what_is_left_uncommitted_is_committed,
    test_what_the_user_ignores_everywhere_is_not_committed,
)

BRANCH = "orchestrator/run-1/worker"


@pytest.fixture(params=[False, True], ids=["plain", "overlay"], autouse=True)
def overlay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> bool:
    """Let the tests of worktrees make clones."""
    if request.param:
        skip_without_overlays(tmp_path)
    monkeypatch.setattr(test_workspaces_worktree, "workspaces", partial(clones, overlay=request.param))
    return request.param


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "repo")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "workspaces"


def test_a_clone_is_a_checkout_of_the_base_on_its_own_branch(
    folder: Path, place: Path, overlay: bool
) -> None:
    git(folder, "tag", "-m", "First", "v1")
    git(folder, "config", "user.name", 'A "quoted" \\ name')
    git(folder, "config", "user.email", "a@example.org")
    before = fingerprint(folder)
    with clones(folder, place, overlay=overlay) as made:
        workspace = asyncio.run(made.create("worker", 1, ()))
        assert (workspace.path / "src" / "b.txt").read_text() == "b\n"
        assert git(workspace.path, "status", "--porcelain", "--branch") == f"## {BRANCH}"
        assert git(workspace.path, "describe") == "v1"
        assert git(workspace.path, "config", "user.name") == 'A "quoted" \\ name'
        assert git(workspace.path, "rev-parse", "origin/main") == workspace.start_commit
        assert git(workspace.path, "fsck") == ""
        assert asyncio.run(workspace.commit("Nothing")) == workspace.start_commit
        asyncio.run(workspace.remove())
    assert not place.exists()
    assert our_branches(folder) == []
    assert fingerprint(folder) == before


def test_a_folder_can_be_renamed(folder: Path, place: Path, overlay: bool) -> None:
    """On an overlay that is what fails first."""
    commit_files(folder, {f"dir/sub/{number}.txt": f"{number}\n" for number in range(20)})
    with clones(folder, place, overlay=overlay) as made:
        workspace = asyncio.run(made.create("worker", 1, ()))
        git(workspace.path, "mv", "dir", "moved")
        (workspace.path / "src").rename(workspace.path / "source")
        tip = asyncio.run(workspace.commit("Moved"))
        assert git(folder, "ls-tree", "-r", "--name-only", tip, "dir", "src") == ""
        assert len(git(folder, "ls-tree", "-r", "--name-only", tip, "moved").splitlines()) == 20


def test_what_was_staged_by_hand_counts(folder: Path, place: Path, overlay: bool) -> None:
    commit_files(
        folder, {".gitignore": "*.o\nprivate\n", "private.txt": "p\n", "gone.o": "", "k/k.txt": "k\n"}
    )
    git(folder, "add", "-f", "gone.o")
    git(folder, "commit", "--quiet", "--amend", "-m", "With one that is ignored")
    with clones(folder, place, overlay=overlay) as made:
        workspace = asyncio.run(made.create("worker", 1, ()))
        write_files(workspace.path, {"forced.o": "1", "ignored.o": "2", "new.txt": "3"})
        git(workspace.path, "add", "-f", "forced.o")
        git(workspace.path, "rm", "--quiet", "--cached", "gone.o")
        git(workspace.path, "sparse-checkout", "set", "--no-cone", "/*", "!/k/")
        assert not (workspace.path / "k").exists()
        asyncio.run(workspace.commit("Work"))
        assert asyncio.run(workspace.files_changed()) == ("forced.o", "gone.o", "new.txt")


def test_a_link_to_a_repository_inside_becomes_plain_files(folder: Path, place: Path, overlay: bool) -> None:
    with clones(folder, place, overlay=overlay) as made:
        workspace = asyncio.run(made.create("worker", 1, ()))
        git(workspace.path, "init", "--quiet", "app")
        commit_files(workspace.path / "app", {"main.py": "1\n"})
        git(workspace.path, "-c", "advice.addEmbeddedRepo=false", "add", "-A")
        git(workspace.path, "commit", "--quiet", "-m", "Link")
        asyncio.run(workspace.commit("Left"))
        assert asyncio.run(workspace.files_changed()) == ("app/main.py",)


MAKER = test_workspaces_worktree.MAKER.replace(
    "git_fixtures import workspaces", "clone_fixtures import clones"
)
MAKER = MAKER.replace("workspaces(", "clones(").replace("run_id=", "overlay=sys.argv[5] == 'True', run_id=")


def test_two_processes_may_make_sixteen_each_at_once(folder: Path, place: Path, overlay: bool) -> None:
    before = fingerprint(folder)
    here = str(Path(__file__).parents[2])
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", MAKER, here, str(folder), str(place), run_id, str(overlay)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for run_id in ("run-1", "run-2")
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.communicate(timeout=100)[0].strip() for process in processes] == ["16", "16"]
    assert len(our_branches(folder)) == 32
    assert fingerprint(folder) == before
    assert git(folder, "fsck") == ""


def test_the_users_own_gc_takes_nothing_from_a_clone(folder: Path, place: Path, overlay: bool) -> None:
    base = commit_files(folder, {"later.txt": "1\n"})
    with clones(folder, place, overlay=overlay) as made:
        workspace = asyncio.run(made.create("worker", 1, ()))
        git(folder, "reset", "--quiet", "--hard", "HEAD~1")
        git(folder, "reflog", "expire", "--expire=now", "--all")
        git(folder, "gc", "--quiet", "--prune=now")
        write_files(workspace.path, {"a.txt": "agent\n"})
        tip = asyncio.run(workspace.commit("Work"))
        assert git(folder, "rev-parse", f"{tip}^") == base
        assert git(workspace.path, "fsck") == ""


def leave(folder: Path, place: Path, overlay: bool) -> dict[str, CloneWorkspace]:
    """What a killed run leaves."""

    async def scenario() -> dict[str, CloneWorkspace]:
        with clones(folder, place, overlay=overlay) as made:
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
    (left["half"].shield.git_dir / "whole").unlink()
    (left["half"].path / "a.txt").unlink()
    return left


@pytest.mark.parametrize("restarted", [False, True])
def test_what_a_killed_run_left_goes_but_for_the_work(
    folder: Path, place: Path, overlay: bool, restarted: bool
) -> None:
    before = fingerprint(folder)
    leave(folder, place, overlay)
    if restarted:  # no mount outlives that
        unmount_all(place)
    names = ("committed", "conflict", "uncommitted")
    expected = [f"orchestrator/run-1/{name}" for name in names]
    repo = open_repository(folder)
    would = remove_leftovers(repo, "run-1", place, author=AUTHOR, dry_run=True)
    assert list(would.kept) == expected
    gone = remove_leftovers(repo, "run-1", place, author=AUTHOR)
    assert gone.faults == ()
    assert list(gone.kept) == our_branches(folder) == sorted([*expected, "orchestrator/run-1/conflict@head"])
    assert len(gone.removed) == 5
    assert git(folder, "show", "orchestrator/run-1/uncommitted:new.txt") == "uncommitted"
    assert git(folder, "show", "orchestrator/run-1/conflict:a.txt") == "1"
    assert git(folder, "show", "orchestrator/run-1/conflict@head:a.txt") == "2"
    assert not place.exists()
    assert fingerprint(folder) == before
    assert hub_of(repo).directory.exists()
