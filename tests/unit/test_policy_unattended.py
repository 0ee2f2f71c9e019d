"""Without rules, files of the workspace may be touched, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from orchestrator.model.request import Level, PermissionRequest, Tool, Verdict
from orchestrator.policy import load_policy

FILE_TOOLS = [Tool.READ, Tool.WRITE, Tool.DELETE]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A workspace with links out of it, links inside it, and git's folder."""
    root = tmp_path / "work space"
    (root / "src").mkdir(parents=True)
    (root / ".git").mkdir()
    (tmp_path / "outside").mkdir()
    (root / "out").symlink_to(tmp_path / "outside")
    (root / "inside").symlink_to("src")
    (root / "gitlink").symlink_to(".git/config")
    (root / "loop").symlink_to("loop")
    (root / "dangling").symlink_to(tmp_path / "outside" / "not yet")
    return root


def _judge(workspace: Path, tool: Tool, path: str | None) -> tuple[Verdict, str]:
    decision = load_policy(None).judge(PermissionRequest(id="1", tool=tool, path=path), workspace)
    assert decision.reason
    assert (decision.level in (Level.SAFE, Level.CAUTION)) == (decision.verdict is Verdict.ALLOW)
    return decision.verdict, decision.rule.removeprefix("unattended.")


@pytest.mark.parametrize("tool", FILE_TOOLS)
@pytest.mark.parametrize(
    "path",
    [
        "a.py",
        "src/new/deep/b.py",
        "./src/../c.py",
        "inside/d.py",
        "..d/e",
        ".gitignore",
        ".github/x.yml",
        "-rf",
        "ü 漢",
    ],
)
def test_files_of_the_workspace_are_allowed(workspace: Path, tool: Tool, path: str) -> None:
    assert _judge(workspace, tool, path) == (Verdict.ALLOW, "workspace_file")


def test_an_absolute_path_inside_is_allowed(workspace: Path) -> None:
    assert _judge(workspace, Tool.WRITE, str(workspace / "src" / "x.py"))[0] is Verdict.ALLOW


@pytest.mark.parametrize("tool", FILE_TOOLS)
@pytest.mark.parametrize(
    "path",
    [
        "../outside/x",
        "/etc/passwd",
        "src/../../outside/x",
        "out/x",
        "out",
        "dangling",
        "inside/../../outside/x",
        "~/x",
        "~",
    ],
)
def test_what_leads_out_of_the_workspace_is_refused(workspace: Path, tool: Tool, path: str) -> None:
    assert _judge(workspace, tool, path) == (Verdict.DENY, "outside_workspace")


def test_a_sibling_with_the_same_beginning_is_outside(workspace: Path) -> None:
    (workspace.parent / "work space 2").mkdir()
    assert _judge(workspace, Tool.WRITE, "../work space 2/x") == (Verdict.DENY, "outside_workspace")


@pytest.mark.parametrize(
    "path",
    [
        ".git",
        ".git/config",
        ".GIT/hooks/pre-commit",
        "src/../.git/config",
        "gitlink",
        "vendor/lib/.git/config",
        ".git./config",
        ".git /config",
        ".git::$INDEX_ALLOCATION/config",
        "GIT~1/config",
        ".g\u200cit/config",
    ],
)
def test_the_folder_of_git_is_refused_under_every_name(workspace: Path, path: str) -> None:
    assert _judge(workspace, Tool.WRITE, path) == (Verdict.DENY, "git_folder")


def test_the_link_of_a_worktree_is_refused_as_well(workspace: Path) -> None:
    (workspace / ".git").rmdir()
    (workspace / ".git").write_text("gitdir: elsewhere\n")
    for path in (".git", ".git/hooks/pre-commit"):
        assert _judge(workspace, Tool.WRITE, path) == (Verdict.DENY, "git_folder")


@pytest.mark.parametrize("path", [".", "src/..", ""])
def test_the_workspace_itself_is_not_a_file(workspace: Path, path: str) -> None:
    assert _judge(workspace, Tool.DELETE, path)[0] is Verdict.DENY


@pytest.mark.parametrize("tool", [Tool.MCP, Tool.OTHER])
def test_everything_else_is_refused(workspace: Path, tool: Tool) -> None:
    assert _judge(workspace, tool, "src/x.py") == (Verdict.DENY, "no_rule")


@pytest.mark.parametrize("path", [None, "a\0b", "x" * 100_000, 7, "\ud800", "loop", "loop/x"])
def test_what_cannot_be_understood_is_refused(workspace: Path, path: object) -> None:
    assert _judge(workspace, Tool.WRITE, cast("str | None", path))[0] is Verdict.DENY


def test_a_workspace_that_is_gone_allows_nothing(tmp_path: Path) -> None:
    assert _judge(tmp_path / "gone", Tool.WRITE, "x")[0] is Verdict.DENY
