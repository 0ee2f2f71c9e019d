"""What agents leave behind: the work ends up on the worker's branch, and nothing they planted is run."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.errors import WorkspaceError
from orchestrator.git.repository import open_repository
from orchestrator.workspaces.checkout import WorktreeWorkspace
from orchestrator.workspaces.none import NoWorkspaces
from tests.integration.git_fixtures import (
    commit_files,
    fingerprint,
    git,
    make_repository,
    our_branches,
    workspaces,
    write_files,
)

BRANCH = "orchestrator/run-1/worker"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "repo")


@pytest.fixture
def workspace(folder: Path, tmp_path: Path) -> Iterator[WorktreeWorkspace]:
    """A fresh workspace; whatever happens in it, what is the user's stays as it was."""
    before = fingerprint(folder)
    with workspaces(folder, tmp_path / "workspaces") as made:
        yield asyncio.run(made.create("worker", 1, ()))
        assert git(folder, "fsck", "--no-dangling") == ""
        assert fingerprint(folder) == before


def commit(workspace: WorktreeWorkspace) -> str:
    return asyncio.run(workspace.commit("Left"))


def changed(workspace: WorktreeWorkspace) -> tuple[str, ...]:
    return asyncio.run(workspace.files_changed())


def forget(folder: Path, branch: str) -> None:
    """Delete a branch of the agent's, so that only the user's are left to compare."""
    git(folder, "update-ref", "-d", f"refs/heads/{branch}")


def on_branch(workspace: WorktreeWorkspace) -> None:
    """The workspace is on its branch, and clean."""
    assert git(workspace.path, "status", "--porcelain", "--branch") == f"## {BRANCH}"


def test_commits_of_the_agent_stay(workspace: WorktreeWorkspace) -> None:
    tip = commit_files(workspace.path, {"a.txt": "agent\n"})
    assert commit(workspace) == tip
    write_files(workspace.path, {"b.txt": "left\n"})
    assert commit(workspace) != tip
    assert changed(workspace) == ("a.txt", "b.txt")
    assert commit(workspace) == git(workspace.path, "rev-parse", "HEAD")


@pytest.mark.parametrize(
    "switch", [["checkout", "--detach"], ["checkout", "-b", "mine"], ["switch", "-c", "x/y"]]
)
def test_work_elsewhere_comes_onto_the_branch(
    folder: Path, workspace: WorktreeWorkspace, switch: list[str]
) -> None:
    commit_files(workspace.path, {"first.txt": "1\n"})
    git(workspace.path, *switch, "--quiet")
    commit_files(workspace.path, {"second.txt": "2\n"})
    write_files(workspace.path, {"third.txt": "3\n"})
    tip = commit(workspace)
    assert git(folder, "rev-parse", BRANCH) == tip
    assert changed(workspace) == ("first.txt", "second.txt", "third.txt")
    on_branch(workspace)
    for stray in ("mine", "x/y"):
        forget(folder, stray)


def test_work_on_two_branches_is_joined(workspace: WorktreeWorkspace) -> None:
    commit_files(workspace.path, {"first.txt": "1\n"})
    git(workspace.path, "checkout", "--quiet", "--detach", "HEAD~1")
    write_files(workspace.path, {"second.txt": "2\n"})
    commit(workspace)
    assert changed(workspace) == ("first.txt", "second.txt")
    assert (workspace.path / "first.txt").exists()
    on_branch(workspace)


def test_leaving_for_an_older_commit_takes_nothing_away(workspace: WorktreeWorkspace) -> None:
    tip = commit_files(workspace.path, {"first.txt": "1\n"})
    git(workspace.path, "checkout", "--quiet", "--detach", "HEAD~1")
    assert commit(workspace) == tip
    on_branch(workspace)


def test_work_that_conflicts_with_the_branch_is_kept_and_named(
    folder: Path, workspace: WorktreeWorkspace
) -> None:
    first = commit_files(workspace.path, {"a.txt": "1\n"})
    git(workspace.path, "checkout", "--quiet", "--detach", "HEAD~1")
    write_files(workspace.path, {"a.txt": "2\n"})
    with pytest.raises(WorkspaceError, match=r"does not fit its branch.*conflict: 'a\.txt'") as caught:
        commit(workspace)
    assert f"{BRANCH}@head" in str(caught.value.hint)
    assert git(folder, "rev-parse", BRANCH) == first
    assert git(folder, "show", f"{BRANCH}@head:a.txt") == "2"
    assert (workspace.path / "a.txt").read_text() == "2\n"


