"""The policy when nobody watches and no rules are given: files of the workspace, and nothing else."""

from __future__ import annotations

import os
import unicodedata
from contextlib import suppress
from pathlib import Path

from orchestrator.model.request import Decision, Level, PermissionRequest, Tool, Verdict

_FILES = {Tool.READ: "read", Tool.WRITE: "written", Tool.DELETE: "deleted"}
#: Some file systems open git's own folder by these names as well.
_GIT_NAMES = frozenset({".git", "git~1"})


class UnattendedPolicy:
    """Allows reading, writing and deleting inside the workspace; refuses everything else."""

    def judge(self, request: PermissionRequest, workspace: Path) -> Decision:
        """Answer at once. Whatever cannot be understood is refused."""
        try:
            return _judge(request, workspace)
        except (OSError, ValueError, TypeError, AttributeError) as err:
            return _deny("fault", Level.PROHIBITED, f"the request could not be understood: {err}")


def _judge(request: PermissionRequest, workspace: Path) -> Decision:
    if request.tool not in _FILES:
        return _deny(
            "no_rule",
            Level.CAUTION,
            f"no rule allows {request.tool.value} when nobody watches; do without it, or say what you needed",
        )
    if not request.path:
        return _deny("no_path", Level.CAUTION, "the request names no path")
    return _judge_path(request.tool, request.path, workspace)


def _judge_path(tool: Tool, path: str, workspace: Path) -> Decision:
    root = Path(os.path.realpath(workspace, strict=True))
    given = Path(os.path.normpath(root / path))
    real = Path(os.path.realpath(root / path))
    if any(_names_git(part) for place in (given, real) for part in _below(root, place)):
        return _deny("git_folder", Level.PROHIBITED, f"`{path}` belongs to git; use git's own commands")
    with suppress(FileNotFoundError):
        real.stat()  # what cannot be looked at, or never ends, was not resolved and raises here
    if path.startswith("~") or not real.is_relative_to(root):
        return _deny(
            "outside_workspace",
            Level.PROHIBITED,
            f"`{path}` is outside the workspace; only files below it may be {_FILES[tool]}",
        )
    if real == root and tool is not Tool.READ:
        return _deny("workspace_itself", Level.PROHIBITED, f"`{path}` is the workspace itself")
    return Decision(
        verdict=Verdict.ALLOW,
        level=Level.SAFE,
        rule="unattended.workspace_file",
        reason="a file of the workspace",
    )


def _below(root: Path, place: Path) -> tuple[str, ...]:
    return place.parts[len(root.parts) :] if place.is_relative_to(root) else ()


def _names_git(part: str) -> bool:
    """Whether any file system could take this name for git's folder: case, blanks, streams, invisibles."""
    seen = "".join(char for char in part if unicodedata.category(char) != "Cf")
    return seen.partition(":")[0].rstrip(" .").casefold() in _GIT_NAMES


def _deny(rule: str, level: Level, reason: str) -> Decision:
    return Decision(verdict=Verdict.DENY, level=level, rule=f"unattended.{rule}", reason=reason)
