"""What a repository would get executed is listed, and a person approves it once for each content."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.config import OrchestratorConfig
from orchestrator.core.plan import prepare
from orchestrator.core.trust import require_trust
from orchestrator.errors import InputError
from orchestrator.git.repository import open_repository
from orchestrator.taskfile import task_from_mapping
from orchestrator.workspaces.active_content import active_content
from tests.integration.git_fixtures import commit_files, git, make_repository


class Obedient:
    """Stands for an agent that obeys the settings of a repository."""

    name = "claude"


def names(folder: Path) -> list[str]:
    repo = open_repository(folder)
    return [item.name for item in active_content(repo, repo.head)]


@pytest.mark.parametrize(
    "path",
    [
        ".claude/settings.json",
        "sub/.claude/settings.local.json",
        ".Claude/Settings.json",
        ".claude/hooks/pre.sh",
        ".mcp.json",
        "sub/.mcp.json",
        ".codex/config.toml",
        ".agents/skills/x/run.sh",
        ".gemini/settings.json",
        ".cursor/mcp.json",
        ".vscode/tasks.json",
        ".envrc",
        "sub/.envrc",
        ".husky/pre-commit",
        ".githooks/post-checkout",
        ".pre-commit-config.yaml",
        "lefthook.yml",
        ".gitmodules",
        ".devcontainer/devcontainer.json",
        "mise.toml",
    ],
)
def test_what_somebody_would_run_is_listed(tmp_path: Path, path: str) -> None:
    folder = make_repository(tmp_path / "repo", {path: "x\n", "README.md": "r\n"})
    assert names(folder) == [path]


@pytest.mark.parametrize(
    "path",
    ["README.md", "CLAUDE.md", "AGENTS.md", "Makefile", "package.json", "claude/settings.json", "x.envrc"],
)
def test_ordinary_files_are_not(tmp_path: Path, path: str) -> None:
    assert names(make_repository(tmp_path / "repo", {path: "x\n"})) == []


def test_attributes_count_when_they_name_a_driver(tmp_path: Path) -> None:
    folder = make_repository(
        tmp_path / "repo", {".gitattributes": "*.txt text eol=lf\n*.bin filter=lfs diff=lfs\n"}
    )
    assert names(folder) == []
    commit_files(folder, {"deep/.gitattributes": "*.txt filter=evil\n"})
    assert names(folder) == ["deep/.gitattributes"]


def test_links_out_of_the_repository_count(tmp_path: Path) -> None:
    folder = make_repository(tmp_path / "repo", {"a/b.txt": "b\n"})
    links = {"a/in": "../a/b.txt", "a/out": "../../x", "up": "..", "root": "/etc/passwd", "line\nbreak": "/x"}
    for name, target in links.items():
        (folder / name).symlink_to(target)
    commit_files(folder, {})
    assert names(folder) == ["'line\\nbreak'", "a/out", "root", "up"]


def test_hooks_in_the_tree_count_when_the_user_has_git_use_them(tmp_path: Path) -> None:
    folder = make_repository(tmp_path / "repo", {"tools/hooks/pre-commit": "x\n", "tools/x": "x\n"})
    assert names(folder) == []
    git(folder, "config", "core.hooksPath", "tools/hooks")
    assert names(folder) == ["tools/hooks/pre-commit"]
    git(folder, "config", "core.hooksPath", "/elsewhere")
    assert names(folder) == []


def test_obedient_agents_start_only_after_an_approval_of_exactly_this(tmp_path: Path) -> None:
    folder = make_repository(tmp_path / "repo", {".mcp.json": "1\n", "README.md": "r\n"})

    def ask(*, trusted: bool = False) -> tuple[str, ...]:
        repo = open_repository(folder)
        return require_trust(repo, repo.head, [Obedient()], trusted=trusted)  # type: ignore[list-item]

    with pytest.raises(InputError, match=r"nobody has approved it:\n  \.mcp\.json") as caught:
        ask()
    assert "--trust-content" in str(caught.value.hint)
    assert ask(trusted=True) == ()
    assert ask() == ()
    commit_files(folder, {"README.md": "other\n"})
    assert ask() == ()
    commit_files(folder, {".mcp.json": "2\n"})
    with pytest.raises(InputError):
        ask()


def test_a_run_of_deaf_agents_only_warns(tmp_path: Path) -> None:
    folder = make_repository(tmp_path / "repo", {".mcp.json": "1\n"})
    config = OrchestratorConfig(repo=folder, sandbox="off")
    tasks = [task_from_mapping("a", {"name": "a", "prompt": "x", "command": ["true"]})]
    assert any(".mcp.json" in warning for warning in prepare(config, tasks).warnings)
    assert prepare(config, tasks, trust_content=True).warnings == ()
    assert prepare(config, tasks).warnings == ()