def test_work_on_unrelated_history_is_kept_and_named(folder: Path, workspace: WorktreeWorkspace) -> None:
    git(workspace.path, "checkout", "--quiet", "--orphan", "other")
    git(workspace.path, "rm", "-r", "--quiet", "--cached", ".")
    commit_files(workspace.path, {"other.txt": "o\n"})
    with pytest.raises(WorkspaceError, match="does not build on the start commit"):
        commit(workspace)
    assert git(folder, "show", f"{BRANCH}@head:other.txt") == "o"
    git(workspace.path, "checkout", "--quiet", "--detach")
    forget(folder, "other")


def test_an_unborn_branch_loses_nothing(workspace: WorktreeWorkspace) -> None:
    git(workspace.path, "checkout", "--quiet", "--orphan", "other")
    write_files(workspace.path, {"other.txt": "o\n"})
    commit(workspace)
    assert changed(workspace) == ("other.txt",)
    on_branch(workspace)


def test_an_amended_start_commit_is_joined_with_it(tmp_path: Path) -> None:
    folder = make_repository(tmp_path / "repo")
    commit_files(folder, {"second.txt": "2\n"})
    with workspaces(folder, tmp_path / "workspaces") as made:
        workspace = asyncio.run(made.create("worker", 1, ()))
        write_files(workspace.path, {"new.txt": "n\n"})
        git(workspace.path, "add", "-A")
        git(workspace.path, "commit", "--quiet", "--amend", "-m", "Amended")
        tip = commit(workspace)
        assert git(folder, "merge-base", "main", tip) == workspace.start_commit
        assert changed(workspace) == ("new.txt",)


def test_an_amended_first_commit_is_kept_and_named(folder: Path, workspace: WorktreeWorkspace) -> None:
    write_files(workspace.path, {"new.txt": "n\n"})
    git(workspace.path, "add", "-A")
    git(workspace.path, "commit", "--quiet", "--amend", "-m", "Amended")
    with pytest.raises(WorkspaceError, match="nothing in common"):
        commit(workspace)
    assert git(folder, "show", f"{BRANCH}@head:new.txt") == "n"


def test_history_rewritten_below_the_start_is_joined_with_it(tmp_path: Path) -> None:
    folder = make_repository(tmp_path / "repo")
    commit_files(folder, {"second.txt": "2\n"})
    with workspaces(folder, tmp_path / "workspaces") as made:
        workspace = asyncio.run(made.create("worker", 1, ()))
        git(workspace.path, "reset", "--quiet", "--hard", "HEAD~1")
        commit_files(workspace.path, {"new.txt": "n\n"})
        tip = commit(workspace)
        assert git(folder, "merge-base", "main", tip) == workspace.start_commit
        assert changed(workspace) == ("new.txt",)


def test_a_merge_left_in_the_middle_is_committed_as_it_stands(
    folder: Path, workspace: WorktreeWorkspace
) -> None:
    git(workspace.path, "checkout", "--quiet", "-b", "other")
    commit_files(workspace.path, {"a.txt": "other\n", "other.txt": "o\n"})
    git(workspace.path, "checkout", "--quiet", BRANCH)
    commit_files(workspace.path, {"a.txt": "mine\n"})
    git(workspace.path, "merge", "other", check=False)
    assert "UU a.txt" in git(workspace.path, "status", "--porcelain")
    commit(workspace)
    assert changed(workspace) == ("a.txt", "other.txt")
    assert "<<<<<<< HEAD" in git(folder, "show", f"{BRANCH}:a.txt")
    forget(folder, "other")


def test_a_rebase_left_in_the_middle_loses_nothing(folder: Path, workspace: WorktreeWorkspace) -> None:
    git(workspace.path, "checkout", "--quiet", "-b", "other")
    commit_files(workspace.path, {"a.txt": "other\n"})
    git(workspace.path, "checkout", "--quiet", BRANCH)
    mine = commit_files(workspace.path, {"a.txt": "mine\n"})
    git(workspace.path, "rebase", "other", check=False)
    write_files(workspace.path, {"note.txt": "in the middle\n"})
    with pytest.raises(WorkspaceError, match="does not fit its branch"):
        commit(workspace)
    assert git(folder, "rev-parse", BRANCH) == mine
    assert git(folder, "show", f"{BRANCH}@head:note.txt") == "in the middle"
    git(workspace.path, "rebase", "--quit")
    forget(folder, "other")


