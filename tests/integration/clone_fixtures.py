"""Workspaces of the strategy `clone`, as overlays or not, for tests."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.git.repository import open_repository
from orchestrator.workspaces.clone import CloneWorkspaces
from orchestrator.workspaces.overlay import overlay_fault, unmount
from tests.integration.git_fixtures import AUTHOR


def skip_without_overlays(folder: Path) -> None:
    if fault := overlay_fault(folder):
        pytest.skip(fault)


@contextmanager
def clones(
    folder: Path,
    directory: Path,
    *,
    overlay: bool = False,
    base: str | None = None,
    copy_files: tuple[str, ...] = (),
    run_id: str = "run-1",
    salvage_ignored: bool = False,
) -> Iterator[CloneWorkspaces]:
    """Open the repository in `folder` and make clones in `directory`."""
    repo = open_repository(folder)
    with ThreadPoolExecutor(max_workers=4) as pool:
        yield CloneWorkspaces(
            repo,
            run_id=run_id,
            base_commit=base or repo.head,
            directory=directory,
            author=AUTHOR,
            copy_files=copy_files,
            salvage_ignored=salvage_ignored,
            pool=pool,
            overlay=overlay,
        )


def unmount_all(directory: Path) -> None:
    """Take away the overlays that a test left."""
    for place in (*directory.glob("*"), *directory.glob("*/*")):
        unmount(place)
