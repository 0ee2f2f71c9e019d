"""Workspaces of the strategy `worktree`, in real repositories."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.errors import WorkspaceError
from orchestrator.ports import Workspace, Workspaces
from orchestrator.workspaces.worktree import WorktreeWorkspaces
from tests.integration.git_fixtures import (
    AUTHOR,
    commit_files,
    fingerprint,
    git,
    make_repository,
    our_branches,
    workspaces,
    write_files,
)

BRANCH = "orchestrator/run-1/worker"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "repo")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "workspaces"


def test_a_workspace_is_a_checkout_of_the_base_on_its_own_branch(folder: Path, place: Path) -> None:
    async def scenario(made: Workspaces) -> Workspace:
        return await made.create("worker", 1, ())

    before = fingerprint(folder)
    with workspaces(folder, place) as made:
        workspace = asyncio.run(scenario(made))
        assert workspace.branch == BRANCH
        assert workspace.start_commit == git(folder, "rev-parse", "HEAD")
        assert (workspace.path / "src" / "b.txt").read_text() == "b\n"
        assert git(workspace.path, "status", "--porcelain", "--branch") == f"## {BRANCH}"
        assert f"[{BRANCH}]" in git(folder, "worktree", "list")
        assert asyncio.run(workspace.commit("Nothing")) == workspace.start_commit
        assert asyncio.run(workspace.files_changed()) == ()
        asyncio.run(workspace.remove())
    assert not place.exists()
    assert our_branches(folder) == []
    assert not (folder / ".git" / "worktrees").exists()
    assert not (folder / ".git" / "refs" / "heads" / "orchestrator").exists()
    assert fingerprint(folder) == before


def test_what_is_left_uncommitted_is_committed(folder: Path, place: Path) -> None:
    before = fingerprint(folder)
    with workspaces(folder, place) as made:
        workspace = asyncio.run(made.create("worker", 1, ()))
        write_files(
            workspace.path,
            {"a.txt": "changed\n", "new dir/n.txt": "new\n", "built.o": "", ".gitignore": "*.o\n"},
        )
        (workspace.path / "src" / "b.txt").unlink()
        write_files(workspace.path, {"src/b.txt/now-a-folder": "x\n"})
        (workspace.path / "run.sh").write_text("#!/bin/sh\n")
        (workspace.path / "run.sh").chmod(0o755)
        (workspace.path / "link").symlink_to("a.txt")
        tip = asyncio.run(workspace.commit("What the worker did"))
        assert tip == git(folder, "rev-parse", BRANCH)
        assert asyncio.run(workspace.files_changed()) == (
            ".gitignore",
            "a.txt",
            "link",
            "new dir/n.txt",
            "run.sh",
            "src/b.txt",
            "src/b.txt/now-a-folder",
        )
        assert (
            git(folder, "log", "-1", "--format=%an <%ae>|%cn <%ce>|%s", BRANCH)
            == f"{AUTHOR}|{AUTHOR}|What the worker did"
        )
        assert git(folder, "ls-tree", BRANCH, "run.sh").startswith("100755")
        assert git(folder, "ls-tree", BRANCH, "link").startswith("120000")
        assert git(workspace.path, "status", "--porcelain") == ""
        asyncio.run(workspace.remove())
    assert our_branches(folder) == [BRANCH]
    assert fingerprint(folder) == before
    assert git(folder, "fsck", "--strict") == ""


def test_names_of_any_bytes_survive(folder: Path, place: Path) -> None:
    names = [
        "with space",
        "two\nlines",
        "ünïcode-日本",
        "-dash",
        "quote\"'",
        os.fsdecode(b"latin-\xe9"),
        ":(top)x",
        "*",
    ]
    commit_files(folder, {f"base {name}": "base" for name in names})
    with workspaces(folder, place) as made:
        workspace = asyncio.run(made.create("worker", 1, ()))
        write_files(workspace.path, dict.fromkeys(names, "new"))
        write_files(workspace.path, {f"base {name}": "changed" for name in names})
        asyncio.run(workspace.commit("Odd names"))
        assert asyncio.run(workspace.files_changed()) == tuple(
            sorted([*names, *(f"base {name}" for name in names)])
        )


def test_a_dirty_checkout_is_neither_used_nor_touched(folder: Path, place: Path) -> None:
    write_files(folder, {"a.txt": "mine\n", "new.txt": "mine\n", "staged.txt": "mine\n"})
    git(folder, "add", "staged.txt")
    write_files(folder, {"stashed.txt": "mine\n"})
    git(folder, "stash", "push", "--quiet", "--include-untracked", "--", "stashed.txt")
    before = fingerprint(folder)
    with workspaces(folder, place) as made:
        workspace = asyncio.run(made.create("worker", 1, ()))
        assert sorted(path.name for path in workspace.path.iterdir()) == [".git", "a.txt", "src"]
        assert (workspace.path / "a.txt").read_text() == "a\n"
        write_files(workspace.path, {"a.txt": "agent\n"})
        asyncio.run(workspace.commit("Agent"))
        asyncio.run(workspace.remove())
    assert fingerprint(folder) == before


@pytest.mark.parametrize("kind", ["detached", "shallow", "linked", "sha256", "sparse", "packed"])
def test_repositories_of_every_kind_work(folder: Path, place: Path, tmp_path: Path, kind: str) -> None:
    commit_files(folder, {"second.txt": "2\n"})
    user = folder
    if kind == "detached":
        git(folder, "checkout", "--quiet", "--detach")
    elif kind == "shallow":
        git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{folder}", "user")
        user = tmp_path / "user"
    elif kind == "linked":
        git(folder, "worktree", "add", "--quiet", "../user")
        user = tmp_path / "user"
    elif kind == "sha256":
        git(tmp_path, "init", "--quiet", "--object-format=sha256", "user")
        user = tmp_path / "user"
        commit_files(user, {"src/b.txt": "b\n"})
    elif kind == "sparse":
        git(folder, "sparse-checkout", "set", "--cone", "--sparse-index", "src")
    else:
        git(folder, "gc", "--quiet")
        git(folder, "pack-refs", "--all")
    before = fingerprint(user)
    with workspaces(user, place) as made:
        first = asyncio.run(made.create("worker", 1, ()))
        write_files(first.path, {"src/b.txt": "changed\n"})
        tip = asyncio.run(first.commit("Work"))
        second = asyncio.run(made.create("second", 1, [tip]))
        assert (second.path / "src" / "b.txt").read_text() == "changed\n"
        assert asyncio.run(second.commit("Nothing")) == tip
        assert asyncio.run(first.files_changed()) == ("src/b.txt",)
        asyncio.run(first.remove())
        asyncio.run(second.remove())
    assert our_branches(user) == [BRANCH]
    assert fingerprint(user) == before


def test_submodules_and_lfs_pointers_stay_as_they_are(folder: Path, place: Path, tmp_path: Path) -> None:
    make_repository(tmp_path / "inner")
    git(folder, "submodule", "--quiet", "add", f"file://{tmp_path / 'inner'}", "inner")
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    commit_files(folder, {".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n", "a.bin": pointer})
    git(tmp_path, "config", "--global", "filter.lfs.smudge", "false")
    git(tmp_path, "config", "--global", "filter.lfs.clean", "false")
    git(tmp_path, "config", "--global", "filter.lfs.required", "true")
    with workspaces(folder, place) as made:
        workspace = asyncio.run(made.create("worker", 1, ()))
        assert (workspace.path / "a.bin").read_text() == pointer
        assert list((workspace.path / "inner").iterdir()) == []
        write_files(workspace.path, {"a.txt": "changed\n"})
        asyncio.run(workspace.commit("Work"))
        assert asyncio.run(workspace.files_changed()) == ("a.txt",)


def test_later_attempts_have_branches_of_their_own(folder: Path, place: Path) -> None:
    async def scenario(made: WorktreeWorkspaces) -> list[str]:
        made_all = [await made.create("worker", attempt, ()) for attempt in (1, 2, 3)]
        return [f"{one.path.name} {one.branch}" for one in made_all]

    with workspaces(folder, place) as made:
        assert asyncio.run(scenario(made)) == [
            f"worker {BRANCH}",
            f"worker@2 {BRANCH}@2",
            f"worker@3 {BRANCH}@3",
        ]
        with pytest.raises(WorkspaceError, match="already exists"):
            asyncio.run(made.create("worker", 2, ()))


def test_a_users_worktree_of_the_same_name_is_no_obstacle(folder: Path, place: Path, tmp_path: Path) -> None:
    git(folder, "worktree", "add", "--quiet", str(tmp_path / "theirs" / "worker"))
    before = fingerprint(folder)
    with workspaces(folder, place) as made:
        workspace = asyncio.run(made.create("worker", 1, ()))
        write_files(workspace.path, {"a.txt": "ours\n"})
        asyncio.run(workspace.commit("Ours"))
        asyncio.run(workspace.remove())
    assert git(tmp_path / "theirs" / "worker", "status", "--porcelain") == ""
    assert fingerprint(folder) == before


MAKER = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.integration.git_fixtures import workspaces
async def scenario(made):
    all_made = await asyncio.gather(*(made.create(f"w{number}", 1, ()) for number in range(16)))
    for one in all_made:
        (one.path / "a.txt").write_text(one.path.name)
    return await asyncio.gather(*(one.commit("Work") for one in all_made))
sys.stdin.readline()
with workspaces(Path(sys.argv[2]), Path(sys.argv[3]) / sys.argv[4], run_id=sys.argv[4]) as made:
    print(len(set(asyncio.run(scenario(made)))))
"""


