"""MicroBlog really works: each module alone, and all eight merged, in any order."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path

import pytest

from orchestrator.demo.microblog import Variant, build_repository, microblog_tasks, task_file_text
from orchestrator.demo.program import __file__ as program
from orchestrator.errors import InputError
from orchestrator.git.history import commit_tree
from orchestrator.git.merging import merge_all
from orchestrator.git.repository import open_repository
from orchestrator.landing.manifests import MergeRules, resolve_known
from orchestrator.model.task import Task
from orchestrator.taskfile import load_task_file
from tests.integration.demo_fixtures import ENV

UNITS = [20, 20, 25, 25, 20, 20, 25, 20]
ORDER = [1, 2, 6, 7, 3, 4, 5, 8]  # the merge order of the original configuration


def _git(repo: Path, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    identity = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
    return subprocess.run(
        ["git", *identity, *argv], cwd=repo, env=ENV, capture_output=True, text=True, check=check
    )


def _build(repo: Path, variant: Variant) -> list[Task]:
    """Let the demo program carry out every task, each in a branch of its own."""
    build_repository(repo)
    tasks = list(microblog_tasks(0.0, variant))
    for task in tasks:
        _git(repo, "switch", "--quiet", "-c", task.id, "main")
        argv = [sys.executable, "-I", "-S", program, task.prompt]
        subprocess.run(argv, cwd=repo, env=ENV, input="1\n" * 9, capture_output=True, text=True, check=True)
    _git(repo, "switch", "--quiet", "main")
    return tasks


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Task]]:
    """The clean variant, built and not merged."""
    repo = tmp_path_factory.mktemp("clean") / "repo"
    return repo, _build(repo, "clean")


def _copy(built: tuple[Path, list[Task]], to: Path) -> tuple[Path, list[Task]]:
    shutil.copytree(built[0], to)
    return to, built[1]


def _conflicts(repo: Path, ours: str, theirs: str) -> bool:
    return _git(repo, "merge-tree", "--write-tree", ours, theirs, check=False).returncode == 1


def test_the_tasks_are_those_of_the_benchmark() -> None:
    tasks = microblog_tasks(0.1)
    files = [path for task in tasks for path in task.files]
    assert [task.id[:9] for task in tasks] == [f"worker_0{number}" for number in range(1, 9)]
    assert [task.estimate_s for task in tasks] == pytest.approx([units * 0.1 for units in UNITS])
    assert len(files) == len({path.lower() for path in files}) == 31
    assert all(task.agent == "demo" and task.verify and not task.needs for task in tasks)


def test_the_dependencies_are_an_option() -> None:
    needs = {task.id[7:9]: task.needs for task in microblog_tasks(needs=True) if task.needs}
    assert needs == {"05": ("worker_03_post_api",), "07": ("worker_06_database_schema",)}


def test_the_scripted_times_add_up() -> None:
    for task, units in zip(microblog_tasks(0.1), UNITS, strict=True):
        assert sum(map(float, re.findall(r'"seconds": ([\d.]+)', task.prompt))) == pytest.approx(units * 0.1)


def test_the_repository_is_one_commit_and_the_same_everywhere(tmp_path: Path) -> None:
    for name in "ab":
        build_repository(tmp_path / name)
    heads = {_git(tmp_path / name, "rev-parse", "HEAD").stdout for name in "ab"}
    assert len(heads) == 1
    assert _git(tmp_path / "a", "rev-list", "--count", "HEAD").stdout == "1\n"
    assert _git(tmp_path / "a", "status", "--porcelain").stdout == ""
    assert {".gitignore", "db/.gitkeep"} <= set(_git(tmp_path / "a", "ls-files").stdout.split())


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(InputError, match="not an empty folder"):
        build_repository(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_each_module_passes_its_checks_alone(built: tuple[Path, list[Task]], tmp_path: Path) -> None:
    repo, tasks = _copy(built, tmp_path / "repo")
    for task in tasks:
        assert task.verify is not None
        _git(repo, "switch", "--quiet", "main")
        before = subprocess.run(
            ["/bin/sh", "-c", task.verify[0]], cwd=repo, env=ENV, capture_output=True, check=False
        )
        assert before.returncode != 0, f"{task.id} passes before it is done"
        _git(repo, "switch", "--quiet", task.id)
        for line in (*task.verify, f"{sys.executable} -B -W error -m unittest"):
            done = subprocess.run(
                ["/bin/sh", "-c", line], cwd=repo, env=ENV, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{task.id}: {done.stderr}"
        changed = _git(repo, "diff", "--name-only", "main", task.id).stdout.split()
        assert sorted(changed) == sorted(task.files)
        assert _git(repo, "log", "-1", "--format=%s").stdout.startswith("feat(")


def test_clean_branches_have_no_conflict_and_work_together(
    built: tuple[Path, list[Task]], tmp_path: Path
) -> None:
    repo, tasks = _copy(built, tmp_path / "repo")
    pairs = list(itertools.combinations([task.id for task in tasks], 2))
    assert len(pairs) == 28
    assert not [pair for pair in pairs if _conflicts(repo, *pair)]
    for number in ORDER:
        _git(repo, "merge", "--quiet", "--no-edit", tasks[number - 1].id)
    done = subprocess.run(
        [sys.executable, "-B", "-W", "error", "-m", "unittest"],
        cwd=repo,
        env=ENV,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "skipped" not in done.stderr
    assert int(re.findall(r"Ran (\d+) tests", done.stderr)[0]) > 50


def test_the_merged_site_serves_pages(built: tuple[Path, list[Task]], tmp_path: Path) -> None:
    repo, tasks = _copy(built, tmp_path / "repo")
    for task in tasks:
        _git(repo, "merge", "--quiet", "--no-edit", task.id)
    argv = [sys.executable, "-B", "-u", "-m", "microblog", "0"]
    with subprocess.Popen(
        argv, cwd=repo, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as server:
        try:
            assert server.stdout is not None
            port = int(re.findall(rb":(\d+)", server.stdout.readline())[0])
            pages = {path: _get(port, path) for path in ("/", "/login", "/signup", "/api/posts", "/nowhere")}
        finally:
            server.kill()
    assert [status for status, _ in pages.values()] == [200, 200, 200, 200, 404]
    assert "Eight at once" in pages["/"][1]


def _get(port: int, path: str) -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_contended_branches_all_conflict_over_the_manifest(tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    tasks = _build(repo, "contended")
    assert all(task.may_touch == ("pyproject.toml",) for task in tasks)
    pairs = list(itertools.combinations([task.id for task in tasks], 2))
    assert [pair for pair in pairs if _conflicts(repo, *pair)] == pairs
    shown = _git(repo, "merge-tree", "--write-tree", "--name-only", *pairs[0], check=False).stdout
    assert shown.split()[1] == "pyproject.toml"


def test_contended_branches_merge_by_key_and_build_the_same_project(tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    tasks = _build(repo, "contended")
    commits = [_git(repo, "rev-parse", tasks[number - 1].id).stdout.strip() for number in ORDER]
    assert _merge_in_memory(repo, tmp_path / "git", commits, None)[1] == 7
    head, conflicting = _merge_in_memory(repo, tmp_path / "ours", commits, MergeRules())
    assert conflicting == 0
    _git(repo, "fetch", "--quiet", str(tmp_path / "ours"), f"{head}:refs/heads/merged")
    _git(repo, "switch", "--quiet", "merged")
    manifest = tomllib.loads((repo / "pyproject.toml").read_text())
    assert len(manifest["project"]["dependencies"]) == 8
    argv = [sys.executable, "-B", "-m", "unittest"]
    done = subprocess.run(argv, cwd=repo, env=ENV, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def _merge_in_memory(
    repo: Path, folder: Path, commits: list[str], rules: MergeRules | None
) -> tuple[str, int]:
    """Merge one after the other; return where that led, and how many conflicted and were left out."""
    base = _git(repo, "rev-parse", "main").stdout.strip()
    shield = open_repository(repo).scratch(folder, head=base)
    head, conflicting = base, 0
    for commit in commits:
        (merge,) = merge_all(shield, [(head, commit)])
        if rules:
            merge = resolve_known(shield, merge, base=base, ours=head, theirs=commit, rules=rules)
        if merge.conflicts:
            conflicting += 1
        else:
            head = commit_tree(shield, merge.tree, [head, commit], author="t <t@localhost>", message="merge")
    shield.run(["update-ref", "refs/heads/merged", head])
    return head, conflicting


@pytest.mark.parametrize("variant", ["clean", "contended"])
def test_the_task_file_says_the_same(tmp_path: Path, variant: Variant) -> None:
    build_repository(tmp_path / "repo")
    tasks = microblog_tasks(0.1, variant, needs=True)
    path = tmp_path / "repo" / "tasks.yaml"
    path.write_text(task_file_text(tasks))
    plan = load_task_file(path)
    assert plan.config.agent == "demo"
    assert [replace(task, agent=None) for task in tasks] == list(plan.tasks)
    assert "prompt: |" in path.read_text()