def test_locks_of_a_killed_git_are_cleared(workspace: WorktreeWorkspace) -> None:
    (workspace.entry / "index.lock").touch()
    (workspace.entry / "HEAD.lock").touch()
    (workspace.common_dir / "refs" / "heads" / f"{BRANCH}.lock").touch()
    write_files(workspace.path, {"new.txt": "n\n"})
    commit(workspace)
    assert changed(workspace) == ("new.txt",)
    on_branch(workspace)


@pytest.mark.parametrize("content", [b"", b"garbage", None])
def test_a_damaged_index_loses_nothing(workspace: WorktreeWorkspace, content: bytes | None) -> None:
    index = workspace.entry / "index"
    index.unlink() if content is None else index.write_bytes(content)
    write_files(workspace.path, {"new.txt": "n\n"})
    (workspace.path / "a.txt").unlink()
    commit(workspace)
    assert changed(workspace) == ("a.txt", "new.txt")


def test_a_worktree_the_agent_took_apart_loses_nothing(folder: Path, workspace: WorktreeWorkspace) -> None:
    (workspace.path / ".git").unlink()
    git(folder, "worktree", "prune")
    assert not workspace.entry.exists()
    forget(folder, BRANCH)
    write_files(workspace.path, {"new.txt": "n\n"})
    commit(workspace)
    assert changed(workspace) == ("new.txt",)
    asyncio.run(workspace.remove())
    assert our_branches(folder) == [BRANCH]


def test_a_branch_made_to_point_at_the_users_moves_nothing(
    folder: Path, workspace: WorktreeWorkspace
) -> None:
    git(folder, "symbolic-ref", f"refs/heads/{BRANCH}", "refs/heads/main")
    write_files(workspace.path, {"new.txt": "n\n"})
    tip = commit(workspace)
    assert git(folder, "rev-parse", BRANCH) == tip
    assert git(folder, "rev-parse", "main") == workspace.start_commit


def test_the_agent_on_the_users_branch_moves_nothing_more(folder: Path, workspace: WorktreeWorkspace) -> None:
    git(workspace.path, "checkout", "--quiet", "--ignore-other-worktrees", "main")
    write_files(workspace.path, {"new.txt": "n\n"})
    assert git(folder, "rev-parse", BRANCH, "main") == f"{workspace.start_commit}\n{workspace.start_commit}"
    commit(workspace)
    assert changed(workspace) == ("new.txt",)
    on_branch(workspace)


def test_a_repository_inside_becomes_plain_files(folder: Path, workspace: WorktreeWorkspace) -> None:
    for name in ("empty", "app"):
        git(workspace.path, "init", "--quiet", name)
    commit_files(workspace.path / "app", {"main.py": "1\n", ".gitignore": "*.pyc\n"})
    write_files(workspace.path, {"app/left.txt": "2\n", "app/x.pyc": "", "empty/file": "3\n"})
    git(workspace.path, "init", "--quiet", "app/deeper")
    write_files(workspace.path, {"app/deeper/file": "4\n"})
    commit(workspace)
    assert changed(workspace) == (
        "app/.gitignore",
        "app/deeper/file",
        "app/left.txt",
        "app/main.py",
        "empty/file",
    )
    assert "160000" not in git(folder, "ls-tree", "-r", BRANCH)


def test_a_link_to_a_repository_inside_becomes_plain_files(
    folder: Path, workspace: WorktreeWorkspace
) -> None:
    git(workspace.path, "init", "--quiet", "app")
    commit_files(workspace.path / "app", {"main.py": "1\n"})
    git(workspace.path, "-c", "advice.addEmbeddedRepo=false", "add", "-A")
    git(workspace.path, "commit", "--quiet", "-m", "Link")
    assert "160000" in git(folder, "ls-tree", BRANCH)
    commit(workspace)
    assert changed(workspace) == ("app/main.py",)


def test_a_submodule_the_agent_added_stays_one(
    folder: Path, workspace: WorktreeWorkspace, tmp_path: Path
) -> None:
    make_repository(tmp_path / "inner")
    git(workspace.path, "submodule", "--quiet", "add", f"file://{tmp_path / 'inner'}", "inner")
    commit(workspace)
    assert changed(workspace) == (".gitmodules", "inner")
    assert git(folder, "ls-tree", BRANCH, "inner").startswith("160000")
    # what git itself recorded of the submodule in the user's configuration is the agent's doing
    git(folder, "config", "--remove-section", "submodule.inner")


