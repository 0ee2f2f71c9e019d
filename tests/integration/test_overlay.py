"""Overlays over one shared checkout: small, exact, and never a way to change what is shared."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.errors import WorkspaceError
from orchestrator.git.repository import open_repository
from orchestrator.workspaces.hub import ensure_base, ensure_hub, hub_lock, hub_of, remove_unused_hubs
from orchestrator.workspaces.leftovers import remove_leftovers
from orchestrator.workspaces.overlay import Layers, is_mounted, mount, overlay_fault
from tests.integration.clone_fixtures import clones, skip_without_overlays
from tests.integration.git_fixtures import AUTHOR, commit_files, git, make_repository, write_files


@pytest.fixture(autouse=True)
def overlays(tmp_path: Path) -> None:
    skip_without_overlays(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {f"dir{number % 7}/{number}.txt": "x" * 8000 for number in range(100)}
    return make_repository(tmp_path / "repo", {"a.txt": "a\n", **files})


@pytest.fixture
def place(home: Path) -> Path:
    return home / "workspaces" / "run-1"


def disk(folder: Path) -> int:
    """Bytes on the disk that holds the folder, without what is mounted in it."""
    total, device = 0, folder.stat().st_dev
    for inner, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if Path(inner, name).lstat().st_dev == device]
        total += sum(Path(inner, name).lstat().st_blocks * 512 for name in files)
    return total


def test_changes_stay_in_their_own_workspace(folder: Path, place: Path) -> None:
    async def scenario() -> None:
        with clones(folder, place, overlay=True) as made:
            one, two = await made.create("one", 1, ()), await made.create("two", 1, ())
            assert one.base is not None
            write_files(one.path, {"a.txt": "one\n", "dir1/new.txt": "n\n"})
            (one.path / "dir2" / "2.txt").unlink()
            (one.path / "dir3").rename(one.path / "elsewhere")
            (one.path / "dir4" / "4.txt").chmod(0o755)
            for untouched in (two.path, one.base.files):
                assert (untouched / "a.txt").read_text() == "a\n"
                assert not (untouched / "dir1" / "new.txt").exists()
                assert (untouched / "dir2" / "2.txt").exists()
                assert (untouched / "dir3").exists()
                assert not (untouched / "dir4" / "4.txt").stat().st_mode & 0o111
            await one.commit("One")
            assert await two.commit("Nothing") == two.start_commit
            assert git(two.path, "status", "--porcelain") == ""
            await one.remove()
            assert not is_mounted(one.path)
            assert (two.path / "a.txt").read_text() == "a\n"
            await two.remove()

    asyncio.run(scenario())
    assert not place.exists()


def test_an_edit_of_the_same_size_right_after_the_start_is_seen(folder: Path, place: Path) -> None:
    """Git goes by size and second; the shared files are dated back for that."""
    with clones(folder, place, overlay=True) as made:
        workspace = asyncio.run(made.create("worker", 1, ()))
        write_files(workspace.path, {"a.txt": "b\n"})
        asyncio.run(workspace.commit("Edit"))
        assert asyncio.run(workspace.files_changed()) == ("a.txt",)


def test_a_workspace_takes_little_disk(folder: Path, place: Path) -> None:
    with clones(folder, place, overlay=True) as made:
        asyncio.run(made.create("first", 1, ()))
        before = disk(place)
        asyncio.run(made.create("second", 1, ()))
        assert disk(place) - before < 0.2 * disk(folder)  # a few small files, whatever the checkout's size


def test_runs_share_one_checkout_unless_somebody_edited_it(folder: Path, place: Path) -> None:
    repo = open_repository(folder)
    hub = hub_of(repo)
    with hub_lock(hub):
        ensure_hub(hub, repo, repo.head)
        base = ensure_base(hub, repo, repo.head)
        made_at = base.files.stat().st_ino
        assert ensure_base(hub, repo, repo.head).files.stat().st_ino == made_at
    with clones(folder, place, overlay=True) as made:
        showing = asyncio.run(made.create("worker", 1, ()))
    (base.files / "a.txt").write_text("edited\n")
    with hub_lock(hub):
        fresh = ensure_base(hub, repo, repo.head)
    assert (fresh.files / "a.txt").read_text() == "a\n"
    assert fresh.files.stat().st_ino != made_at
    assert is_mounted(showing.path)  # it still shows the old one


def test_needs_are_laid_over_the_shared_checkout(folder: Path, place: Path) -> None:
    async def scenario() -> None:
        with clones(folder, place, overlay=True) as made:
            first = await made.create("first", 1, ())
            write_files(first.path, {"first.txt": "1\n"})
            (first.path / "a.txt").unlink()
            tip = await first.commit("First")
            second = await made.create("second", 1, [tip])
            assert (second.path / "first.txt").exists()
            assert not (second.path / "a.txt").exists()
            assert git(second.path, "status", "--porcelain") == ""
            assert await second.commit("Nothing") == tip

    asyncio.run(scenario())


def test_hubs_go_when_nothing_needs_them(folder: Path, place: Path) -> None:
    with clones(folder, place, overlay=True) as made:
        workspace = asyncio.run(made.create("worker", 1, ()))
        assert remove_unused_hubs() == ()
        asyncio.run(workspace.remove())
        assert remove_unused_hubs() == (hub_of(open_repository(folder)).directory,)
        again = asyncio.run(made.create("again", 1, ()))
        assert git(again.path, "status", "--porcelain") == ""


KILLED = """
import asyncio, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.integration.clone_fixtures import clones
with clones(Path(sys.argv[2]), Path(sys.argv[3]), overlay=True) as made:
    workspace = asyncio.run(made.create("worker", 1, ()))
    (workspace.path / "new.txt").write_text("n")
    print("made", flush=True)
    sys.stdin.readline()