def test_two_processes_may_make_sixteen_each_at_once(folder: Path, place: Path) -> None:
    before = fingerprint(folder)
    here = str(Path(__file__).parents[2])
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", MAKER, here, str(folder), str(place), run_id],
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


def test_needs_are_the_start(folder: Path, place: Path) -> None:
    async def scenario(made: WorktreeWorkspaces) -> None:
        first = await made.create("first", 1, ())
        write_files(first.path, {"first.txt": "1\n"})
        one = await first.commit("First")
        on_first = await made.create("on-first", 1, [one])
        assert on_first.start_commit == one
        write_files(on_first.path, {"on-first.txt": "1\n"})
        two = await on_first.commit("On first")
        assert (await made.create("both", 1, [one, two])).start_commit == two
        other = await made.create("other", 1, ())
        write_files(other.path, {"other.txt": "1\n"})
        three = await other.commit("Other")
        joined = await made.create("joined", 1, [two, three, one])
        assert sorted(path.name for path in joined.path.glob("*.txt")) == [
            "a.txt",
            "first.txt",
            "on-first.txt",
            "other.txt",
        ]
        assert git(folder, "rev-parse", f"{joined.start_commit}^1", f"{joined.start_commit}^2").split() == [
            two,
            three,
        ]
        assert await joined.commit("Nothing") == joined.start_commit
        await joined.remove()

    with workspaces(folder, place) as made:
        asyncio.run(scenario(made))
    assert f"{BRANCH[:-6]}joined" not in our_branches(folder)


