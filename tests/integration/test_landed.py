"""A branch is landed when the target holds its work, whichever way git brought it there."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.git.repository import open_repository
from orchestrator.git.shield import Shield
from orchestrator.landing.landed import How, is_landed
from tests.integration.git_fixtures import commit_files, git, make_repository

LINES = "".join(f"line {n}\n" for n in range(40))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """`main`, and a branch `work` of two commits over three files."""
    folder = make_repository(tmp_path / "repo", {"code.py": LINES, "other.py": "other\n"})
    git(folder, "checkout", "--quiet", "-b", "work")
    commit_files(folder, {"code.py": LINES.replace("line 5\n", "five\n"), "new.py": "new\n"}, "One")
    commit_files(
        folder, {"code.py": LINES.replace("line 5\n", "five\nand six\n"), "new.py": "new\n2\n"}, "Two"
    )
    git(folder, "checkout", "--quiet", "main")
    return folder


def how(folder: Path, commit: str = "work", target: str = "main", base: str | None = None) -> How:
    base = base or git(folder, "merge-base", commit, target)
    repo = open_repository(folder)
    place = folder.parent / "scratch"
    shield = (
        Shield(git_dir=place, objects=place / "objects")
        if place.exists()
        else repo.scratch(place, head=repo.head)
    )
    names = (git(folder, "rev-parse", name) for name in (commit, target, base))
    return is_landed(shield, *names)


def go_on(folder: Path, text: str = "five\n", to: str = "FIVE, later\n") -> None:
    """Change the very lines that the work changed."""
    commit_files(folder, {"code.py": (folder / "code.py").read_text().replace(text, to)}, "Go on")


def test_what_is_nowhere_is_missing(folder: Path) -> None:
    assert how(folder) is How.MISSING
    commit_files(folder, {"elsewhere.py": "x\n"})
    assert how(folder) is How.MISSING


def test_a_branch_without_work_is_empty(folder: Path) -> None:
    git(folder, "branch", "idle", "main~0")
    git(folder, "checkout", "--quiet", "-b", "back", "work")
    git(folder, "revert", "--no-edit", "work~2..work")
    git(folder, "checkout", "--quiet", "main")
    base = git(folder, "rev-parse", "main")
    commit_files(folder, {"elsewhere.py": "x\n"})
    assert how(folder, "idle", base=base) is How.EMPTY
    assert how(folder, "back", base=base) is How.EMPTY


def test_a_merge(folder: Path) -> None:
    base = git(folder, "rev-parse", "main")
    git(folder, "merge", "--quiet", "--no-ff", "--no-edit", "work")
    go_on(folder)
    assert how(folder, base=base) is How.ANCESTOR


@pytest.mark.parametrize("later", [False, True])
def test_a_squash(folder: Path, later: bool) -> None:
    commit_files(folder, {"other.py": "moved on\n"}, "Before")
    git(folder, "merge", "--quiet", "--squash", "work")
    git(folder, "commit", "--quiet", "-m", "Squashed")
    if later:
        go_on(folder)
    assert how(folder) is (How.PATCH if later else How.TREE)


@pytest.mark.parametrize("later", [False, True])
def test_a_rebase(folder: Path, later: bool) -> None:
    commit_files(folder, {"code.py": LINES.replace("line 30\n", "thirty\n")}, "Before")
    git(folder, "checkout", "--quiet", "-b", "rebased", "work")
    git(folder, "rebase", "--quiet", "main")
    git(folder, "checkout", "--quiet", "main")
    git(folder, "merge", "--quiet", "--ff-only", "rebased")
    if later:
        go_on(folder)
    assert how(folder) is (How.PATCH if later else How.TREE)


@pytest.mark.parametrize("later", [False, True])
def test_cherry_picks_in_another_company(folder: Path, later: bool) -> None:
    git(folder, "cherry-pick", "work~1")
    commit_files(folder, {"other.py": "between\n"}, "Between")
    git(folder, "cherry-pick", "work")
    if later:
        go_on(folder)
    assert how(folder) is (How.PATCH if later else How.TREE)


def test_several_branches_squashed_into_one_commit(folder: Path) -> None:
    git(folder, "merge", "--quiet", "--squash", "work")
    commit_files(folder, {"third.py": "of another branch\n"}, "Squash of two branches")
    go_on(folder)
    assert how(folder) is How.PATCH


def test_a_part_is_not_the_whole(folder: Path) -> None:
    git(folder, "cherry-pick", "work~1")
    assert how(folder) is How.MISSING
    go_on(folder)
    assert how(folder) is How.MISSING


def test_one_file_of_two_is_not_the_whole(folder: Path) -> None:
    git(folder, "checkout", "work", "--", "code.py")
    git(folder, "commit", "--quiet", "-m", "A part")
    assert how(folder) is How.MISSING


@pytest.mark.parametrize("later", [False, True])
def test_landed_and_reverted_is_not_landed(folder: Path, later: bool) -> None:
    git(folder, "merge", "--quiet", "--squash", "work")
    git(folder, "commit", "--quiet", "-m", "Squashed")
    git(folder, "revert", "--no-edit", "HEAD")
    if later:
        go_on(folder, "line 5\n", "something else\n")
    assert how(folder) is How.REVERTED


def test_a_revert_of_a_part_is_not_landed(folder: Path) -> None:
    git(folder, "merge", "--quiet", "--squash", "work")
    git(folder, "commit", "--quiet", "-m", "Squashed")
    commit_files(folder, {"code.py": LINES}, "Take one file back")
    assert how(folder) is How.REVERTED


def test_landed_reverted_and_landed_again(folder: Path) -> None:
    git(folder, "merge", "--quiet", "--squash", "work")
    git(folder, "commit", "--quiet", "-m", "Squashed")
    git(folder, "revert", "--no-edit", "HEAD")
    git(folder, "revert", "--no-edit", "HEAD")
    assert how(folder) is How.TREE
    go_on(folder)
    assert how(folder) is How.PATCH


def test_a_merge_that_was_reverted_has_nothing_more_to_land(folder: Path) -> None:
    base = git(folder, "rev-parse", "main")
    git(folder, "merge", "--quiet", "--no-ff", "--no-edit", "work")
    git(folder, "revert", "--no-edit", "-m", "1", "HEAD")
    assert how(folder, base=base) is How.ANCESTOR


def test_a_binary_file_counts_by_its_content(folder: Path) -> None:
    git(folder, "checkout", "--quiet", "-b", "picture", "main")
    (folder / "picture").write_bytes(b"\0one")
    git(folder, "add", "picture")
    git(folder, "commit", "--quiet", "-m", "Picture")
    git(folder, "checkout", "--quiet", "main")
    (folder / "picture").write_bytes(b"\0another")
    git(folder, "add", "picture")
    git(folder, "commit", "--quiet", "-m", "Another")
    assert how(folder, "picture") is How.MISSING
    git(folder, "rm", "--quiet", "picture")
    git(folder, "commit", "--quiet", "-m", "Away")
    git(folder, "cherry-pick", "picture")
    (folder / "picture").write_bytes(b"\0a third")
    git(folder, "commit", "--quiet", "-a", "-m", "Go on")
    assert how(folder, "picture") is How.PATCH


def test_white_space_counts(folder: Path) -> None:
    git(folder, "checkout", "--quiet", "-b", "indented", "main")
    commit_files(folder, {"other.py": "  other\n"})
    git(folder, "checkout", "--quiet", "main")
    commit_files(folder, {"other.py": "    other\n"})
    assert how(folder, "indented") is How.MISSING


def test_what_builds_on_another_branch_counts_by_its_own_part(folder: Path) -> None:
    base = git(folder, "rev-parse", "work")
    git(folder, "checkout", "--quiet", "-b", "dependent", "work")
    commit_files(folder, {"own.py": "own\n"})
    git(folder, "checkout", "--quiet", "main")
    git(folder, "merge", "--quiet", "--squash", "work")
    git(folder, "commit", "--quiet", "-m", "What it needs")
    assert how(folder, "dependent", base=base) is How.MISSING
    git(folder, "cherry-pick", "dependent")
    go_on(folder)
    assert how(folder, "dependent", base=base) is How.PATCH


def test_histories_with_nothing_in_common(folder: Path) -> None:
    git(folder, "checkout", "--quiet", "--orphan", "alien")
    commit_files(folder, {"alien.py": "x\n"})
    git(folder, "checkout", "--quiet", "main")
    assert how(folder, "alien", base=git(folder, "rev-parse", "main")) is How.MISSING


def test_nothing_is_written_into_the_repository(folder: Path) -> None:
    before = sorted((folder / ".git" / "objects").rglob("*"))
    how(folder)
    assert sorted((folder / ".git" / "objects").rglob("*")) == before
