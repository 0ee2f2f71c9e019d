"""The `copy` list: what is refused, before anything starts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.errors import WorkspaceError
from orchestrator.workspaces.copying import copy_fault, copy_into


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout with a file outside of it, and ways that lead there."""
    root = tmp_path / "root"
    (root / "data").mkdir(parents=True)
    (root / ".git").mkdir()
    (root / ".env").write_text("1")
    (root / "data" / "file").write_text("2")
    (root / "inside").symlink_to("data/file")
    (tmp_path / "secret").write_text("s")
    (root / "outside").symlink_to(tmp_path / "secret")
    (root / "above").symlink_to("..")
    (root / "loop").symlink_to("loop")
    (root / "leaky").mkdir()
    (root / "leaky" / "link").symlink_to("../../secret")
    (root / "absolute").mkdir()
    (root / "absolute" / "link").symlink_to(root / ".env")
    os.mkfifo(root / "pipe")
    return root


@pytest.mark.parametrize("name", [".env", "data", "data/file", "./.env", "inside"])
def test_files_and_folders_inside_are_copied(root: Path, tmp_path: Path, name: str) -> None:
    assert copy_fault(root, name) is None
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    copy_into(root, name, workspace)
    assert (workspace / name).exists()
    assert not (workspace / name).is_symlink()


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "expected a path inside"),
        (".", "expected a path inside"),
        ("/etc/passwd", "expected a path inside"),
        ("../secret", "expected a path inside"),
        ("data/../../secret", "expected a path inside"),
        ("a\0b", "expected a path inside"),
        (".git", r"\.git folder"),
        (".GIT/config", r"\.git folder"),
        ("missing", "no such file"),
        ("outside", "leads out"),
        ("above/secret", "leads out"),
        ("loop", "leads out|no such file"),
        ("leaky", "the link leaky/link leads out"),
        ("absolute", "the link absolute/link leads out"),
        ("pipe", "neither a file nor a folder"),
    ],
)
def test_everything_else_is_refused(root: Path, tmp_path: Path, name: str, fault: str) -> None:
    with pytest.raises(WorkspaceError, match=fault):
        copy_into(root, name, tmp_path)


def test_a_link_in_the_workspace_is_not_followed(root: Path, tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (workspace / "data").symlink_to(tmp_path)
    (workspace / ".env").symlink_to(tmp_path / "secret")
    for name in ("data/file", ".env"):
        with pytest.raises(WorkspaceError, match="leads out of it"):
            copy_into(root, name, workspace)
    assert (tmp_path / "secret").read_text() == "s"
