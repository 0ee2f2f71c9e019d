"""Who conflicts with whom: real branches, compared with what git itself says when it merges them."""

from __future__ import annotations

import asyncio
import itertools
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.git.attributes import lay_attributes
from orchestrator.git.history import MergeConflictError, join
from orchestrator.git.merging import merge_all
from orchestrator.git.repository import open_repository
from orchestrator.journal.state import load_state
from orchestrator.landing.conflicts import Target, find_conflicts, pair_conflicts
from orchestrator.report.build import build_report
from tests.integration.run_fixtures import IDENTITY, git, make_repository, make_run, shell, task

LINES = [f"line {number}" for number in range(12)]


def change(line: int, text: str) -> Callable[[Path], None]:
    def edit(repo: Path) -> None:
        lines = (repo / "text").read_text().splitlines()
        lines[line] = text
        (repo / "text").write_text("\n".join([*lines, ""]))

    return edit


def rename(new: str) -> Callable[[Path], None]:
    return lambda repo: git(repo, "mv", "text", new) and None


def folder_renamed(repo: Path) -> None:
    git(repo, "mv", "lib", "library")


def in_folder(repo: Path) -> None:
    (repo / "lib" / "new.txt").write_text("new\n")


def folder_in_place_of_file(repo: Path) -> None:
    (repo / "plain").unlink()
    (repo / "plain").mkdir()
    (repo / "plain" / "inner").write_text("inner\n")


def link(repo: Path, commit: str) -> None:
    """Let a submodule be at another commit, which need not be there."""
    (repo / "module").mkdir(exist_ok=True)
    git(repo, "update-index", "--add", "--cacheinfo", f"160000,{commit},module")


