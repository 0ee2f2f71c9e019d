"""What an attempt has of its own, as its sandbox needs to know it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class GitFolders:
    """Where the git of a workspace keeps what lies outside the workspace."""

    common_dir: Path  #: the user's repository
    entry: Path | None = None  #: a linked worktree's own folder in it
    branch: str | None = None  #: the worker's own branch; None: the workspace is the user's checkout
    borrowed: tuple[Path, ...] = ()  #: what a clone reads outside itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """One attempt's own places. Everything else of the user's is none of its business."""

    workspace: Path
    tmp_dir: Path  #: removed after the attempt
    prompt_file: Path
    config_dir: Path | None = None  #: the agent's own settings and sessions, kept for the next attempt
    login_dir: Path | None = None  #: the user's login for its agent, which all its workers share
    git: GitFolders | None = None
