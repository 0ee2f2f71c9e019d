"""What each known ACP agent finds in its worker's own folder: settings, login, instructions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from orchestrator.agents.acp_files import read_text, resolve_inside

GEMINI_LOGIN = ".gemini/oauth_creds.json"
OPENCODE_LOGIN = ".local/share/opencode/auth.json"
#: Of a user's settings for OpenCode, what says which models there are and nothing that could run or allow.
_OPENCODE_KEPT = ("provider", "model", "small_model", "enabled_providers", "disabled_providers")
OPENCODE_ASKS = {"edit": "ask", "bash": "ask", "webfetch": "ask", "external_directory": "ask"}
#: A trusted repository could bring settings that start programs and rules that allow commands.
_CODEX_SETTINGS = """\
check_for_update_on_startup = false
{endpoint}
[analytics]
enabled = false

[features]
plugins = false

[projects.{workspace}]
trust_level = "untrusted"
"""
_CODEX_ENDPOINT = """\
model_provider = "endpoint"

[model_providers.endpoint]
name = "endpoint"
base_url = {url}
wire_api = "responses"
env_key = "{key}"
"""
_QUIET_GEMINI: Mapping[str, Any] = MappingProxyType(
    {
        "general": {
            "enableAutoUpdate": False,
            "enableAutoUpdateNotification": False,
            "disableAutoUpdate": True,
            "disableUpdateNag": True,
            "maxAttempts": 3,  # ten take minutes before a rate limit is told
        },
        "privacy": {"usageStatisticsEnabled": False},
        "telemetry": {"enabled": False},
    }
)


def gemini_files(env: Mapping[str, str], workspace: Path) -> Mapping[str, str]:
    """Name the login, so that nobody is asked for one; a login in a file is copied for this worker."""
    files = {
        **_project_text(workspace, "GEMINI.md", ".gemini/GEMINI.md"),
        # It keeps sessions by project; the next attempt's workspace is the same project elsewhere.
        ".gemini/projects.json": json.dumps({"projects": {str(workspace): "workspace"}}),
        ".gemini/tmp/workspace/.project_root": str(workspace),
        ".gemini/history/workspace/.project_root": str(workspace),
    }
    method = "gemini-api-key"
    login = _text(env, GEMINI_LOGIN)
    if env.get("GOOGLE_API_KEY") and not env.get("GEMINI_API_KEY"):
        method = "vertex-ai"
    elif login is not None and not env.get("GEMINI_API_KEY"):
        files[GEMINI_LOGIN], method = login, "oauth-personal"
    security = {
        "auth": {"selectedType": method},
        "folderTrust": {"enabled": False},
        "disableYoloMode": True,
        "disableAlwaysAllow": True,
    }
    return {**files, ".gemini/settings.json": json.dumps({**_QUIET_GEMINI, "security": security})}


def opencode_files(env: Mapping[str, str], workspace: Path) -> Mapping[str, str]:
    """Let it ask before it acts; take over which models the user has, and the login."""
    del workspace
    own = {"autoupdate": False, "share": "disabled", "permission": OPENCODE_ASKS}
    files = {"config/opencode/opencode.json": json.dumps({**_opencode_models(env), **own})}
    login = _text(env, OPENCODE_LOGIN)
    if login is not None:
        files["data/opencode/auth.json"] = login
    return files


def _opencode_models(env: Mapping[str, str]) -> dict[str, Any]:
    text = _text(env, ".config/opencode/opencode.json")
    try:
        settings = json.loads(text or "{}")
    except ValueError:  # with comments it is no JSON; the providers must then be named by variables
        return {}
    if not isinstance(settings, dict):
        return {}
    return {key: settings[key] for key in _OPENCODE_KEPT if key in settings}


def qwen_files(env: Mapping[str, str], workspace: Path) -> Mapping[str, str]:
    """Log in by a key, and ask nothing at the start."""
    del env, workspace
    settings = {
        "security": {"auth": {"selectedType": "openai"}, "folderTrust": {"enabled": False}},
        "general": {"disableAutoUpdate": True, "enableAutoUpdate": False},
        "privacy": {"usageStatisticsEnabled": False},
        "telemetry": {"enabled": False},
    }
    return {".qwen/settings.json": json.dumps(settings)}


def codex_files(env: Mapping[str, str], workspace: Path) -> Mapping[str, str]:
    """Name the endpoint, and trust nothing that the repository brings."""
    files = _project_text(workspace, "AGENTS.md", "AGENTS.md")
    endpoint = ""
    if url := env.get("OPENAI_BASE_URL"):
        key = "CODEX_API_KEY" if env.get("CODEX_API_KEY") else "OPENAI_API_KEY"
        endpoint = _CODEX_ENDPOINT.format(url=json.dumps(url), key=key)
    text = _CODEX_SETTINGS.format(endpoint=endpoint, workspace=json.dumps(str(workspace)))
    return {**files, "config.toml": text}


def _project_text(workspace: Path, name: str, path: str) -> dict[str, str]:
    """Hand a repository's words to agents over, which an agent that does not trust it leaves out."""
    parts = resolve_inside(workspace, name)
    try:
        return {path: read_text(workspace, parts)} if parts else {}
    except (OSError, ValueError):  # there is none, or it is no text
        return {}


def _text(env: Mapping[str, str], path: str) -> str | None:
    """Return a file below the user's home; None when there is none."""
    home = env.get("HOME")
    if not home:
        return None
    try:
        return Path(home, path).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
