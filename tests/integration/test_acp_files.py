"""Files for an agent: below one folder, whatever links lie there or come meanwhile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.agents.acp_files import read_text, resolve_inside, write_text


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub/file.txt").write_bytes("eins\r\nzwei\nd\u00e4\n".encode())
    (tmp_path / "secret.txt").write_text("secret")
    return folder


@pytest.mark.parametrize(
    "path", ["..", "../secret.txt", "/etc/passwd", ".", "", "sub/../..", "a\0b", "out/x"]
)
def test_outside(root: Path, path: str) -> None:
    (root / "out").symlink_to(root.parent)
    assert resolve_inside(root, path) is None


def test_inside(root: Path) -> None:
    (root / "link").symlink_to("sub")
    assert resolve_inside(root, "link/../sub/file.txt") == ("sub", "file.txt")
    assert resolve_inside(root, "link/file.txt") == ("sub", "file.txt")
    assert resolve_inside(root, str(root / "new/file")) == ("new", "file")


def test_text_is_read_as_it_is(root: Path) -> None:
    assert read_text(root, ("sub", "file.txt")) == "eins\r\nzwei\nd\u00e4\n"
    assert read_text(root, ("sub", "file.txt"), line=2, limit=1) == "zwei\n"
    assert read_text(root, ("sub", "file.txt"), line=9) == ""
    assert read_text(root, ("sub", "file.txt"), limit=0) == ""


def test_a_link_that_came_after_the_question_is_not_followed(root: Path) -> None:
    parts = resolve_inside(root, "sub/file.txt")
    assert parts is not None
    (root / "sub").rename(root / "moved")
    (root / "sub").symlink_to(root.parent)
    with pytest.raises(OSError, match=r"sub|Not a directory|Too many levels"):
        read_text(root, parts)
    with pytest.raises(OSError, match=r"sub|Not a directory|Too many levels"):
        write_text(root, parts, "x")
    (root / "last").symlink_to(root.parent / "secret.txt")
    with pytest.raises(OSError, match="Too many levels"):
        read_text(root, ("last",))
    with pytest.raises(ValueError, match="no ordinary file"):
        write_text(root, ("last",), "x")
    assert (root.parent / "secret.txt").read_text() == "secret"


def test_what_is_no_ordinary_file(root: Path) -> None:
    os.mkfifo(root / "pipe")
    for name in ("pipe", "sub"):
        with pytest.raises((ValueError, OSError)):
            read_text(root, (name,))
        with pytest.raises(ValueError, match="no ordinary file"):
            write_text(root, (name,), "x")
    (root / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="no UTF-8"):
        read_text(root, ("binary",))


def test_a_file_keeps_its_mode_and_a_hard_link_its_text(root: Path) -> None:
    script = root / "script"
    script.write_text("old")
    script.chmod(0o750)
    (root.parent / "other").hardlink_to(script)
    write_text(root, ("script",), "new")
    assert (script.read_text(), script.stat().st_mode & 0o777) == ("new", 0o750)
    assert (root.parent / "other").read_text() == "old"
    assert sorted(path.name for path in root.iterdir()) == ["script", "sub"]


def test_folders_are_made(root: Path) -> None:
    write_text(root, ("a", "b", "c.txt"), "x")
    assert (root / "a/b/c.txt").read_text() == "x"
