"""Hints on branches that git merges cleanly."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.git.repository import open_repository
from orchestrator.landing.hints import Hint, find_hints
from tests.integration.run_fixtures import git, make_repository

CODE = """\
def area(width, height):
    # the middle
    # of the
    # function
    # is long
    # enough
    return width * height


def wall(house):
    return area(house.width, house.height)


def door(house):
    return 2
"""


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = make_repository(tmp_path_factory.mktemp("hints") / "repo")
    (made / "house.py").write_text(CODE)
    (made / "roof.py").write_text("from house import area\n\n\ndef roof(house):\n    return area(1, 2)\n")
    (made / "package.json").write_text('{\n "dependencies": {\n  "react": "17",\n  "vue": "2"\n }\n}\n')
    (made / "package-lock.json").write_text("{}\n")
    git(made, "add", ".")
    git(made, "commit", "-qm", "base")
    return made


def branch(repo: Path, files: dict[str, str]) -> str:
    git(repo, "checkout", "-q", "--detach", "main")
    for name, text in files.items():
        (repo / name).parent.mkdir(parents=True, exist_ok=True)
        (repo / name).write_text(text)
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "work")
    return git(repo, "rev-parse", "HEAD")


def hints(repo: Path, tmp_path: Path, *branches: dict[str, str]) -> list[Hint]:
    base = git(repo, "rev-parse", "main")
    commits = {f"w{number}": branch(repo, files) for number, files in enumerate(branches, 1)}
    return find_hints(open_repository(repo).scratch(tmp_path / "git", head=base), base, commits)


def test_the_same_function_changed_on_both_sides(repo: Path, tmp_path: Path) -> None:
    top = CODE.replace("def area(width, height):", "def area(width, height, unit=1):")
    bottom = CODE.replace("return width * height", "return abs(width * height)")
    (found,) = hints(repo, tmp_path, {"house.py": top}, {"house.py": bottom})
    assert (found.kind, found.what, found.files) == ("symbol", "area", ("house.py",))
    assert found.text == "w1 and w2 both change area in house.py"


def test_a_function_changed_here_whose_caller_changed_there(repo: Path, tmp_path: Path) -> None:
    changed = CODE.replace("def area(width, height):", "def area(height, width):")
    caller = "from house import area\n\n\ndef roof(house):\n    return area(3, 4)\n"
    (found,) = hints(repo, tmp_path, {"house.py": changed}, {"roof.py": caller})
    assert (found.kind, found.what, found.files) == ("caller", "area", ("house.py", "roof.py"))
    assert (found.a, found.b) == ("w1", "w2")


def test_changes_that_have_nothing_to_do_with_each_other_give_no_hint(repo: Path, tmp_path: Path) -> None:
    door = CODE.replace("return 2", "return 3")
    caller = "from house import area\n\n\ndef roof(house):\n    return area(3, 4)\n"
    assert hints(repo, tmp_path, {"house.py": door}, {"roof.py": caller}) == []


def test_one_dependency_at_two_versions(repo: Path, tmp_path: Path) -> None:
    text = (repo / "package.json").read_text()
    one, two = text.replace('"17"', '"18"'), text.replace('"17"', '"19"').replace('"2"', '"3"')
    (found,) = hints(repo, tmp_path, {"package.json": one}, {"package.json": two})
    assert (found.kind, found.what) == ("dependency", "react")
    assert found.text == "react in package.json: w1 asks for 18, w2 for 19"


def test_two_migrations_of_one_number_and_a_generated_file(repo: Path, tmp_path: Path) -> None:
    found = hints(
        repo,
        tmp_path,
        {"app/migrations/0002_one.py": "", "package-lock.json": '{"a": 1}\n'},
        {"app/migrations/0002_two.py": "", "package-lock.json": '{"b": 1}\n'},
    )
    assert [(hint.kind, hint.what) for hint in found] == [
        ("migration", "0002"),
        ("generated", "package-lock.json"),
    ]


def test_what_builds_on_another_gives_no_hint_against_it(repo: Path, tmp_path: Path) -> None:
    base = git(repo, "rev-parse", "main")
    first = branch(repo, {"house.py": CODE.replace("return 2", "return 3")})
    (repo / "house.py").write_text(CODE.replace("return 2", "return 4"))
    git(repo, "commit", "-qam", "on top")
    second = git(repo, "rev-parse", "HEAD")
    shield = open_repository(repo).scratch(tmp_path / "git", head=base)
    assert find_hints(shield, base, {"w1": first, "w2": second}) == []
