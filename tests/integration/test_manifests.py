"""Files that always collide: merged by key or by lines, made anew, or left as a conflict, in real merges."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.config import OrchestratorConfig
from orchestrator.errors import InputError
from orchestrator.git.history import commit_tree
from orchestrator.git.merging import Merge, merge_all
from orchestrator.git.repository import open_repository
from orchestrator.git.shield import Shield
from orchestrator.landing.conflicts import find_conflicts
from orchestrator.landing.manifests import MergeRules, advice, regenerations, resolve_known, rules_of
from tests.integration.git_fixtures import AUTHOR, commit_files, fingerprint, git, make_repository

PACKAGE = '{\n  "name": "shop",\n  "dependencies": {\n    "zod": "3"\n  }\n}\n'
LOCK = '{\n  "lockfileVersion": 3,\n  "packages": {}\n}\n'
CHANGELOG = "# Changelog\n\n## Unreleased\n\n## 1.0\n- First\n"
MAKE_LOCK = "npm install --package-lock-only"
RULES = MergeRules(union=("CHANGELOG.md",), lock_files={"package-lock.json": MAKE_LOCK})


def _adds(name: str) -> dict[str, str]:
    return {
        "web/package.json": PACKAGE.replace('"zod"', f'"{name}": "1",\n    "zod"'),
        "web/package-lock.json": LOCK.replace("{}", f'{{"{name}": 1}}'),
        "CHANGELOG.md": CHANGELOG.replace("Unreleased\n", f"Unreleased\n- {name}\n"),
        f"src/{name}.js": f"{name}()\n",
    }


def _branches(repo: Path, base: Mapping[str, str], *sides: Mapping[str, str]) -> list[str]:
    """Commit each of `sides` on `base`; return the base and all of them."""
    commits = [commit_files(repo, base)]
    for number, files in enumerate(sides):
        git(repo, "switch", "-qc", f"side-{number}", commits[0])
        commits.append(commit_files(repo, files))
    git(repo, "switch", "-q", "main")
    return commits


@contextmanager
def _merged(
    tmp_path: Path, repo: Path, commits: list[str], rules: MergeRules
) -> Iterator[tuple[Shield, Merge]]:
    """The merge of two sides, in a place of its own."""
    before = fingerprint(repo)
    shield = open_repository(repo).scratch(tmp_path / "scratch", head=commits[0])
    (merge,) = merge_all(shield, [(commits[1], commits[2])])
    base, ours, theirs = commits
    yield shield, resolve_known(shield, merge, base=base, ours=ours, theirs=theirs, rules=rules)
    assert fingerprint(repo) == before


def _file(shield: Shield, tree: str, path: str) -> str:
    return shield.run(["cat-file", "blob", f"{tree}:{path}"]).stdout.decode()


BASE = {"web/package.json": PACKAGE, "web/package-lock.json": LOCK, "CHANGELOG.md": CHANGELOG}


def test_each_by_its_own_rule(tmp_path: Path) -> None:
    repo = make_repository(tmp_path / "repo")
    commits = _branches(repo, BASE, _adds("pg"), _adds("jose"))
    with _merged(tmp_path, repo, commits, RULES) as (shield, merge):
        assert merge.conflicts == ()
        assert {(each.path, each.by) for each in merge.resolved} == {
            ("CHANGELOG.md", "union"),
            ("web/package.json", "manifest"),
            ("web/package-lock.json", "lock file"),
        }
        package = json.loads(_file(shield, merge.tree, "web/package.json"))
        assert list(package["dependencies"]) == ["jose", "pg", "zod"]
        assert _file(shield, merge.tree, "web/package-lock.json") == _adds("pg")["web/package-lock.json"]
        both = CHANGELOG.replace("Unreleased\n", "Unreleased\n- pg\n- jose\n")
        assert _file(shield, merge.tree, "CHANGELOG.md").replace("\n\n", "\n") == both.replace("\n\n", "\n")
        assert _file(shield, merge.tree, "src/jose.js") == "jose()\n"
        assert shield.run(["ls-tree", "-r", merge.tree]).stdout.count(b"100644 blob") == 7
        (lock,) = regenerations(merge, RULES)
        assert (lock.path, lock.folder, lock.command) == (
            "web/package-lock.json",
            "web",
            MAKE_LOCK,
        )


def test_without_rules_only_manifests_are_merged(tmp_path: Path) -> None:
    repo = make_repository(tmp_path / "repo")
    commits = _branches(repo, BASE, _adds("pg"), _adds("jose"))
    with _merged(tmp_path, repo, commits, MergeRules()) as (_, merge):
        assert merge.files == ("CHANGELOG.md", "web/package-lock.json")
        assert merge.stages.keys() == set(merge.files)
        assert regenerations(merge, MergeRules()) == ()
        assert "lock_files" in str(advice(merge.files))
        assert "union" in str(advice(["docs/CHANGELOG.md"]))
        assert advice(["a.py"]) is None


def test_a_lock_file_that_git_merges_as_text_is_made_anew_too(tmp_path: Path) -> None:
    repo = make_repository(tmp_path / "repo")
    lines = "".join(f"line {number}\n" for number in range(20))
    base = {"package-lock.json": lines}
    ours, theirs = lines.replace("line 1\n", "one\n"), lines.replace("line 18\n", "eighteen\n")
    commits = _branches(repo, base, {"package-lock.json": ours}, {"package-lock.json": theirs})
    with _merged(tmp_path, repo, commits, RULES) as (shield, merge):
        assert _file(shield, merge.tree, "package-lock.json") == ours
        assert [each.path for each in regenerations(merge, RULES)] == ["package-lock.json"]


def test_what_is_more_than_content_stays_a_conflict(tmp_path: Path) -> None:
    repo = make_repository(tmp_path / "repo")
    commits = _branches(repo, BASE, _adds("pg"))
    git(repo, "switch", "-qc", "gone", commits[0])
    git(repo, "rm", "-q", "web/package.json", "CHANGELOG.md")
    (repo / "web/package-lock.json").unlink(missing_ok=True)
    (repo / "web").mkdir(exist_ok=True)
    (repo / "web/package-lock.json").symlink_to("elsewhere")
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "gone")
    commits.append(git(repo, "rev-parse", "HEAD"))
    git(repo, "switch", "-q", "main")
    with _merged(tmp_path, repo, commits, RULES) as (_, merge):
        assert {"CHANGELOG.md", "web/package.json"} <= set(merge.files)
        assert merge.resolved == ()


def test_the_repository_s_own_drivers_have_no_say(tmp_path: Path) -> None:
    repo = make_repository(tmp_path / "repo", {".gitattributes": "*.json merge=evil\n*.md merge=evil\n"})
    git(repo, "config", "merge.evil.driver", f"touch {tmp_path}/ran; false")
    commits = _branches(repo, BASE, _adds("pg"), _adds("jose"))
    with _merged(tmp_path, repo, commits, RULES) as (_, merge):
        assert merge.conflicts == ()
    assert not (tmp_path / "ran").exists()


def test_eight_branches_over_one_manifest_all_merge(tmp_path: Path) -> None:
    repo = make_repository(tmp_path / "repo")
    sides = [
        {"package.json": PACKAGE.replace('"zod"', f'"{name}": "1",\n    "zod"')}
        for name in ("a", "b", "c", "d", "e", "f", "g", "h")
    ]
    base, *commits = _branches(repo, {"package.json": PACKAGE}, *sides)
    assert _landed(tmp_path / "git", repo, base, commits, None) == 1  # 7 of 8 conflict
    assert _landed(tmp_path / "ours", repo, base, commits, MergeRules()) == 8
    named = {f"w{number}": commit for number, commit in enumerate(commits)}
    found = find_conflicts(open_repository(repo), base, named, {}, rules=MergeRules())
    assert (found.pairs, found.conflicting, len(found.resolved)) == ((), (), 28)
    told = found.to_json()["resolved"]
    assert told[0] == {"a": "w0", "b": "w1", "file": "package.json", "resolved_by": "manifest"}
    assert len(find_conflicts(open_repository(repo), base, named, {}).pairs) == 28


def _landed(folder: Path, repo: Path, base: str, commits: list[str], rules: MergeRules | None) -> int:
    """Merge one after the other what can be merged; return how many that were."""
    shield = open_repository(repo).scratch(folder, head=base)
    head, landed = base, 0
    for commit in commits:
        (merge,) = merge_all(shield, [(head, commit)])
        if rules:
            merge = resolve_known(shield, merge, base=base, ours=head, theirs=commit, rules=rules)
        if not merge.conflicts:
            head = commit_tree(shield, merge.tree, [head, commit], author=AUTHOR, message="merge")
            landed += 1
    return landed


def test_a_conflict_within_a_manifest_is_one(tmp_path: Path) -> None:
    repo = make_repository(tmp_path / "repo")
    sides = [{"package.json": PACKAGE.replace('"3"', version)} for version in ('"3.1"', '"3.2"')]
    base, *commits = _branches(repo, {"package.json": PACKAGE}, *sides)
    named = dict(zip("ab", commits, strict=True))
    found = find_conflicts(open_repository(repo), base, named, {}, rules=MergeRules())
    assert [pair.files for pair in found.pairs] == [("package.json",)]


def test_the_settings_are_checked() -> None:
    rules = rules_of(OrchestratorConfig(union=["CHANGELOG.md"], lock_files={"*.lock": "make lock"}))
    assert (rules.union, dict(rules.lock_files)) == (("CHANGELOG.md",), {"*.lock": "make lock"})
    for wrong in (
        {"union": "CHANGELOG.md"},
        {"union": [""]},
        {"lock_files": ["a"]},
        {"lock_files": {"a": " "}},
    ):
        with pytest.raises(InputError):
            OrchestratorConfig(**wrong)
