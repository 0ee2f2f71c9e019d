"""The private checkout that a gate runs in: made anew for every tree, so that nothing is left of the last."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from orchestrator.git.repository import Repository
from orchestrator.git.shield import Shield
from orchestrator.git.worktrees import remove_tree
from orchestrator.model.confinement import GitFolders
from orchestrator.workspaces.clone_folder import write_clone
from orchestrator.workspaces.copying import copy_into


def check_out(
    repo: Repository, shield: Shield, commit: str, place: Path, *, branch: str, copy_files: tuple[str, ...]
) -> None:
    """Let `place` hold the files of `commit`, in a repository of its own that borrows its objects."""
    remove_tree(place)
    place.mkdir(parents=True, mode=0o700)
    git_dir = place / ".git"
    names = ["info/exclude", "info/attributes", *(["shallow"] if repo.is_shallow else [])]
    write_clone(
        git_dir,
        branch=branch,
        commit=commit,
        objects=shield.objects,
        config=(shield.git_dir / "config").read_text(),
        files={name: (shield.git_dir / name).read_bytes() for name in names},
    )
    index = shield.git_dir / f"{place.name}.index"
    index.unlink(missing_ok=True)
    shield.run(["read-tree", "-u", "--reset", commit], work_tree=place, index=index)
    shutil.copyfile(index, git_dir / "index")
    for name in copy_files:
        copy_into(repo.root, name, place)


def git_folders(repo: Repository, shield: Shield, branch: str) -> GitFolders:
    """What the checkout reads outside itself, for the sandbox."""
    return GitFolders(
        common_dir=repo.common_dir,
        branch=branch,
        borrowed=tuple({shield.objects, repo.common_dir / "objects"}),
    )


def remove_place(folder: Path) -> None:
    """Take away a landing's folder, and those of its run above it when they are empty."""
    remove_tree(folder)
    with suppress(OSError):  # workspaces are still there
        folder.parent.rmdir()