def test_needs_that_conflict_are_named_and_leave_nothing(folder: Path, place: Path) -> None:
    async def scenario(made: WorktreeWorkspaces) -> None:
        tips = []
        for name in ("one", "two"):
            workspace = await made.create(name, 1, ())
            write_files(workspace.path, {"a.txt": f"{name}\n", "src/b.txt": f"{name}\n"})
            tips.append(await workspace.commit(name))
        with pytest.raises(
            WorkspaceError, match=r"work that worker needs cannot be joined.*'a\.txt', 'src/b\.txt'"
        ):
            await made.create("worker", 1, tips)

    with workspaces(folder, place) as made:
        asyncio.run(scenario(made))
    assert not (place / "worker").exists()
    assert BRANCH not in our_branches(folder)


def test_a_create_that_fails_leaves_nothing(folder: Path, place: Path) -> None:
    before = fingerprint(folder)
    missing = r"cannot copy 'missing\.env'.*no such file"
    with (
        workspaces(folder, place, copy_files=("missing.env",)) as made,
        pytest.raises(WorkspaceError, match=missing),
    ):
        asyncio.run(made.create("worker", 1, ()))
    with (
        workspaces(folder, place, base="1" * 40) as made,
        pytest.raises(WorkspaceError, match="no workspace for worker"),
    ):
        asyncio.run(made.create("worker", 1, ()))
    assert our_branches(folder) == []
    assert not place.exists()
    assert fingerprint(folder) == before