"""


def test_mounts_of_a_killed_run_are_found_and_taken_away(folder: Path, place: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(Path(__file__).parents[2]), str(folder), str(place)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"made\n"
        process.kill()
    assert is_mounted(place / "worker")
    gone = remove_leftovers(open_repository(folder), "run-1", place, author=AUTHOR)
    assert (gone.faults, gone.kept) == ((), ("orchestrator/run-1/worker",))
    assert not is_mounted(place / "worker")
    assert not place.exists()


def test_where_there_can_be_none_the_reason_is_said(tmp_path: Path) -> None:
    assert overlay_fault(tmp_path) is None
    odd = tmp_path / "a,b"
    assert "comma" in (overlay_fault(odd) or "")
    with pytest.raises(WorkspaceError, match="no overlay"):
        mount(Layers(tmp_path / "not-there", tmp_path / "own"), tmp_path / "place")


def test_somebody_who_is_not_root_is_told_so(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to become somebody else")
    code = (
        "import os, sys, pathlib; sys.path.insert(0, sys.argv[1])\n"
        "from orchestrator.workspaces.overlay import overlay_fault\n"
        "os.setuid(65534)\nprint(overlay_fault(pathlib.Path(sys.argv[2])))"
    )
    argv = [sys.executable, "-c", code, str(Path(__file__).parents[2]), str(tmp_path)]
    assert "only root" in subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def test_an_older_base_and_a_newer_one_lie_side_by_side(folder: Path, place: Path) -> None:
    old = git(folder, "rev-parse", "HEAD")
    commit_files(folder, {"a.txt": "newer\n"})
    with clones(folder, place, overlay=True) as made:
        newer = asyncio.run(made.create("newer", 1, ()))
    with clones(folder, place, overlay=True, base=old) as made:
        older = asyncio.run(made.create("older", 1, ()))
    assert (newer.path / "a.txt").read_text() == "newer\n"
    assert (older.path / "a.txt").read_text() == "a\n"
