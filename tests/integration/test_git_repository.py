"""Opening any repository a user may have: it works, or the error says what to do."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from orchestrator.errors import InputError, RepositoryError
from orchestrator.git.repository import open_repository, resolve_base
from tests.integration.git_fixtures import commit_files, fingerprint, git, make_repository, write_files


def test_a_subfolder_opens_the_repository_around_it(tmp_path: Path) -> None:
    folder = make_repository(tmp_path / "repo")
    repo = open_repository(folder / "src")
    assert (repo.root, repo.git_dir, repo.common_dir) == (folder, folder / ".git", folder / ".git")
    assert repo.head == git(folder, "rev-parse", "HEAD")
    assert repo.warnings == ()


def test_a_linked_worktree_of_the_user_opens(tmp_path: Path) -> None:
    folder = make_repository(tmp_path / "repo")
    git(folder, "worktree", "add", "--quiet", "../linked")
    repo = open_repository(tmp_path / "linked")
    assert repo.root == tmp_path / "linked"
    assert repo.git_dir == folder / ".git" / "worktrees" / "linked"
    assert repo.common_dir == folder / ".git"


@pytest.mark.parametrize("name", ["with space", "ünïcode-日本", "quote'\"$(x)", "-dash"])
def test_odd_folder_names_work(tmp_path: Path, name: str) -> None:
    folder = make_repository(tmp_path / name)
    assert open_repository(folder).root == folder


def test_a_line_break_in_the_path_is_refused(tmp_path: Path) -> None:
    folder = make_repository(tmp_path / "two\nlines")
    with pytest.raises(RepositoryError, match="line break"):
        open_repository(folder)


def test_a_detached_head_works(tmp_path: Path) -> None:
    folder = make_repository(tmp_path / "repo")
    git(folder, "checkout", "--quiet", "--detach")
    assert open_repository(folder).head == git(folder, "rev-parse", "HEAD")


def test_a_shallow_clone_works(tmp_path: Path) -> None:
    folder = make_repository(tmp_path / "repo")
    commit_files(folder, {"a.txt": "second\n"})
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{folder}", "shallow")
    repo = open_repository(tmp_path / "shallow")
    assert repo.is_shallow
    with pytest.raises(InputError, match="HEAD~1"):
        resolve_base(repo, "HEAD~1")


def test_the_whole_object_format_matters(tmp_path: Path) -> None:
    folder = tmp_path / "repo"
    git(tmp_path, "init", "--quiet", "--object-format=sha256", "repo")
    commit_files(folder, {"a": "a"})
    repo = open_repository(folder)
    assert len(repo.head) == 64
    assert repo.warnings == ()


def test_uncommitted_changes_are_counted_and_left_alone(tmp_path: Path) -> None:
    folder = make_repository(tmp_path / "repo")
    write_files(folder, {"a.txt": "changed\n", "new.txt": "new\n", "staged.txt": "staged\n"})
    git(folder, "add", "staged.txt")
    before = fingerprint(folder)
    assert open_repository(folder).warnings == (
        "3 uncommitted changes are not part of the run, which starts from a commit",
    )
    assert fingerprint(folder) == before


def test_submodules_lfs_and_filters_are_named(tmp_path: Path) -> None:
    make_repository(tmp_path / "inner")
    folder = make_repository(
        tmp_path / "repo", {".gitattributes": "*.bin filter=lfs\n", "a.bin": "pointer\n"}
    )
    git(folder, "submodule", "--quiet", "add", f"file://{tmp_path / 'inner'}", "inner")
    git(folder, "commit", "--quiet", "-m", "Add a submodule")
    git(folder, "config", "filter.crypt.smudge", "cat")
    assert open_repository(folder).warnings == (
        "submodules are not checked out in workspaces; their folders stay empty",
        "files kept by Git LFS stay pointers in workspaces",
        "the filters crypt are not run on files in workspaces",
    )


def test_a_split_index_can_be_read(tmp_path: Path) -> None:
    folder = make_repository(tmp_path / "repo")
    git(folder, "update-index", "--split-index")
    write_files(folder, {"a.txt": "changed\n"})
    (warning,) = open_repository(folder).warnings
    assert warning.startswith("1 uncommitted change is not part of the run")


def test_what_is_no_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="is not in a git repository") as caught:
        open_repository(tmp_path)
    assert "git init" in str(caught.value.hint)
    with pytest.raises(RepositoryError, match="is not a folder"):
        open_repository(tmp_path / "missing")


def test_a_repository_without_a_checkout_is_refused(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--bare", "bare.git")
    with pytest.raises(RepositoryError, match="bare repository"):
        open_repository(tmp_path / "bare.git")
    folder = make_repository(tmp_path / "repo")
    for inside in (folder / ".git", folder / ".git" / "refs"):
        with pytest.raises(RepositoryError, match=r"inside a \.git folder"):
            open_repository(inside)


def test_a_repository_without_a_commit_is_refused(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "empty")
    with pytest.raises(RepositoryError, match="has no commit") as caught:
        open_repository(tmp_path / "empty")
    assert "git commit" in str(caught.value.hint)


def test_a_branch_in_the_way_is_refused(tmp_path: Path) -> None:
    folder = make_repository(tmp_path / "repo")
    git(folder, "branch", "orchestrator")
    with pytest.raises(RepositoryError, match="branch named `orchestrator`"):
        open_repository(folder)


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="needs root to give files away")
def test_a_repository_of_another_user_needs_the_users_own_consent(tmp_path: Path) -> None:
    folder = make_repository(tmp_path / "repo")
    for path in (folder, folder / ".git"):
        os.chown(path, 65534, 65534)
    with pytest.raises(RepositoryError, match="belongs to another user") as caught:
        open_repository(folder)
    assert "safe.directory" in str(caught.value.hint)
    git(tmp_path, "config", "--global", "--add", "safe.directory", str(folder))
    assert open_repository(folder).root == folder


def test_git_missing_or_too_old_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_repository(tmp_path / "repo")
    tools = tmp_path / "tools"
    tools.mkdir()
    monkeypatch.setenv("PATH", str(tools))
    with pytest.raises(RepositoryError, match="could not start git") as caught:
        open_repository(folder)
    assert caught.value.hint == "install git 2.39 or newer"
    shell = shutil.which("sh", path=os.defpath)
    (tools / "git").write_text(f"#!{shell}\necho git version 2.38.9\n")
    (tools / "git").chmod(0o755)
    with pytest.raises(RepositoryError, match=r"`git version 2\.38\.9` is too old"):
        open_repository(folder)


def test_the_users_identity_is_read(tmp_path: Path) -> None:
    folder = make_repository(tmp_path / "repo")
    assert open_repository(folder).identity is None
    git(tmp_path, "config", "--global", "user.name", "Ann")
    git(folder, "config", "user.email", "ann@example.org")
    assert open_repository(folder).identity == "Ann <ann@example.org>"


def test_a_base_is_resolved_to_a_commit(tmp_path: Path) -> None:
    folder = make_repository(tmp_path / "repo")
    head = git(folder, "rev-parse", "HEAD")
    git(folder, "tag", "-a", "v1", "-m", "one")
    git(folder, "branch", "feature/ünï")
    repo = open_repository(folder)
    for ref in ("HEAD", "main", "v1", "feature/ünï", head, head[:9], "refs/tags/v1"):
        assert resolve_base(repo, ref) == head


def test_a_wrong_base_names_near_ones(tmp_path: Path) -> None:
    folder = make_repository(tmp_path / "repo")
    git(folder, "branch", "develop")
    repo = open_repository(folder)
    with pytest.raises(InputError, match="base 'develpo' names no commit") as caught:
        resolve_base(repo, "develpo")
    assert caught.value.hint == "did you mean `develop`?"


@pytest.mark.parametrize(
    "ref", ["", "-x", "--upload-pack=touch x", "a\nb", "HEAD:a.txt", "HEAD^{tree}", "a..b", "0" * 40]
)
def test_what_cannot_be_a_base_is_refused(tmp_path: Path, ref: str) -> None:
    repo = open_repository(make_repository(tmp_path / "repo"))
    with pytest.raises(InputError, match="base"):
        resolve_base(repo, ref)