def test_a_branch_that_is_there_already_is_never_touched(folder: Path, place: Path) -> None:
    git(folder, "branch", BRANCH)
    with workspaces(folder, place) as made, pytest.raises(WorkspaceError, match="already exists"):
        asyncio.run(made.create("worker", 1, ()))
    assert our_branches(folder) == [BRANCH]


def test_a_cancelled_create_leaves_nothing(folder: Path, place: Path) -> None:
    async def scenario(made: WorktreeWorkspaces) -> None:
        creating = [asyncio.ensure_future(made.create(f"w{number}", 1, ())) for number in range(12)]
        await asyncio.wait(creating, return_when=asyncio.FIRST_COMPLETED)
        for one in creating:
            one.cancel()
        results = await asyncio.gather(*creating, return_exceptions=True)
        assert any(isinstance(result, asyncio.CancelledError) for result in results)
        for result in results:
            if not isinstance(result, BaseException):
                await result.remove()

    before = fingerprint(folder)
    with workspaces(folder, place) as made:
        asyncio.run(scenario(made))
    assert our_branches(folder) == []
    assert not place.exists()
    assert fingerprint(folder) == before


def test_read_only_folders_are_removed_too(folder: Path, place: Path) -> None:
    with workspaces(folder, place) as made:
        workspace = asyncio.run(made.create("worker", 1, ()))
        write_files(workspace.path, {"cache/deep/file": "x"})
        (workspace.path / "cache" / "deep").chmod(0o555)
        (workspace.path / "cache").chmod(0o000)
        asyncio.run(workspace.remove())
    assert not workspace.path.exists()


def test_the_copy_list_is_brought_along_and_not_committed(folder: Path, place: Path) -> None:
    write_files(folder, {".env": "SECRET=1\n", "data/[x] y/one.txt": "1\n"})
    (folder / ".env").chmod(0o600)
    (folder / "data" / "run").write_text("#!/bin/sh\n")
    (folder / "data" / "run").chmod(0o750)
    (folder / "data" / "link").symlink_to("run")
    with workspaces(folder, place, copy_files=(".env", "data")) as made:
        workspace = asyncio.run(made.create("worker", 1, ()))
        assert (workspace.path / ".env").read_text() == "SECRET=1\n"
        assert (workspace.path / ".env").stat().st_mode & 0o777 == 0o600
        assert (workspace.path / "data" / "run").stat().st_mode & 0o777 == 0o750
        assert (workspace.path / "data" / "link").readlink() == Path("run")
        write_files(workspace.path, {"a.txt": "changed\n"})
        asyncio.run(workspace.commit("Work"))
        assert asyncio.run(workspace.files_changed()) == ("a.txt",)


def test_what_the_user_ignores_everywhere_is_not_committed(folder: Path, place: Path, tmp_path: Path) -> None:
    (tmp_path / "ignored").write_text("*.swp\n")
    git(tmp_path, "config", "--global", "core.excludesFile", "~/ignored")
    (folder / ".git" / "info").mkdir(exist_ok=True)
    (folder / ".git" / "info" / "exclude").write_text("/private\n")
    with workspaces(folder, place) as made:
        workspace = asyncio.run(made.create("worker", 1, ()))
        write_files(workspace.path, {"x.swp": "", "private": "", "public": ""})
        asyncio.run(workspace.commit("Work"))
        assert asyncio.run(workspace.files_changed()) == ("public",)


def test_making_and_removing_at_once_do_not_disturb_each_other(folder: Path, place: Path) -> None:
    async def one(made: WorktreeWorkspaces, name: str) -> None:
        for attempt in range(1, 6):
            workspace = await made.create(name, attempt, ())
            await workspace.remove()

    async def scenario(made: WorktreeWorkspaces) -> None:
        await asyncio.gather(*(one(made, f"w{number}") for number in range(4)))

    with workspaces(folder, place) as made:
        asyncio.run(scenario(made))
    assert not place.exists()
    assert our_branches(folder) == []
