"""What a snapshot and a salvage of one workspace cost."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator.git.repository import open_repository
from orchestrator.workspaces.snapshots import Snapshots
from orchestrator.workspaces.worktree import WorktreeWorkspaces

EDITS = 20


def measure_keeping(repo_dir: Path, folder: Path, rounds: int) -> Iterator[dict[str, Any]]:
    """Yield a row for each look at a workspace in which 20 files were edited and 20 are new."""
    repo = open_repository(repo_dir)
    with ThreadPoolExecutor(max_workers=1) as pool:
        makers = WorktreeWorkspaces(
            repo,
            run_id="keeping",
            base_commit=repo.head,
            directory=folder / "workspaces",
            author="Nobody <nobody@localhost>",
            copy_files=(),
            pool=pool,
        )
        for round_ in range(1, rounds + 1):
            workspace = asyncio.run(makers.create("w", 1, ()))
            scratch = folder / f"scratch-{round_}"
            try:
                _edit(workspace.path, "first")
                taker = Snapshots(repo, base=repo.head, directory=folder / "workspaces", scratch=scratch)
                look = partial(taker.take, ["w"])
                yield _timed(round_, "first snapshot", look)
                yield _timed(round_, "snapshot, nothing changed since", look)
                _edit(workspace.path, "second")
                yield _timed(round_, "snapshot, 40 files changed since", look)
                yield _timed(round_, "salvage", workspace.salvage_now)
            finally:
                asyncio.run(workspace.remove())
                shutil.rmtree(scratch, ignore_errors=True)


def _edit(path: Path, text: str) -> None:
    files = sorted(path.glob("area0/part*/*.txt"))[:: max(1, 2500 // EDITS)][:EDITS]
    for number, file in enumerate(files):
        file.write_text(f"{text} {number}\n")
        (path / f"new{number}.txt").write_text(f"{text} new {number}\n")


def _timed(round_: int, what: str, work: Callable[[], object]) -> dict[str, Any]:
    began = time.perf_counter()
    if not work():
        raise RuntimeError(f"{what} gave nothing")
    took = round(time.perf_counter() - began, 4)
    return {"round": round_, "way": what, "wall_s": took, "load": round(os.getloadavg()[0], 2)}
