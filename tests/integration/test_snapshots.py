"""Live snapshots: they hold what a worker has made so far, and the worker cannot tell that one was taken."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from orchestrator.git.repository import open_repository
from orchestrator.workspaces import snapshots as module
from orchestrator.workspaces.snapshots import Snapshots
from orchestrator.workspaces.worktree import WorktreeWorkspaces
from tests.integration.clone_fixtures import clones, skip_without_overlays, unmount_all
from tests.integration.run_fixtures import git, make_repository

KINDS = ("worktree", "clone", "overlay")


class World:
    """A repository, workspaces of one kind, and who looks at them."""

    def __init__(self, kind: str, folder: Path, makers: Any) -> None:
        self.kind, self.folder, self.makers = kind, folder, makers
        self.repo = folder / "repo"
        self.directory = folder / "workspaces"
        self.base = git(self.repo, "rev-parse", "HEAD")

    def workspace(self, name: str = "w1", attempt: int = 1, needs: tuple[str, ...] = ()) -> Any:
        return asyncio.run(self.makers.create(name, attempt, needs))

    def snapshots(self) -> Snapshots:
        return Snapshots(
            open_repository(self.repo),
            base=self.base,
            directory=self.directory,
            scratch=self.folder / "scratch",
        )


@contextmanager
def worktrees(repo: Path, directory: Path) -> Iterator[WorktreeWorkspaces]:
    opened = open_repository(repo)
    with ThreadPoolExecutor(max_workers=2) as pool:
        yield WorktreeWorkspaces(
            opened,
            run_id="run-1",
            base_commit=opened.head,
            directory=directory,
            author="Somebody <somebody@example.org>",
            copy_files=(),
            pool=pool,
        )


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path / "home"))
    if request.param == "overlay":
        skip_without_overlays(tmp_path / "try")
    repo = make_repository(tmp_path / "repo")
    for number in range(5):
        (repo / f"f{number}").write_text(f"{number}\n")
    git(repo, "add", ".")
    git(repo, "commit", "-qm", "more")
    directory = tmp_path / "workspaces"
    with ExitStack() as stack:
        if request.param == "worktree":
            makers: Any = stack.enter_context(worktrees(repo, directory))
        else:
            makers = stack.enter_context(clones(repo, directory, overlay=request.param == "overlay"))
        stack.callback(unmount_all, directory)
        yield World(request.param, tmp_path, makers)


def listed(taker: Snapshots, commit: str) -> dict[str, str]:
    """The files of a commit, by name."""
    lines = taker.shield.run(["ls-tree", "-r", "-z", commit]).stdout.decode().split("\0")
    return {line.split("\t")[1]: line.split()[2] for line in lines if line}


def content(taker: Snapshots, commit: str, name: str) -> str:
    return taker.shield.run(["cat-file", "blob", f"{commit}:{name}"]).stdout.decode()


def everything(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """All files below a folder, with what a write would change."""
    found = {}
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            if path.is_file() and not path.is_symlink():
                stat = path.stat()
                found[str(path)] = (stat.st_ino, stat.st_mtime_ns, path.read_bytes())
    return found


def test_it_holds_tracked_and_untracked_files_but_no_ignored_ones(world: World) -> None:
    path = world.workspace().path
    (path / "f0").write_text("edited\n")
    (path / "f1").unlink()
    (path / "new").write_text("new\n")
    (path / "ignored").mkdir()
    (path / "ignored" / "secret").write_text("x\n")
    (path / "f2").unlink()
    (path / "f2").mkdir()
    (path / "f2" / "inner").write_text("inner\n")
    git(path, "init", "-q", "nested")
    (path / "nested" / "deep").write_text("deep\n")
    (path / "link").symlink_to("f3")
    (path / "staged").write_text("staged\n")
    git(path, "add", "staged")
    taker = world.snapshots()
    snapshot = taker.take(["w1"])["w1"]
    names = {".gitignore", "README.md", "f0", "f2/inner", "f3", "f4", "link", "nested/deep", "new", "staged"}
    assert set(listed(taker, snapshot.commit)) == names
    assert content(taker, snapshot.commit, "f0") == "edited\n"
    assert git(world.repo, "rev-parse", "HEAD") == snapshot.start_commit == world.base


def test_neither_the_workspace_nor_the_repository_is_touched(world: World) -> None:
    path = world.workspace().path
    (path / "f0").write_text("edited\n")
    (path / "new").write_text("new\n")
    git(path, "add", "f0")
    places = (world.repo, world.directory, world.folder / "home")
    before = [everything(place) for place in places]
    taker = world.snapshots()
    assert taker.take(["w1"]) and taker.take(["w1"])
    assert [everything(place) for place in places] == before


def test_a_second_look_sees_what_came_since_and_hashes_nothing_twice(world: World) -> None:
    path = world.workspace().path
    (path / "new").write_text("new\n")
    taker = world.snapshots()
    first = taker.take(["w1"])["w1"]
    objects = everything(taker.shield.objects)
    assert taker.take(["w1"])["w1"].commit == first.commit
    assert everything(taker.shield.objects) == objects
    git(path, "add", "new")
    git(path, "commit", "-qm", "the agent commits")
    assert listed(taker, taker.take(["w1"])["w1"].commit) == listed(taker, first.commit)
    (path / "f3").write_text("later\n")
    (path / "new").unlink()
    second = taker.take(["w1"])["w1"]
    assert content(taker, second.commit, "f3") == "later\n"
    assert "new" not in listed(taker, second.commit)


def test_an_edit_in_the_moment_of_the_checkout_is_seen(world: World) -> None:
    path = world.workspace().path
    (path / "f0").write_text("9\n")  # the same size
    taker = world.snapshots()
    assert content(taker, taker.take(["w1"])["w1"].commit, "f0") == "9\n"


def test_only_the_newest_attempt_counts_and_a_removed_workspace_does_not(world: World) -> None:
    first = world.workspace()
    (first.path / "f0").write_text("first\n")
    second = world.workspace(attempt=2)
    (second.path / "f0").write_text("second\n")
    taker = world.snapshots()
    assert content(taker, taker.take(["w1"])["w1"].commit, "f0") == "second\n"
    asyncio.run(second.remove())
    asyncio.run(first.remove())
    assert taker.take(["w1"]) == {}


def test_files_that_come_and_go_meanwhile_do_no_harm(world: World) -> None:
    path = world.workspace().path
    taker = world.snapshots()
    ended = threading.Event()

    def churn() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            name = path / f"churn{number % 7}"
            if name.is_dir():
                (name / "inner").unlink(missing_ok=True)
                name.rmdir()
            elif name.exists():
                name.unlink()
                if number % 3:
                    name.mkdir()
                    (name / "inner").write_text("x")
            else:
                name.write_text(str(number))

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(5):
            taker.take(["w1"])
    finally:
        ended.set()
        thread.join()
    (path / "last").write_text("last\n")
    names = {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()}
    names = {name for name in names if not name.startswith(".git/") and name != ".git"}
    assert set(listed(taker, taker.take(["w1"])["w1"].commit)) == names


def test_nothing_that_the_agent_configures_is_executed(world: World) -> None:
    path = world.workspace().path
    mark = world.folder / "ran"
    for key in ("filter.evil.clean", "filter.evil.process", "core.fsmonitor", "diff.evil.command"):
        git(path, "config", key, f"touch {mark}; cat")
    (path / ".gitattributes").write_text("* filter=evil diff=evil\n")
    (path / "f0").write_text("edited\n")
    taker = world.snapshots()
    assert content(taker, taker.take(["w1"])["w1"].commit, "f0") == "edited\n"
    assert not mark.exists()


@pytest.mark.parametrize("what", ["garbage", "pipe", "link", "gone"])
def test_a_spoilt_index_of_the_agent_does_not_hold_it_up(world: World, what: str) -> None:
    path = world.workspace().path
    (path / "f0").write_text("edited\n")
    index = Path(git(path, "rev-parse", "--path-format=absolute", "--git-path", "index"))
    index.unlink()
    if what == "garbage":
        index.write_bytes(b"DIRC nonsense")
    elif what == "pipe":
        os.mkfifo(index)
    elif what == "link":
        index.symlink_to("/etc/passwd")
    taker = world.snapshots()
    commit = taker.take(["w1"])["w1"].commit
    assert content(taker, commit, "f0") == "edited\n"
    assert {"f1", "f2", "f3", "f4"} <= set(listed(taker, commit))


def test_a_large_file_is_left_out_and_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST_FILE", 100)
    path = world.workspace().path
    (path / "large").write_text("x" * 101)
    (path / "small").write_text("x" * 99)
    taker = world.snapshots()
    snapshot = taker.take(["w1"])["w1"]
    assert snapshot.left_out == ("large",)
    assert "small" in listed(taker, snapshot.commit)


def test_once_closed_a_look_takes_no_more_snapshots(world: World) -> None:
    world.workspace()
    taker = world.snapshots()
    assert taker.take(["w1"])
    taker.close()
    assert taker.take(["w1"]) == {}
