"""What a repository would make an agent, git or an editor execute without anybody asking for it.

Such content came with the repository, from whoever could write there; a person has to have seen it
before agents that obey it run unattended. What only the project's own tools run (Makefile, package
scripts) is not listed: agents start those on purpose, under the policy.
"""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.git.process import run_git
from orchestrator.git.repository import Repository
from orchestrator.git.tree import TreeEntry, blobs, tree_entries

#: Pattern of a whole path, in any case, as file systems may not tell them apart; and who would run it.
_RULES = tuple(
    (re.compile(pattern.encode(), re.IGNORECASE), runner)
    for pattern, runner in (
        (r"(.*/)?\.claude(-plugin)?/.*", "Claude Code"),
        (r"(.*/)?\.mcp\.json", "agents that start MCP servers"),
        (r"(.*/)?\.codex/.*", "Codex"),
        (r"(.*/)?\.agents/.*", "agents that load skills"),
        (r"(.*/)?\.(gemini|qwen|opencode|amp|kiro|goose|cursor)/.*", "the agent of that name"),
        (r"(.*/)?(opencode\.jsonc?|\.aider\.conf\.yml|\.goosehints)", "the agent of that name"),
        (r"(.*/)?\.vscode/(tasks|settings|mcp|launch)\.json", "VS Code, and agents built on it"),
        (r"(.*/)?\.devcontainer(\.json|/.*)", "development containers"),
        (r"(.*/)?\.envrc", "direnv"),
        (r"(.*/)?(\.?mise\.toml|\.mise/.*|\.config/mise/.*)", "mise"),
        (r"\.husky/.*", "git, by husky"),
        (r"\.githooks/.*", "git, once core.hooksPath names it"),
        (r"\.?lefthook(-local)?\.(ya?ml|toml|json)", "git, by lefthook"),
        (r"\.pre-commit-config\.yaml", "git, by pre-commit"),
        (r"\.gitmodules", "git, for submodules"),
    )
)
_ATTRIBUTES = re.compile(rb"(.*/)?\.gitattributes", re.IGNORECASE)
#: Other drivers than those that git has itself, and than LFS, which is a filter nobody ships.
_DRIVER = re.compile(rb"(?:^|[\s])(filter=(?!lfs\b)|diff=(?!lfs\b)|merge=(?!(lfs|text|binary|union)\b))")
_LINK, _SUBMODULE = "120000", "160000"


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveContent:
    """One file, or one setting, that gets something executed."""

    name: str  #: a path, or a git setting; safe to print
    runner: str
    digest: str  #: of the content


def active_content(repo: Repository, commit: str) -> tuple[ActiveContent, ...]:
    """List what the commit, or the repository's own settings, would get executed; sorted by name."""
    tree = tree_entries(repo.common_dir, commit)
    found = [*_files(tree), *_attributes(repo, tree), *_links_out(repo, tree), *_hooks_in_tree(repo, tree)]
    return tuple(sorted(found, key=lambda item: (item.name, item.runner)))


def content_digest(found: Sequence[ActiveContent]) -> str:
    """One hash over everything listed; any change of it asks for a new approval."""
    listed = [[item.name, item.digest] for item in found]
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()


def runner_of(path: bytes) -> str | None:
    """Say who would execute, or obey, a file at `path` without being asked; None: nobody."""
    return next((runner for pattern, runner in _RULES if pattern.fullmatch(path)), None)


def _files(tree: Sequence[TreeEntry]) -> Iterator[ActiveContent]:
    for entry in tree:
        if runner := runner_of(entry.path):
            yield _item(entry, runner)


def _attributes(repo: Repository, tree: Sequence[TreeEntry]) -> Iterator[ActiveContent]:
    """Attributes name a driver; whether there is one of that name is up to the user's configuration."""
    listed = [entry for entry in tree if _ATTRIBUTES.fullmatch(entry.path) and _is_file(entry)]
    content = blobs(repo.common_dir, listed)
    for entry in listed:
        if _DRIVER.search(content.get(entry.path, b"")):
            yield _item(entry, "git, where a driver of that name is configured")


def _links_out(repo: Repository, tree: Sequence[TreeEntry]) -> Iterator[ActiveContent]:
    """What is written through such a link lands outside the checkout."""
    links = [entry for entry in tree if entry.mode == _LINK]
    targets = blobs(repo.common_dir, links)
    for entry in links:
        if _leads_out(entry.path, targets.get(entry.path, b"/")):
            yield _item(entry, "nobody, but this link leads out of the repository")


def _leads_out(path: bytes, target: bytes) -> bool:
    place = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    return place.startswith((b"/", b"../")) or place == b".."


def _hooks_in_tree(repo: Repository, tree: Sequence[TreeEntry]) -> Iterator[ActiveContent]:
    """Files in a folder of the checkout that the user's own `core.hooksPath` names."""
    output = run_git(["config", "--local", "--get", "core.hooksPath"], git_dir=repo.common_dir, check=False)
    named = os.fsdecode(output.stdout).strip()
    folder = Path(os.path.normpath(repo.root / Path(named).expanduser()))
    if not named or not folder.is_relative_to(repo.root):
        return
    inside = b"" if folder == repo.root else os.fsencode(folder.relative_to(repo.root)) + b"/"
    for entry in tree:
        if entry.path.startswith(inside):
            yield _item(entry, "git: core.hooksPath names this folder")


def _is_file(entry: TreeEntry) -> bool:
    return entry.mode not in {_LINK, _SUBMODULE}


def _item(entry: TreeEntry, runner: str) -> ActiveContent:
    name = os.fsdecode(entry.path)
    shown = name if name.isprintable() else ascii(name)
    return ActiveContent(name=shown, runner=runner, digest=f"{entry.mode} {entry.object_id}")
