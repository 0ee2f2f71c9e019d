"""Judges paths after links and `..` are followed: what is the workspace's, and what may never be touched."""

from __future__ import annotations

import os
import stat
import unicodedata
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from orchestrator.model.request import Level, Tool
from orchestrator.policy.finding import Finding, Place, Refused, names

_DONE = {Tool.READ: "read", Tool.WRITE: "written", Tool.DELETE: "deleted"}
#: Some file systems open git's own folder by these names as well.
_GIT_NAMES = frozenset({".git", "git~1"})
#: What a person's tools execute or obey as soon as it lies there; only a rule that names it allows writing.
_SETTINGS = names(
    ".agents .aider.conf.yml .bash_login .bash_logout .bash_profile .bashrc .claude .codex"
    " .cursor .cursorrules"
    " .devcontainer .direnv .envrc .gemini .gitconfig .gitmodules .husky .idea .inputrc .login .mcp.json"
    " .mise.toml .netrc .npmrc .opencode .pnpmfile.cjs .profile .pypirc .ssh .vscode .yarnrc .yarnrc.yml"
    " .zlogin .zprofile .zshenv .zshrc opencode.json"
)
#: Credentials, wherever they lie outside the workspace.
_SECRETS = names(
    ".aws .azure .bash_history .claude .claude.json .codex .config .docker .env .gemini"
    " .git-credentials"
    " .gnupg .kube .netrc .npmrc .password-store .pypirc .ssh .vault-token .zsh_history gshadow shadow"
    " sudoers"
    " .gitconfig keyrings"
)
_SYSTEM = ("/dev", "/proc", "/sys", "/run", "/var/run", "/boot")
_NULL = "/dev/null"


class Ground(NamedTuple):
    """The workspace with every link followed, and the folder that paths are relative to."""

    root: str
    folder: str


def ground_of(workspace: Path, folder: str | None = None) -> Ground:
    """Resolve the workspace. Raises OSError when it is gone, Refused when `folder` is not inside."""
    root = os.path.realpath(workspace, strict=True)
    if folder is None:
        return Ground(root, root)
    real = os.path.realpath(os.path.join(root, folder), strict=True)  # noqa: PTH118 (three times as fast)
    if real != root and not real.startswith(root.rstrip("/") + "/"):
        raise Refused("the working folder is outside the workspace", rule="outside_workspace")
    return Ground(root, real)


def judge_path(tool: Tool, path: str, ground: Ground) -> Finding:
    """Say whether the built-in policy lets `path`, as the agent wrote it, be touched."""
    if path == _NULL:
        return _finding(tool, path, Level.SAFE, "null", "nothing is kept", allowed=True)
    given = os.path.normpath(os.path.join(ground.folder, path))  # noqa: PTH118
    real = os.path.realpath(os.path.join(ground.folder, path))  # noqa: PTH118
    mode = _mode(real)
    base = ground.root.rstrip("/") + "/"
    if path.startswith("~") or not (real + "/").startswith(base):
        return _outside(tool, path, real)
    inside = real[len(base) :]
    names = inside + ("/" + given[len(base) :] if given.startswith(base) and given != real else "")
    if fault := _fault(tool, path, inside, names.split("/"), mode):
        return fault
    level = Level.CAUTION if tool is Tool.DELETE and mode and stat.S_ISDIR(mode) else Level.SAFE
    return _finding(tool, inside or ".", level, "workspace_file", "a file of the workspace", allowed=True)


def _mode(real: str) -> int | None:
    """Of a path whose links were followed. What never ends or cannot be looked at raises OSError."""
    try:
        return os.stat(real).st_mode  # noqa: PTH116 (three times as fast)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _outside(tool: Tool, path: str, real: str) -> Finding:
    reason = f"`{path}` is outside the workspace; only files below it may be {_DONE[tool]}"
    never = tool is not Tool.READ or path.startswith("~") or holds_secrets(real)
    level = Level.PROHIBITED if never else Level.DANGEROUS
    return _finding(tool, real, level, "outside_workspace", reason)


def holds_secrets(real: str) -> bool:
    """Whether a path outside the workspace is one of credentials, devices or the kernel's own."""
    parts = PurePosixPath(real.casefold()).parts
    return not _SECRETS.isdisjoint(parts) or real.startswith(tuple(f"{place}/" for place in _SYSTEM))


def _fault(tool: Tool, path: str, inside: str, names: list[str], mode: int | None) -> Finding | None:
    if not inside and tool is not Tool.READ:
        reason = f"`{path}` is the workspace itself"
        return _finding(tool, ".", Level.PROHIBITED, "workspace_itself", reason)
    plain = [_plain_name(name) for name in names]
    if not _GIT_NAMES.isdisjoint(plain):
        reason = f"`{path}` belongs to git; use git's own commands"
        return _finding(tool, inside, Level.PROHIBITED, "git_folder", reason)
    if tool is not Tool.READ and not _SETTINGS.isdisjoint(plain):
        reason = f"`{path}` holds settings that a person's own tools obey; say what you need there instead"
        return _finding(tool, inside, Level.DANGEROUS, "tool_settings", reason)
    if mode is not None and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        reason = f"`{path}` is no ordinary file"
        return _finding(tool, inside, Level.DANGEROUS, "special_file", reason)
    return None


def _plain_name(name: str) -> str:
    """Undo what file systems ignore in a name: case, trailing dots and blanks, streams, invisibles."""
    if not name.isascii():
        name = unicodedata.normalize("NFKC", name)
        name = "".join(char for char in name if unicodedata.category(char) != "Cf")
    return name.partition(":")[0].rstrip(" .").casefold()


def _finding(
    tool: Tool, path: str, level: Level, rule: str, reason: str, *, allowed: bool = False
) -> Finding:
    return Finding(allowed, level, rule, reason, tool, places=(Place(tool, path),))
