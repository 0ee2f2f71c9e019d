"""The user's own folder as the workspace: nothing of ours changes it."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orchestrator.errors import WorkspaceError
from orchestrator.git.repository import open_repository
from orchestrator.workspaces.none import NoWorkspaces
from tests.integration.git_fixtures import commit_files, fingerprint, git, make_repository, write_files


def test_a_folder_without_git(tmp_path: Path) -> None:
    async def scenario(pool: ThreadPoolExecutor) -> None:
        workspace = await NoWorkspaces(tmp_path, pool=pool).create("worker", 1, ())
        write_files(tmp_path, {"new.txt": "new\n"})
        assert (workspace.path, workspace.branch, workspace.start_commit) == (tmp_path, None, None)
        assert await workspace.commit("Work") is None
        assert await workspace.files_changed() == ()
        await workspace.remove()
        assert (tmp_path / "new.txt").exists()
        with pytest.raises(WorkspaceError, match="is not a folder"):
            await NoWorkspaces(tmp_path / "missing", pool=pool).create("worker", 1, ())

    with ThreadPoolExecutor(1) as pool:
        asyncio.run(scenario(pool))


def test_a_repository_is_only_looked_at(tmp_path: Path) -> None:
    folder = make_repository(tmp_path / "repo")
    write_files(folder, {"dirty-before.txt": "mine\n", "a.txt": "mine\n"})

    async def scenario(pool: ThreadPoolExecutor) -> None:
        workspace = await NoWorkspaces(folder, pool=pool, repo=open_repository(folder)).create(
            "worker", 1, ()
        )
        assert await workspace.files_changed() == ()
        write_files(folder, {"a.txt": "mine, then the agent's\n", "dir/new.txt": "new\n"})
        (folder / "src" / "b.txt").unlink()
        before = fingerprint(folder)
        assert await workspace.commit("Work") is None
        assert await workspace.files_changed() == ("a.txt", "dir/new.txt", "src/b.txt")
        await workspace.remove()
        assert fingerprint(folder) == before
        commit_files(folder, {"committed.txt": "c\n"})
        names = ("a.txt", "committed.txt", "dir/new.txt", "dirty-before.txt", "src/b.txt")
        assert await workspace.files_changed() == names
        assert workspace.start_commit == git(folder, "rev-parse", "HEAD~1")

    with ThreadPoolExecutor(1) as pool:
        asyncio.run(scenario(pool))
