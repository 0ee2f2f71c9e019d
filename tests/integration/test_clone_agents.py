"""What agents leave in a clone is treated as in a worktree: the same tests, once plain and once overlaid."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.workspaces.own_clone import CloneWorkspace
from tests.integration.clone_fixtures import clones, skip_without_overlays
from tests.integration.git_fixtures import fingerprint, git, make_repository
from tests.integration.test_workspaces_agents import (  # noqa: F401 (pytest collects them here as well)
    test_a_link_among_the_agents_changes_is_not_followed,
    test_a_merge_left_in_the_middle_is_committed_as_it_stands,
    test_a_rebase_left_in_the_middle_loses_nothing,
    test_an_amended_first_commit_is_kept_and_named,
    test_an_unborn_branch_loses_nothing,
    test_commits_of_the_agent_stay,
    test_leaving_for_an_older_commit_takes_nothing_away,
    test_work_elsewhere_comes_onto_the_branch,
    test_work_on_two_branches_is_joined,
    test_work_on_unrelated_history_is_kept_and_named,
    test_work_that_conflicts_with_the_branch_is_kept_and_named,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "repo")


@pytest.fixture(params=[False, True], ids=["plain", "overlay"])
def workspace(folder: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[CloneWorkspace]:
    """A fresh clone; whatever happens in it, what is the user's stays as it was."""
    if request.param:
        skip_without_overlays(tmp_path)
    before = fingerprint(folder)
    with clones(folder, tmp_path / "workspaces", overlay=request.param) as made:
        workspace = asyncio.run(made.create("worker", 1, ()))
        yield workspace
        assert git(folder, "fsck", "--no-dangling") == ""
        assert fingerprint(folder) == before
