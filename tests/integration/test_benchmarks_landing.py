"""The landing benchmark measures what it says, on small repositories."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.landing.__main__ import render
from benchmarks.landing.joining import measure_joining
from benchmarks.landing.keeping import measure_keeping
from benchmarks.landing.matrix import measure_matrix
from benchmarks.landing.replay import replay
from benchmarks.landing.worlds import make_branches, make_repository
from tests.integration.run_fixtures import git


def test_every_measure_gives_rows_that_agree_with_git(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path / "home"))
    repo = make_repository(tmp_path / "repo", 200)
    commits = make_branches(repo, 200, 8, 10)
    matrix = [
        row | {"measure": "matrix", "files": 200, "edits": 10}
        for row in measure_matrix(repo, commits, 1, slow=True)
    ]
    assert len(matrix) == 4 and all(row["same"] for row in matrix)
    kept = [row | {"measure": "keeping", "files": 200} for row in measure_keeping(repo, tmp_path, 1)]
    assert len(kept) == 4
    apart = make_branches(repo, 200, 8, 10, apart=True)
    joined = [
        row | {"measure": "joining", "files": 200} for row in measure_joining(repo, tmp_path / "j", apart, 1)
    ]
    assert len(joined) == 2 and all(row["same"] for row in joined)
    for branch in list(commits)[:4]:
        git(repo, "merge", "-q", "--no-ff", "-X", "ours", "-m", "merge", branch)
    (tmp_path / "replayed").mkdir()
    replayed = list(replay(repo, tmp_path / "replayed", 4))
    assert replayed and all(row["agree"] and row["files_agree"] for row in replayed)
    summary = render([*replayed, *matrix, *joined, *kept])
    assert "| 200 | 10 | ours | 28 |" in summary
