"""Real repositories for tests, and what must never change in one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from orchestrator.git.repository import Repository, open_repository
from orchestrator.workspaces.worktree import WorktreeWorkspaces

AUTHOR = "Orchestrator <orchestrator@localhost>"
USER = {
    "GIT_AUTHOR_NAME": "User",
    "GIT_AUTHOR_EMAIL": "user@example.org",
    "GIT_COMMITTER_NAME": "User",
    "GIT_COMMITTER_EMAIL": "user@example.org",
}


OURS = ("refs/heads/orchestrator/", "refs/orchestrator/")


def git(folder: Path, *argv: str, check: bool = True) -> str:
    """Run git as the user or an agent would, in `folder`."""
    done = subprocess.run(
        ["git", "-c", "protocol.file.allow=always", *argv],
        cwd=folder,
        env={**os.environ, **USER},
        check=False,
        capture_output=True,
        text=True,
        errors="surrogateescape",
    )
    assert not check or done.returncode == 0, done.stderr + done.stdout
    return done.stdout.rstrip("\n")


def make_repository(folder: Path, files: Mapping[str, str] | None = None) -> Path:
    """Make a repository with one commit on `main`."""
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    commit_files(folder, files or {"a.txt": "a\n", "src/b.txt": "b\n"})
    return folder


def commit_files(folder: Path, files: Mapping[str, str], message: str = "Commit") -> str:
    """Write and commit files in any checkout; return the commit."""
    write_files(folder, files)
    git(folder, "add", "-A")
    git(folder, "commit", "--quiet", "-m", message)
    return git(folder, "rev-parse", "HEAD")


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def fingerprint(folder: Path) -> dict[str, object]:
    """All that is the user's: files, index, HEAD, refs, stash, hooks, configuration."""
    git_dir = Path(git(folder, "rev-parse", "--absolute-git-dir"))
    kept = [path for path in sorted(folder.rglob("*")) if path.is_file() and ".git" not in path.parts]
    inner = [
        "config",
        "index",
        "HEAD",
        "ORIG_HEAD",
        "FETCH_HEAD",
        "packed-refs",
        "info",
        "hooks",
        "logs/HEAD",
    ]
    internal = [path for name in inner for path in (git_dir / name, *sorted((git_dir / name).glob("**/*")))]
    refs = git(folder, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    worktrees = git(folder, "worktree", "list").splitlines()
    return {
        "files": {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in kept},
        "git": {str(path): path.read_bytes() for path in internal if path.is_file()},
        "refs": [line for line in refs if not line.startswith(OURS)],
        "worktrees": [" ".join(line.split()) for line in worktrees if "/workspaces/" not in line],
    }


def our_branches(folder: Path) -> list[str]:
    listed = git(folder, "for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads/orchestrator")
    return listed.splitlines()


@contextmanager
def workspaces(
    folder: Path,
    directory: Path,
    *,
    base: str | None = None,
    copy_files: tuple[str, ...] = (),
    run_id: str = "run-1",
    salvage_ignored: bool = False,
) -> Iterator[WorktreeWorkspaces]:
    """Open the repository in `folder` and make workspaces in `directory`."""
    repo: Repository = open_repository(folder)
    with ThreadPoolExecutor(max_workers=4) as pool:
        yield WorktreeWorkspaces(
            repo,
            run_id=run_id,
            base_commit=base or repo.head,
            directory=directory,
            author=AUTHOR,
            copy_files=copy_files,
            salvage_ignored=salvage_ignored,
            pool=pool,
        )
