"""The user's git settings: which of them count for us, read once."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from orchestrator.git.process import run_git

#: By name in lower case, all values that were given, the strongest last.
Settings = Mapping[str, list[str]]

#: Settings that decide how files look on disk; all of them plain words, none names a program.
_PLAIN_SETTINGS = frozenset(
    {
        "core.autocrlf",
        "core.checkstat",
        "core.compression",
        "core.eol",
        "core.filemode",
        "core.ignorecase",
        "core.precomposeunicode",
        "core.symlinks",
        "core.trustctime",
        "extensions.objectformat",
        "index.version",
    }
)
_PLAIN_VALUE = re.compile(r"[A-Za-z0-9-]*")


def user_settings(root: Path) -> Settings:
    """Every setting that counts for the user in this repository, the strongest value last."""
    output = run_git(["config", "--list", "-z"], cwd=root, user_config=True)
    settings: dict[str, list[str]] = {}
    for entry in os.fsdecode(output.stdout).split("\0"):
        key, _, value = entry.partition("\n")
        settings.setdefault(key, []).append(value)
    return settings


def plain_settings(settings: Settings) -> dict[str, str]:
    """Return those settings that a shield may have as well."""
    plain = {key: settings[key][-1] for key in sorted(_PLAIN_SETTINGS & settings.keys())}
    plain = {key: value or "true" for key, value in plain.items() if _PLAIN_VALUE.fullmatch(value)}
    version = "1" if "extensions.objectformat" in plain else "0"
    return {"core.repositoryformatversion": version, "core.bare": "false", **plain}


def identity(settings: Settings) -> str | None:
    """Return the user's own `Name <address>`, None when they have not told git."""
    name, email = (settings.get(key, [""])[-1] for key in ("user.name", "user.email"))
    return f"{name} <{email}>" if name and email else None


def excludes_file(settings: Settings) -> Path:
    """Return the file of ignore rules that the user keeps for all repositories; it need not exist."""
    if chosen := settings.get("core.excludesfile", [""])[-1]:
        return Path(chosen).expanduser()
    folder = os.environ.get("XDG_CONFIG_HOME")
    return (Path(folder) if folder else Path.home() / ".config") / "git" / "ignore"
