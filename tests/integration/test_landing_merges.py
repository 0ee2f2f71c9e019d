"""Work whose paths are apart is committed without a merge: the trees must be those that git merges."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from orchestrator.git.repository import open_repository
from orchestrator.landing.integration import Integration
from orchestrator.landing.plan import Candidate
from tests.integration.run_fixtures import git, make_repository

FOLDERS = ("", "a/", "a/b/", "c/", "d e/")


def _change(repo: Path, chance: random.Random, mark: str) -> None:
    """One random change to the checkout: what agents do, and what they should not."""
    files = git(repo, "ls-files", "-z").split("\0")[:-1]
    file = repo / chance.choice(files)
    kind = chance.choice(["edit", "edit", "edit", "add", "add", "remove", "rename", "mode", "link", "folder"])
    if not file.is_file() or file.is_symlink():
        kind = "add"
    if kind == "edit":
        lines = file.read_text().splitlines()
        lines[chance.randrange(len(lines))] = mark
        file.write_text("\n".join(lines) + "\n")
    elif kind == "mode":
        file.chmod(0o755)
    elif kind == "link":
        (repo / f"link {mark}").symlink_to("README.md")
    elif kind == "rename":
        target = repo / chance.choice(FOLDERS) / f"moved-{mark}.txt"
        target.parent.mkdir(parents=True, exist_ok=True)
        file.rename(target)
    elif kind in {"remove", "folder"}:
        file.unlink()
        if kind == "folder":
            file.mkdir()
            (file / "inner.txt").write_text(f"{mark}\n")
    else:
        target = repo / chance.choice(FOLDERS) / chance.choice([f"new-{mark}.txt", "same.txt", f"ü\t{mark}"])
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(f"{mark}\n" * 5)


@pytest.mark.parametrize("seed", range(8))
def test_the_quick_way_gives_what_git_merges(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    repo_dir = make_repository(tmp_path / "repo")
    for folder in FOLDERS:
        for number in range(4):
            path = repo_dir / folder / f"f{number}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f"{folder} {number} line {line}\n" for line in range(8)))
    git(repo_dir, "add", "-A")
    git(repo_dir, "commit", "-q", "-m", "files")
    candidates = []
    for number in range(9):
        git(repo_dir, "checkout", "-q", "--detach", "main")
        for change in range(chance.randint(1, 3)):
            _change(repo_dir, chance, f"m{number}-{change}")
        git(repo_dir, "add", "-A")
        git(repo_dir, "commit", "-q", "--allow-empty", "-m", f"w{number}")
        commit = git(repo_dir, "rev-parse", "HEAD")
        candidates.append(
            Candidate(worker_id=f"w{number}", name="w", agent="command", branch="b", commit=commit)
        )
    git(repo_dir, "checkout", "-q", "-f", "main")
    repo = open_repository(repo_dir)
    quick = _extended(repo_dir, tmp_path / "quick", candidates, learn=True)
    slow = _extended(repo_dir, tmp_path / "slow", candidates, learn=False)
    squashed = _extended(repo_dir, tmp_path / "squash", candidates, learn=True, history="squash")
    assert quick == slow == squashed
    assert repo.head == git(repo_dir, "rev-parse", "main")


def _extended(
    repo_dir: Path, place: Path, candidates: list[Candidate], *, learn: bool, history: str = "merge"
) -> tuple[list[tuple[str, str]], list[str]]:
    """Who landed with which tree, and who did not. What was not learnt is always merged by git."""
    repo = open_repository(repo_dir)
    made = Integration(
        shield=repo.scratch(place, head=repo.head),
        base=repo.head,
        run_id="run",
        author="N <n@localhost>",
        history=history,  # type: ignore[arg-type]
    )
    if learn:
        made.learn(candidates)
    found = made.extend(made.tip_at(repo.head, []), candidates)
    return (
        [(step.candidate.worker_id, step.tip.tree) for step in found.steps],
        [held.worker_id for held in found.held],
    )