#: Each kind of change that one branch makes.
CHANGES: dict[str, Callable[[Path], object]] = {
    "first-line": change(0, "one"),
    "first-line-too": change(0, "two"),
    "last-line": change(11, "end"),
    "deleted": lambda repo: (repo / "text").unlink(),
    "renamed": rename("new-name"),
    "renamed-else": rename("other-name"),
    "binary": lambda repo: (repo / "image").write_bytes(b"\0\1\2" * 40),
    "binary-too": lambda repo: (repo / "image").write_bytes(b"\0\3\4" * 40),
    "added": lambda repo: (repo / "added").write_text("mine\n"),
    "added-too": lambda repo: (repo / "added").write_text("yours\n"),
    "executable": lambda repo: (repo / "plain").chmod(0o755),
    "a-link": lambda repo: ((repo / "plain").unlink(), (repo / "plain").symlink_to("text")),
    "plain-edited": lambda repo: (repo / "plain").write_text("edited\n"),
    "folder-for-file": folder_in_place_of_file,
    "folder-renamed": folder_renamed,
    "in-folder": in_folder,
    "new-executable": lambda repo: ((repo / "new").write_text("new\n"), (repo / "new").chmod(0o755)),
    "new-plain": lambda repo: (repo / "new").write_text("new\n"),
    "submodule": lambda repo: link(repo, "1" * 40),
    "submodule-too": lambda repo: link(repo, "2" * 40),
    "odd name": lambda repo: (repo / "a\tb\nc").write_text("odd\n"),
    "odd name too": lambda repo: (repo / "a\tb\nc").write_text("even\n"),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A repository with one branch for each change."""
    repo = make_repository(tmp_path_factory.mktemp("conflicts") / "repo")
    (repo / "text").write_text("\n".join([*LINES, ""]))
    (repo / "image").write_bytes(bytes(range(256)))
    (repo / "plain").write_text("plain\n")
    (repo / "lib").mkdir()
    for name in ("a", "b"):
        (repo / "lib" / name).write_text(f"{name}\n" * 20)
    git(repo, "add", ".")
    link(repo, "3" * 40)
    git(repo, "commit", "-qm", "base")
    commits = {}
    for number, (name, edit) in enumerate(CHANGES.items()):
        git(repo, "checkout", "-q", "-b", f"b{number}", "main")
        edit(repo)
        git(repo, "add", "-A", "--", ":!module")
        git(repo, "commit", "-qm", name)
        commits[name] = git(repo, "rev-parse", "HEAD")
    git(repo, "checkout", "-q", "main")
    return repo, commits


def objects(repo: Path) -> set[str]:
    return {str(path) for path in (repo / ".git" / "objects").rglob("*") if path.is_file()}


def really_conflicts(repo: Path, ours: str, theirs: str) -> bool:
    git(repo, "checkout", "-q", "--detach", ours)
    done = subprocess.run(
        ["git", *IDENTITY, "merge", "-q", "--no-edit", theirs], cwd=repo, capture_output=True, check=False
    )
    git(repo, "reset", "-q", "--hard", ours)
    subprocess.run(["git", "clean", "-qfdx"], cwd=repo, check=True)
    git(repo, "checkout", "-q", "main")
    return done.returncode != 0


def test_every_verdict_is_that_of_a_real_merge(world: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    repo, commits = world
    before = objects(repo)
    found = find_conflicts(open_repository(repo), git(repo, "rev-parse", "main"), commits, {})
    assert objects(repo) == before, "something was written into the user's repository"
    ours = {(pair.a, pair.b) for pair in found.pairs}
    for a, b in itertools.combinations(commits, 2):
        assert ((a, b) in ours) == really_conflicts(repo, commits[a], commits[b]), (a, b)
    assert 15 < len(ours) < 120
    kinds = {
        frozenset({pair.a, pair.b}): {conflict.kind for conflict in pair.conflicts} for pair in found.pairs
    }
    for names, kind in KINDS.items():
        assert kind in kinds[frozenset(names)], (names, kinds[frozenset(names)])
    odd = next(pair for pair in found.pairs if (pair.a, pair.b) == ("odd name", "odd name too"))
    assert odd.files == ("a\tb\nc",)


#: What git calls the conflict of two changes.
KINDS = {
    ("first-line", "first-line-too"): "contents",
    ("first-line", "deleted"): "modify/delete",
    ("renamed", "renamed-else"): "rename/rename",
    ("renamed", "deleted"): "rename/delete",
    ("binary", "binary-too"): "binary",
    ("added", "added-too"): "contents",
    ("new-executable", "new-plain"): "mode",
    ("submodule", "submodule-too"): "submodule",
    ("plain-edited", "folder-for-file"): "file/directory",
    ("folder-renamed", "in-folder"): "directory rename suggested",
    ("a-link", "plain-edited"): "distinct modes",
}


def test_branches_of_another_history_are_compared_too(world: tuple[Path, dict[str, str]]) -> None:
    repo, commits = world
    tree = git(repo, "rev-parse", f"{commits['first-line']}^{{tree}}")
    orphan = git(repo, "commit-tree", tree, "-m", "from nowhere")
    three = {"orphan": orphan, **{name: commits[name] for name in ("first-line", "added")}}
    found = find_conflicts(open_repository(repo), git(repo, "rev-parse", "main"), three, {})
    assert [(pair.a, pair.b) for pair in found.pairs] == [("orphan", "added")]


def test_nothing_of_the_repository_is_executed(world: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    repo, commits = world
    mark = tmp_path / "ran"
    git(repo, "config", "merge.evil.driver", f"touch {mark}; false")
    (repo / ".git" / "info" / "attributes").write_text("* merge=evil\n")
    try:
        two = {name: commits[name] for name in ("first-line", "first-line-too")}
        found = find_conflicts(open_repository(repo), git(repo, "rev-parse", "main"), two, {})
    finally:
        (repo / ".git" / "info" / "attributes").unlink()
        git(repo, "config", "--unset", "merge.evil.driver")
    assert [pair.files for pair in found.pairs] == [("text",)]
    assert not mark.exists()


def test_a_run_says_who_conflicts_and_in_which_order_to_merge(tmp_path: Path) -> None:
    repo = make_repository(tmp_path / "repo")
    tasks = [
        task("first", shell("echo one > README.md")),
        task("apart", shell("echo x > apart")),
        task("second", shell("echo two > README.md")),
        task("builds", shell("echo more >> README.md"), needs=["second"]),
        task("nothing", shell("true")),
    ]
    running = make_run(repo, tasks)
    asyncio.run(running.execute())
    report = build_report(load_state(running.directory))
    pairs = [(pair["a"], pair["b"], pair["files"]) for pair in report["conflicts"]["pairs"]]
    assert pairs == [("first", "second", ["README.md"]), ("first", "builds", ["README.md"])]
    assert report["conflicts"]["order"] == ["apart", "second", "builds", "first"]
    assert report["conflicts"]["conflicting"] == ["first"]


def test_the_conflicting_lines_are_told_as_the_files_have_them(world: tuple[Path, dict[str, str]]) -> None:
    repo, commits = world
    base = git(repo, "rev-parse", "main")
    git(repo, "checkout", "-q", "--detach", commits["last-line"])
    lines = ["before", "before", *(repo / "text").read_text().splitlines()]
    lines[8:10] = ["theirs", "theirs", "theirs"]
    (repo / "text").write_text("\n".join([*lines, ""]))
    git(repo, "commit", "-qam", "longer")
    longer = git(repo, "rev-parse", "HEAD")
    git(repo, "checkout", "-q", "--detach", base)
    change(6, "ours")(repo)
    git(repo, "commit", "-qam", "shorter")
    two = {"shorter": git(repo, "rev-parse", "HEAD"), "longer": longer}
    git(repo, "checkout", "-q", "main")
    (pair,) = find_conflicts(open_repository(repo), base, two, {}).pairs
    (conflict,) = pair.conflicts
    assert [(hunk.file, hunk.a, hunk.b) for hunk in conflict.hunks] == [("text", (7, 2), (9, 3))]


def test_each_branch_is_compared_with_where_the_base_is_by_now(world: tuple[Path, dict[str, str]]) -> None:
    repo, commits = world
    base = git(repo, "rev-parse", "main")
    some = {name: commits[name] for name in ("first-line", "last-line", "added")}
    moved = Target(ref="main", commit=commits["first-line-too"])
    found = find_conflicts(open_repository(repo), base, some, {}, moved)
    assert [(pair.a, pair.b, pair.files) for pair in found.against_target] == [
        ("first-line", "main", ("text",))
    ]
    assert found.pairs == ()
    still = find_conflicts(open_repository(repo), base, some, {}, Target(ref="main", commit=base))
    assert still.target is None and still.against_target == ()


def random_branch(chance: random.Random, repo: Path) -> None:
    """Change some files in some ways; few names, so that branches meet."""
    for _ in range(chance.randint(2, 5)):
        files = [path for path in git(repo, "ls-files").splitlines() if (repo / path).is_file()]
        path = repo / chance.choice(files)
        what = chance.choice(["line"] * 6 + ["add", "add", "delete", "rename", "mode", "link", "folder"])
        if what == "line" and not path.is_symlink():
            lines = path.read_text().splitlines()
            lines[chance.randrange(len(lines))] = f"edit {chance.randint(0, 2)}"
            path.write_text("\n".join([*lines, ""]))
        elif what == "add":
            new = repo / chance.choice(["d0", "d1", "d2"]) / f"new{chance.randint(0, 1)}"
            if new.parent.is_dir() and not new.is_dir():
                new.write_text(f"new {chance.randint(0, 1)}\n" * 9)
        elif what == "delete" and len(files) > 2:
            path.unlink()
        elif what == "rename":
            path.rename(path.with_name(f"moved{chance.randint(0, 1)}"))
        elif what == "mode" and not path.is_symlink():
            path.chmod(0o755)
        elif what == "link":
            path.unlink()
            path.symlink_to(f"nowhere{chance.randint(0, 1)}")
        elif what == "folder":
            path.unlink()
            path.mkdir()
            (path / "inner").write_text("inner\n")
        git(repo, "add", "-A")


@pytest.mark.parametrize("seed", range(6))
def test_merging_single_files_says_what_merging_all_says(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    repo = make_repository(tmp_path / "repo")
    for number in range(5):
        path = repo / f"d{number % 3}" / f"f{number}"
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(f"{number} line {line}\n" for line in range(4)))
    (repo / "d1" / ".gitattributes").write_text("f1 merge=union\nf4 binary\n")
    git(repo, "add", ".")
    git(repo, "commit", "-qm", "base")
    base = git(repo, "rev-parse", "HEAD")
    commits = []
    for number in range(10):
        start = base if number < 8 else chance.choice(commits)
        git(repo, "checkout", "-q", "--detach", start)
        subprocess.run(["git", "clean", "-qfdx"], cwd=repo, check=True)
        random_branch(chance, repo)
        git(repo, "commit", "-q", "--allow-empty", "-m", "work")
        commits.append(git(repo, "rev-parse", "HEAD"))
    pairs = list(itertools.combinations(commits, 2))
    opened = open_repository(repo)
    whole = opened.scratch(tmp_path / "whole", head=base)
    lay_attributes(whole, base, ["d0", "d1", "d2"])
    expected = [{(one.kind, one.files) for one in merge.conflicts} for merge in merge_all(whole, pairs)]
    parts = opened.scratch(tmp_path / "parts", head=base)
    told = [
        {(one.kind, one.files) for one in conflicts}
        for conflicts in pair_conflicts(parts, base, pairs, locate=True)
    ]
    assert told == expected
    assert sum(map(bool, expected)) > 3


def test_where_we_happen_to_be_decides_nothing(
    world: tuple[Path, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git would read the attributes of the folder that it is started in."""
    repo, commits = world
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / ".gitattributes").write_text("* merge=union\n")
    base = git(repo, "rev-parse", "main")
    two = {name: commits[name] for name in ("first-line", "first-line-too")}
    opened = open_repository(repo)
    monkeypatch.chdir(elsewhere)
    assert len(find_conflicts(opened, base, two, {}).pairs) == 1
    shield = opened.scratch(tmp_path / "git", head=base)
    with pytest.raises(MergeConflictError):
        join(shield, *two.values(), author="N <n@localhost>", message="both")


def test_the_attributes_of_the_base_count(tmp_path: Path) -> None:
    repo = make_repository(tmp_path / "repo")
    (repo / "docs").mkdir()
    (repo / "docs" / "CHANGES").write_text("start\n")
    (repo / "docs" / ".gitattributes").write_text("CHANGES merge=union\n")
    git(repo, "add", ".")
    git(repo, "commit", "-qm", "base")
    base = git(repo, "rev-parse", "HEAD")
    commits = {}
    for name in ("one", "two"):
        git(repo, "checkout", "-q", "--detach", base)
        (repo / "docs" / "CHANGES").write_text(f"start\n{name}\n")
        (repo / "README.md").write_text(f"{name}\n")
        git(repo, "commit", "-qam", name)
        commits[name] = git(repo, "rev-parse", "HEAD")
    assert [pair.files for pair in find_conflicts(open_repository(repo), base, commits, {}).pairs] == [
        ("README.md",)
    ]
