"""Hostile repositories and agents, for clones: nothing of theirs is run, nothing of the user's changes."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import zlib
from collections.abc import Iterator
from hashlib import sha1
from pathlib import Path

import pytest

from orchestrator.errors import WorkspaceError
from orchestrator.git import process, shield, transfer
from orchestrator.workspaces.own_clone import CloneWorkspace
from tests.integration.clone_fixtures import clones, skip_without_overlays
from tests.integration.git_fixtures import (
    commit_files,
    fingerprint,
    git,
    make_repository,
    our_branches,
    write_files,
)
from tests.integration.test_workspaces_agents import plant

BRANCH = "orchestrator/run-1/worker"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "repo", {"a.txt": "a\n", "b.md": "b\n"})


@pytest.fixture(params=[False, True], ids=["plain", "overlay"])
def overlay(tmp_path: Path, request: pytest.FixtureRequest) -> bool:
    if request.param:
        skip_without_overlays(tmp_path)
    return request.param


@pytest.fixture
def workspace(folder: Path, tmp_path: Path, overlay: bool) -> Iterator[CloneWorkspace]:
    """A fresh clone; whatever happens in it, what is the user's stays as it was."""
    before = fingerprint(folder)
    with clones(folder, tmp_path / "workspaces", overlay=overlay) as made:
        workspace = asyncio.run(made.create("worker", 1, ()))
        yield workspace
        asyncio.run(workspace.remove())
        assert not workspace.path.exists()
    assert git(folder, "fsck", "--strict", "--no-dangling") == ""
    assert fingerprint(folder) == before


def commit(workspace: CloneWorkspace) -> str:
    return asyncio.run(workspace.commit("Left"))


def changed(workspace: CloneWorkspace) -> tuple[str, ...]:
    return asyncio.run(workspace.files_changed())


def test_a_hostile_repository_runs_nothing(folder: Path, tmp_path: Path, overlay: bool) -> None:
    mark = tmp_path / "mark"
    plant(folder / ".git", folder, str(mark))
    (folder / "a.txt").touch()
    with clones(folder, tmp_path / "workspaces", overlay=overlay) as made:
        workspace = asyncio.run(made.create("one", 1, ()))
        write_files(workspace.path, {"a.txt": "changed\n", "new.md": "x\n"})
        tip = asyncio.run(workspace.commit("Work"))
        joined = asyncio.run(made.create("joined", 1, [tip]))
        assert asyncio.run(joined.commit("Nothing")) == tip
        asyncio.run(joined.remove())
        asyncio.run(workspace.remove())
    assert not mark.exists(), mark.read_text()
    git(folder, "status", check=False)  # the traps do work: the user's own git falls into them
    assert mark.exists()


