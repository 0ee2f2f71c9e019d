"""Codex's own folder for one worker: settings that ask nothing, start nothing and trust nothing.

The repository is marked untrusted on purpose: a trusted one may bring `.codex/config.toml` and
`.codex/rules`, which start programs and let commands run without a question and outside Codex's sandbox.
Its AGENTS.md is only text, which Codex would leave out together with those, so it is handed over here.
The user's own config.toml is not read for the same reason: it may start MCP servers, hooks and
notifications in every worker. A model is chosen by the task, an endpoint by OPENAI_BASE_URL.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path

from orchestrator.agents.codex_program import KEYS

#: As much of AGENTS.md as Codex itself would read.
INSTRUCTIONS_LIMIT = 32 * 1024
#: Where a repository says how agents should work in it; the first one counts.
INSTRUCTIONS = ("AGENTS.override.md", "AGENTS.md")

#: Tools that would act without our policy, helpers that call home, and waiting without end. Without a
#: terminal (`unified_exec_tty`) a command that runs takes no more input: for that nobody would be asked.
_OFF = (
    *("apps", "browser_use", "computer_use", "daemon_auto_start", "goals", "hooks", "image_generation"),
    *("in_app_browser", "plugins", "prevent_idle_sleep", "remote_plugin", "shell_snapshot"),
    *("skill_mcp_dependency_install", "tool_suggest", "unbounded_connection_retries"),
    *("sleep_tool", "unified_exec_tty", "view_image"),
)
_SETTINGS = """\
check_for_update_on_startup = false
web_search = "disabled"
project_doc_max_bytes = 0
{provider}
[features]
{features}
[agents]
enabled = false

[analytics]
enabled = false

[feedback]
enabled = false

[projects.{workspace}]
trust_level = "untrusted"
"""
_OPENAI = "https://api.openai.com/v1"
_PROVIDER = """\
model_provider = "endpoint"

[model_providers.endpoint]
name = "endpoint"
base_url = {url}
wire_api = "responses"
{key}
"""


def make_home(folder: Path, workspace: Path, env: Mapping[str, str], login: Path | None) -> Path:
    """Write the settings anew, whatever an earlier attempt left there; return the folder.

    `login` is where the login lies that all workers share: Codex follows a link to it, also when it writes.
    """
    home = folder / "codex"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in ("rules", "hooks.json"):
        _remove(home / name)
    _write(home / "config.toml", settings(workspace, env))
    _write(home / "AGENTS.md", _instructions(workspace))
    _remove(home / "auth.json")
    if login:
        (home / "auth.json").symlink_to(login / "auth.json")
    return home


def settings(workspace: Path, env: Mapping[str, str]) -> str:
    """Return config.toml for a worker with this environment."""
    return _SETTINGS.format(
        provider=_provider(env),
        features="".join(f"{name} = false\n" for name in _OFF),
        workspace=_quoted(str(workspace)),
    )


def _provider(env: Mapping[str, str]) -> str:
    """Codex itself reads no key from the environment, and its login wants its own endpoint."""
    url = env.get("OPENAI_BASE_URL")
    key = next((name for name in KEYS if env.get(name)), None)
    if not url and not key:
        return ""
    named = f"env_key = {_quoted(key)}" if key else ""
    return _PROVIDER.format(url=_quoted(url or _OPENAI), key=named)


def _quoted(text: str) -> str:
    """A string of TOML; JSON's escapes are a part of its own."""
    return json.dumps(text)


def _instructions(workspace: Path) -> str:
    """Read the repository's file for agents: never a link, which could show any file."""
    for name in INSTRUCTIONS:
        path = workspace / name
        try:
            if not stat.S_ISREG(path.lstat().st_mode):
                continue
            with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
                return file.read(INSTRUCTIONS_LIMIT).decode("utf-8", "replace")
        except OSError:
            continue
    return ""


def _write(path: Path, text: str) -> None:
    """Put a new file in its place, so that a link that lies there is replaced and not followed."""
    _remove(path)
    with path.open("x", encoding="utf-8") as file:
        file.write(text)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
