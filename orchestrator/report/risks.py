"""Which changes a reviewer should look at first, and why."""

from __future__ import annotations

import os
import re
from pathlib import PurePosixPath

from orchestrator.git.file_changes import FileChange
from orchestrator.model.known_files import LOCK_FILES
from orchestrator.workspaces.active_content import runner_of

_CI = re.compile(
    r"\.github/(workflows|actions)/.*|\.circleci/.*|\.buildkite/.*|\.woodpecker(/.*|\.ya?ml)|\.gitlab-ci\.ya?ml"
    r"|\.gitlab/ci/.*|(.*/)?Jenkinsfile|\.?azure-pipelines.*\.ya?ml|\.(travis|drone|appveyor)\.ya?ml"
    r"|bitbucket-pipelines\.ya?ml|\.forgejo/workflows/.*|\.gitea/workflows/.*",
    re.IGNORECASE,
)
_ORDERS = re.compile(r"(.*/)?(CLAUDE(\.local)?|AGENTS|GEMINI|QWEN|CONVENTIONS)\.md", re.IGNORECASE)
_GIT = re.compile(r"(.*/)?\.(gitattributes|gitignore|gitmodules)|(\.github/|docs/)?CODEOWNERS", re.IGNORECASE)
_DEPENDENCIES = re.compile(
    r"(.*/)?(package\.json|pyproject\.toml|setup\.(py|cfg)|(requirements|constraints)[^/]*\.txt|Pipfile"
    r"|environment\.ya?ml|Cargo\.toml|go\.mod|Gemfile|[^/]*\.gemspec|composer\.json|pom\.xml|build\.gradle(\.kts)?"
    r"|mix\.exs|pubspec\.ya?ml|deno\.jsonc?|[^/]*\.(csproj|fsproj)|\.npmrc|\.yarnrc(\.yml)?|pip\.conf)"
    r"|requirements/[^/]*\.txt",
    re.IGNORECASE,
)
_LINK, _SUBMODULE, _PROGRAM, _NOTHING = "120000", "160000", "100755", "000000"


def risks_of(change: FileChange) -> tuple[str, ...]:
    """Say what about the change asks for a look, gravest first; empty for an ordinary one."""
    paths = [path for path in (change.path, change.old_path) if path is not None]
    named = [reason for path in paths for reason in _by_name(path)]
    return tuple(dict.fromkeys([*named, *_by_kind(change)]))


def gravity(change: FileChange) -> int:
    """A place in the order of reading: the lower, the earlier."""
    reasons = risks_of(change)
    return _GRAVITY.index(reasons[0].partition(":")[0]) if reasons else len(_GRAVITY)


#: The first words of every reason, gravest first.
_GRAVITY = (
    *("CI", "runs unasked", "orders to agents", "git's own rules", "submodule", "symbolic link"),
    *("permissions", "dependencies", "lock file", "deleted", "binary"),
)


def _by_name(path: str) -> list[str]:
    found = []
    if _CI.fullmatch(path):
        found.append("CI")
    if runner := runner_of(os.fsencode(path)):
        found.append(f"runs unasked: {runner}")
    if _ORDERS.fullmatch(path):
        found.append("orders to agents")
    if _GIT.fullmatch(path):
        found.append("git's own rules")
    if _DEPENDENCIES.fullmatch(path):
        found.append("dependencies")
    if PurePosixPath(path).name in LOCK_FILES:
        found.append("lock file")
    return sorted(found, key=lambda reason: _GRAVITY.index(reason.partition(":")[0]))


def _by_kind(change: FileChange) -> list[str]:
    modes = {change.old_mode, change.new_mode}
    found = []
    if _SUBMODULE in modes:
        found.append("submodule")
    if _LINK in modes:
        found.append("symbolic link")
    if _PROGRAM in modes and change.old_mode != change.new_mode != _NOTHING:
        found.append(f"permissions: {change.old_mode} → {change.new_mode}")
    if change.status == "D":
        found.append("deleted")
    if change.added is None and not modes & {_LINK, _SUBMODULE}:
        found.append("binary")
    return found