def test_a_hostile_clone_runs_nothing(workspace: CloneWorkspace, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    commit_files(workspace.path, {"committed.txt": "c\n"})
    plant(workspace.git_dir, workspace.path, str(mark))
    with (workspace.git_dir / "config").open("a") as config:
        config.write(
            f"[uploadpack]\n\tpackObjectsHook = touch {mark};\n"
            f"[core]\n\talternateRefsCommand = touch {mark};\n"
            f'[remote "origin"]\n\turl = ext::touch {mark}\n\tpromisor = true\n\tuploadpack = touch {mark};\n'
            "[extensions]\n\tpartialClone = origin\n"
            f"[include]\n\tpath = {tmp_path / 'included'}\n"
        )
    nested = make_repository(workspace.path / "nested", {"n.txt": "n\n"})
    plant(nested / ".git", nested, str(mark))
    write_files(workspace.path, {"a.txt": "changed\n", "b.md": "changed\n"})
    commit(workspace)
    assert set(changed(workspace)) == {
        ".gitattributes",
        "a.txt",
        "b.md",
        "committed.txt",
        "nested/.gitattributes",
        "nested/n.txt",
    }
    assert not mark.exists(), mark.read_text()
    git(workspace.path, "status", check=False)
    assert mark.exists()


@pytest.mark.parametrize("kind", ["file", "link"])
def test_a_git_folder_that_is_another_is_not_gone_by(
    folder: Path, workspace: CloneWorkspace, tmp_path: Path, kind: str
) -> None:
    evil, mark = make_repository(tmp_path / "evil"), tmp_path / "mark"
    write_files(workspace.path, {"new.txt": "n\n"})
    shutil.rmtree(workspace.git_dir)
    plant(evil / ".git", evil, str(mark))
    if kind == "file":
        workspace.git_dir.write_text(f"gitdir: {evil / '.git'}\n")
    else:
        workspace.git_dir.symlink_to(evil / ".git")
    with pytest.raises(WorkspaceError, match="cannot be taken over"):
        commit(workspace)
    assert git(folder, "show", f"{BRANCH}@head:new.txt") == "n"
    assert not mark.exists()
    assert git(evil, "rev-parse", "HEAD") not in git(folder, "rev-list", "--all")


def test_a_git_folder_that_was_removed_loses_no_files(folder: Path, workspace: CloneWorkspace) -> None:
    shutil.rmtree(workspace.git_dir)
    write_files(workspace.path, {"new.txt": "n\n"})
    assert git(folder, "show", f"{commit(workspace)}:new.txt") == "n"


@pytest.mark.parametrize("way", ["alternates", "pack link", "object link"])
def test_objects_of_other_repositories_cannot_be_drawn_in(
    folder: Path, workspace: CloneWorkspace, tmp_path: Path, way: str
) -> None:
    secret = make_repository(tmp_path / "secret", {"secret.txt": "s\n"})
    wanted, objects = git(secret, "rev-parse", "HEAD"), workspace.git_dir / "objects"
    if way == "alternates":
        with (objects / "info" / "alternates").open("a") as file:
            file.write(f"{secret / '.git' / 'objects'}\n")
    elif way == "pack link":
        git(secret, "repack", "-a", "-d", "-q")
        shutil.rmtree(objects / "pack")
        (objects / "pack").symlink_to(secret / ".git" / "objects" / "pack")
    else:
        for inner in (secret / ".git" / "objects").glob("??"):
            (objects / inner.name).symlink_to(inner)
    git(workspace.path, "update-ref", "--no-deref", "HEAD", wanted)
    with pytest.raises(WorkspaceError, match="cannot be taken over"):
        commit(workspace)
    assert subprocess.run(["git", "cat-file", "-e", wanted], cwd=folder, check=False).returncode != 0


def hostile_tree(git_dir: Path, name: bytes, mode: bytes = b"100644") -> str:
    """Write a commit that git itself would not make, object by object; return it."""

    def write(kind: str, data: bytes) -> str:
        whole = f"{kind} {len(data)}".encode() + b"\0" + data
        digest = sha1(whole, usedforsecurity=False).hexdigest()
        path = git_dir / "objects" / digest[:2] / digest[2:]
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(zlib.compress(whole))
        return digest

    blob = write("blob", b'[submodule "x"]\n\tpath = x\n\turl = -u./evil\n')
    tree = write("tree", mode + b" " + name + b"\0" + bytes.fromhex(blob))
    parent = git(git_dir, "rev-parse", "HEAD")
    person = "x <x@example.org> 1700000000 +0000"
    return write(
        "commit", f"tree {tree}\nparent {parent}\nauthor {person}\ncommitter {person}\n\nx\n".encode()
    )


@pytest.mark.parametrize("name", [b".git", b".GIT", b"..", b"../up", b".gitmodules", b"git~1", b"a/b"])
def test_objects_that_git_would_not_make_are_refused(
    folder: Path, workspace: CloneWorkspace, name: bytes
) -> None:
    evil = hostile_tree(workspace.git_dir, name)
    git(workspace.path, "update-ref", "--no-deref", f"refs/heads/{BRANCH}", evil)
    write_files(workspace.path, {"new.txt": "n\n"})
    with pytest.raises(WorkspaceError, match="cannot be taken over"):
        commit(workspace)
    assert git(folder, "show", f"{BRANCH}@head:new.txt") == "n"
    assert subprocess.run(["git", "cat-file", "-e", evil], cwd=folder, check=False).returncode != 0


@pytest.mark.parametrize("damage", ["missing", "garbage"])
def test_damaged_objects_do_not_reach_the_user(folder: Path, workspace: CloneWorkspace, damage: str) -> None:
    commit_files(workspace.path, {"first.txt": "1\n"})
    blob = git(workspace.path, "rev-parse", "HEAD:first.txt")
    path = workspace.git_dir / "objects" / blob[:2] / blob[2:]
    path.chmod(0o644)
    path.unlink() if damage == "missing" else path.write_bytes(b"garbage")
    with pytest.raises(WorkspaceError, match="cannot be taken over"):
        commit(workspace)
    assert git(folder, "show", f"{BRANCH}@head:first.txt") == "1"


@pytest.mark.parametrize(
    "head",
    [
        "ref: ../../../../etc/passwd\n",
        "ref: refs/heads/../../config\n",
        "ref: --upload-pack=x\n",
        "ref: refs/heads/`touch x`|$(y)'\n",
        "-" * 40,
        "x" * 100_000,
        "",
    ],
)
def test_odd_heads_are_no_commits(folder: Path, workspace: CloneWorkspace, head: str) -> None:
    tip = commit_files(workspace.path, {"first.txt": "1\n"})
    (workspace.git_dir / "HEAD").write_text(head)
    write_files(workspace.path, {"new.txt": "n\n"})
    assert git(folder, "rev-parse", f"{commit(workspace)}^") == tip
    assert changed(workspace) == ("first.txt", "new.txt")


def test_links_in_the_git_folder_lead_our_writes_nowhere(workspace: CloneWorkspace, tmp_path: Path) -> None:
    """What we put back into the clone after a commit."""
    outside = tmp_path / "outside"
    shutil.copytree(workspace.git_dir / "refs", outside)
    victim = tmp_path / "victim"
    victim.write_text("mine")
    shutil.rmtree(workspace.git_dir / "refs")
    (workspace.git_dir / "refs").symlink_to(outside)
    for name in ("index", "HEAD", "index.lock", "HEAD.lock"):
        (workspace.git_dir / name).unlink(missing_ok=True)
        (workspace.git_dir / name).symlink_to(victim)
    write_files(workspace.path, {"new.txt": "n\n"})
    commit(workspace)
    assert victim.read_text() == "mine"
    assert (outside / "heads" / BRANCH).read_text() == f"{workspace.start_commit}\n"


def test_pipes_hold_nobody_up(
    folder: Path, workspace: CloneWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HEAD", "index", f"refs/heads/{BRANCH}", "config", "packed-refs"):
        (workspace.git_dir / name).unlink()
        os.mkfifo(workspace.git_dir / name)
    write_files(workspace.path, {"new.txt": "n\n"})
    assert git(folder, "show", f"{commit(workspace)}:new.txt") == "n"
    monkeypatch.setattr(shield, "WORK_TREE_TIMEOUT_S", 0.5)
    os.mkfifo(workspace.path / ".gitattributes")
    write_files(workspace.path, {"later.txt": "n\n"})
    with pytest.raises(WorkspaceError, match=r"did not end within 0\.5 s"):
        commit(workspace)
    (workspace.path / ".gitattributes").unlink()
    os.mkfifo(workspace.git_dir / "objects" / "pipe")
    git_dir_head = hostile_head(workspace)
    with pytest.raises(WorkspaceError, match=r"neither a file nor a folder"):
        commit(workspace)
    assert git_dir_head


def hostile_head(workspace: CloneWorkspace) -> str:
    """Leave HEAD somewhere else, so that its objects are looked at."""
    head = "1" * 40
    (workspace.git_dir / "HEAD").unlink()
    (workspace.git_dir / "HEAD").write_text(f"{head}\n")
    return head


def test_branches_of_the_agents_own_do_not_reach_the_user(folder: Path, workspace: CloneWorkspace) -> None:
    for name in ("main", "orchestrator/run-1/other", "--upload-pack=x", "a|b", "@{-1}x"):
        (workspace.git_dir / "refs" / "heads" / name).parent.mkdir(parents=True, exist_ok=True)
        (workspace.git_dir / "refs" / "heads" / name).write_text(f"{workspace.start_commit}\n")
    git(workspace.path, "tag", "v9")
    commit_files(workspace.path, {"first.txt": "1\n"})
    commit(workspace)
    assert our_branches(folder) == [BRANCH]
    assert git(folder, "tag") == ""


def test_a_submodule_is_neither_fetched_nor_entered(workspace: CloneWorkspace, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    inner = make_repository(tmp_path / "inner")
    git(workspace.path, "submodule", "--quiet", "add", f"file://{inner}", "inner")
    plant(workspace.git_dir / "modules" / "inner", workspace.path / "inner", str(mark))
    (workspace.path / "inner" / ".gitattributes").unlink()
    write_files(workspace.path, {"inner/a.txt": "changed\n"})
    commit(workspace)
    assert changed(workspace) == (".gitmodules", "inner")
    assert not mark.exists(), mark.read_text()


HARM = {
    "move a branch": "git --git-dir={git} update-ref refs/heads/main {commit}",
    "move HEAD": "echo 'ref: refs/heads/x' > {git}/HEAD",
    "write a hook": "echo x > {git}/hooks/pre-commit",
    "write config": "echo '[core]' >> {git}/config",
    "delete objects": "rm -rf {git}/objects/??",
    "damage an object": "for f in {git}/objects/??/*; do chmod u+w $f; echo x > $f; done",
    "write alternates": "mkdir -p {git}/objects/info; echo /x > {git}/objects/info/alternates",
    "change the index": "echo x > {git}/index",
}


@pytest.mark.parametrize("harm", HARM)
def test_in_a_sandbox_nothing_of_the_users_can_be_harmed(
    folder: Path, workspace: CloneWorkspace, harm: str
) -> None:
    """With all that a clone needs to be seen, it can still be committed in."""
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    objects = folder / ".git" / "objects"
    before = {path: path.read_bytes() for path in objects.rglob("*") if path.is_file()}
    other = commit_files(workspace.path, {"x.txt": "x\n"})
    argv = [
        "bwrap",
        "--ro-bind",
        "/",
        "/",
        "--dev",
        "/dev",
        "--bind",
        str(workspace.path),
        str(workspace.path),
    ]
    argv += ["--unshare-user", "--cap-drop", "ALL", "--chdir", str(workspace.path), "/bin/sh", "-c"]
    line = HARM[harm].format(git=folder / ".git", commit=other)
    subprocess.run([*argv, line], check=False, capture_output=True)
    identity = "-c user.name=x -c user.email=x@example.org"
    worked = subprocess.run(
        [*argv, f"echo y > y.txt && git add y.txt && git {identity} commit -qm y && git branch mine"],
        check=False,
        capture_output=True,
    )
    assert worked.returncode == 0, worked.stderr
    assert {path: path.read_bytes() for path in objects.rglob("*") if path.is_file()} == before
    commit(workspace)
    assert changed(workspace) == ("x.txt", "y.txt")


def test_the_time_limit_of_git_ends_all_its_processes(tmp_path: Path) -> None:
    folder = make_repository(tmp_path / "repo")
    (folder / ".git" / "config").unlink()
    os.mkfifo(folder / ".git" / "config")
    with pytest.raises(process.GitError, match="did not end within"):
        process.run_git(
            ["fetch", "--", str(folder)],
            git_dir=make_repository(tmp_path / "o") / ".git",
            env=transfer._PROTOCOL,
            timeout_s=1.0,
        )