def plant(git_dir: Path, work_tree: Path, mark: str) -> None:
    """Let everything that git can be made to run for a file or a command write to `mark`."""
    hooks = git_dir / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in (
        "post-checkout",
        "pre-commit",
        "post-commit",
        "reference-transaction",
        "post-index-change",
        "fsmonitor",
    ):
        (hooks / name).write_text(f"#!/bin/sh\necho {name} >> {mark}\n")
        (hooks / name).chmod(0o755)
    with (git_dir / "config").open("a") as config:
        config.write(
            f"""
[core]
\tfsmonitor = {hooks / "fsmonitor"}
\tpager = echo pager >> {mark}
\teditor = echo editor >> {mark}
\tsshCommand = echo ssh >> {mark}
[commit]
\tgpgSign = true
[gpg]
\tprogram = {hooks / "pre-commit"}
[diff]
\texternal = {hooks / "pre-commit"}
[diff "evil"]
\tcommand = {hooks / "pre-commit"}
\ttextconv = {hooks / "pre-commit"}
[merge "evil"]
\tdriver = echo merge >> {mark}
[filter "evil"]
\tclean = echo clean >> {mark}; cat
\tsmudge = echo smudge >> {mark}; cat
\trequired = true
[filter "ev=il.x"]
\tprocess = echo process >> {mark}
"""
        )
    attributes = "*.txt filter=evil diff=evil merge=evil\n*.md filter=ev=il.x\n"
    (git_dir / "info").mkdir(exist_ok=True)
    (git_dir / "info" / "attributes").write_text(attributes)
    (work_tree / ".gitattributes").write_text(attributes)


def test_a_hostile_repository_runs_nothing(tmp_path: Path) -> None:
    folder, mark = make_repository(tmp_path / "repo", {"a.txt": "a\n", "b.md": "b\n"}), tmp_path / "mark"
    plant(folder / ".git", folder, str(mark))
    (folder / "a.txt").touch()

    async def scenario() -> None:
        with workspaces(folder, tmp_path / "workspaces") as made:
            tips = []
            for name in ("one", "two"):
                workspace = await made.create(name, 1, ())
                write_files(
                    workspace.path, {"a.txt": f"{name}\n" if name == "one" else "a\n", f"{name}.txt": "x\n"}
                )
                tips.append(await workspace.commit("Work"))
            joined = await made.create("joined", 1, tips)
            assert await joined.commit("Nothing") == joined.start_commit
            assert await joined.files_changed() == ()
            await joined.remove()
            await workspace.remove()
            own = await NoWorkspaces(folder, pool=workspace.pool, repo=open_repository(folder)).create(
                "w", 1, ()
            )
            write_files(folder, {"a.txt": "by hand\n"})
            assert await own.files_changed() == ("a.txt",)

    asyncio.run(scenario())
    assert not mark.exists(), mark.read_text()
    git(folder, "status", check=False)  # the traps do work: the user's own git falls into them
    assert mark.exists()


def test_a_hostile_workspace_runs_nothing(folder: Path, workspace: WorktreeWorkspace, tmp_path: Path) -> None:
    mark = str(tmp_path / "mark")
    evil = make_repository(tmp_path / "evil")
    plant(evil / ".git", workspace.path, mark)
    (workspace.path / ".git").write_text(f"gitdir: {evil / '.git'}\n")
    (workspace.entry / "commondir").write_text(f"{evil / '.git'}\n")
    shutil.copy(evil / ".git" / "config", workspace.entry / "config.worktree")
    nested = make_repository(workspace.path / "nested", {"n.txt": "n\n"})
    plant(nested / ".git", nested, mark)
    write_files(workspace.path, {"a.txt": "changed\n", "b.md": "b\n"})
    commit(workspace)
    assert set(changed(workspace)) == {
        ".gitattributes",
        "a.txt",
        "b.md",
        "nested/.gitattributes",
        "nested/n.txt",
    }
    asyncio.run(workspace.remove())
    assert not Path(mark).exists(), Path(mark).read_text()
    assert git(evil, "rev-list", "--count", "HEAD") == "1"


def test_a_link_among_the_agents_changes_is_not_followed(
    workspace: WorktreeWorkspace, tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir()
    write_files(tmp_path / "outside", {"b.txt": "secret\n"})
    shutil.rmtree(workspace.path / "src")
    (workspace.path / "src").symlink_to(tmp_path / "outside")
    commit(workspace)
    assert changed(workspace) == ("src", "src/b.txt")
    asyncio.run(workspace.remove())
    assert (tmp_path / "outside" / "b.txt").exists()
