"""The ACP agents that are known by name: how each is started, kept to itself, and logged in."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from orchestrator.agents.acp import AcpAgent
from orchestrator.agents.acp_files import read_text, resolve_inside
from orchestrator.agents.acp_settings import AcpSettings

_GEMINI_LOGIN = ".gemini/oauth_creds.json"
_OPENCODE_LOGIN = ".local/share/opencode/auth.json"
#: Of a user's settings for OpenCode, what says which models there are and nothing that could run or allow.
_OPENCODE_KEPT = ("provider", "model", "small_model", "enabled_providers", "disabled_providers")
_OPENCODE_ASKS = {"edit": "ask", "bash": "ask", "webfetch": "ask", "external_directory": "ask"}
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


def gemini() -> AcpAgent:
    """Google's Gemini CLI."""
    return AcpAgent(
        AcpSettings(
            name="gemini",
            command=("gemini", "--acp"),
            env={
                "GEMINI_CLI_HOME": "{config_dir}",
                "GEMINI_CLI_TRUST_WORKSPACE": "false",  # or the repository's settings and .env count
                "GEMINI_CLI_NO_RELAUNCH": "true",
            },
            variables=(
                "GEMINI_API_KEY",
                "GOOGLE_API_KEY",
                "GOOGLE_GEMINI_BASE_URL",
                "GOOGLE_CLOUD_PROJECT",
                "GOOGLE_CLOUD_LOCATION",
                "GOOGLE_GENAI_USE_VERTEXAI",
            ),
            keys=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
            login_file=_GEMINI_LOGIN,
            files=_gemini_files,
            model_arguments=("--model", "{model}"),
            mode="default",
            auth_method="gemini-api-key",
            client_files=False,  # it takes our "not found" for a fault, and then cannot make new files
            command_in_title=True,
            tested=("0.61.0",),
            install="install it with: npm install -g @google/gemini-cli",
        )
    )


def _gemini_files(env: Mapping[str, str], workspace: Path) -> Mapping[str, str]:
    """Name the login, so that nobody is asked for one; a login in a file is copied for this worker."""
    files = {
        **project_text(workspace, "GEMINI.md", ".gemini/GEMINI.md"),
        # It keeps sessions by project; the next attempt's workspace is the same project elsewhere.
        ".gemini/projects.json": json.dumps({"projects": {str(workspace): "workspace"}}),
        ".gemini/tmp/workspace/.project_root": str(workspace),
        ".gemini/history/workspace/.project_root": str(workspace),
    }
    method = "gemini-api-key"
    login = _text(env, _GEMINI_LOGIN)
    if env.get("GOOGLE_API_KEY") and not env.get("GEMINI_API_KEY"):
        method = "vertex-ai"
    elif login is not None and not env.get("GEMINI_API_KEY"):
        files[_GEMINI_LOGIN], method = login, "oauth-personal"
    security = {
        "auth": {"selectedType": method},
        "folderTrust": {"enabled": False},
        "disableYoloMode": True,
        "disableAlwaysAllow": True,
    }
    return {**files, ".gemini/settings.json": json.dumps({**_QUIET_GEMINI, "security": security})}


def opencode() -> AcpAgent:
    """OpenCode."""
    return AcpAgent(
        AcpSettings(
            name="opencode",
            command=("opencode", "acp"),
            env={
                "XDG_CONFIG_HOME": "{config_dir}/config",
                "XDG_DATA_HOME": "{config_dir}/data",
                "XDG_STATE_HOME": "{config_dir}/state",
                "XDG_CACHE_HOME": "{config_dir}/cache",
                "OPENCODE_PERMISSION": json.dumps(_OPENCODE_ASKS),
                "OPENCODE_DISABLE_PROJECT_CONFIG": "1",  # a repository could allow everything there
                "OPENCODE_DISABLE_AUTOUPDATE": "1",
                "OPENCODE_DISABLE_SHARE": "1",
                "OPENCODE_DISABLE_MODELS_FETCH": "1",
                "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
                "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
            },
            variables=(
                "ANTHROPIC_API_KEY",
                "OPENAI_API_KEY",
                "OPENROUTER_API_KEY",
                "GEMINI_API_KEY",
                "OPENCODE_API_KEY",
            ),
            keys=(
                "ANTHROPIC_API_KEY",
                "OPENAI_API_KEY",
                "OPENROUTER_API_KEY",
                "GEMINI_API_KEY",
                "OPENCODE_API_KEY",
            ),
            login_file=_OPENCODE_LOGIN,
            files=_opencode_files,
            mode="build",
            usage_is_whole=False,  # it tells the figures of the last request only
            tested=("1.18.33",),
            install="install it with: npm install -g opencode-ai",
        )
    )


def _opencode_files(env: Mapping[str, str], workspace: Path) -> Mapping[str, str]:
    del workspace
    own = {"autoupdate": False, "share": "disabled", "permission": _OPENCODE_ASKS}
    files = {"config/opencode/opencode.json": json.dumps({**_opencode_models(env), **own})}
    login = _text(env, _OPENCODE_LOGIN)
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


def qwen() -> AcpAgent:
    """Qwen Code."""
    return AcpAgent(
        AcpSettings(
            name="qwen",
            command=("qwen", "--acp"),
            env={"QWEN_HOME": "{config_dir}/.qwen", "QWEN_CODE_NO_RELAUNCH": "true"},
            variables=("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL"),
            keys=("OPENAI_API_KEY",),
            files=_qwen_files,
            model_arguments=("--model", "{model}"),
            mode="default",
            auth_method="openai",
            tested=("0.15.10",),
            install="install it with: npm install -g @qwen-code/qwen-code",
        )
    )


def _qwen_files(env: Mapping[str, str], workspace: Path) -> Mapping[str, str]:
    del env, workspace
    settings = {
        "security": {"auth": {"selectedType": "openai"}, "folderTrust": {"enabled": False}},
        "general": {"disableAutoUpdate": True, "enableAutoUpdate": False},
        "privacy": {"usageStatisticsEnabled": False},
        "telemetry": {"enabled": False},
    }
    return {".qwen/settings.json": json.dumps(settings)}


def claude_acp() -> AcpAgent:
    """Claude Code behind Zed's adapter."""
    return AcpAgent(
        AcpSettings(
            name="claude-acp",
            command=("claude-agent-acp",),
            env={
                "CLAUDE_CONFIG_DIR": "{config_dir}",
                "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
                "DISABLE_AUTOUPDATER": "1",
                "DISABLE_TELEMETRY": "1",
                "DISABLE_ERROR_REPORTING": "1",
            },
            variables=(
                "ANTHROPIC_API_KEY",
                "ANTHROPIC_AUTH_TOKEN",
                "ANTHROPIC_BASE_URL",
                "CLAUDE_CODE_OAUTH_TOKEN",
            ),
            keys=("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"),
            mode="default",
            tested=("0.23.1",),
            install="install it with: npm install -g @zed-industries/claude-agent-acp",
        )
    )


def codex_acp() -> AcpAgent:
    """Codex behind Zed's adapter."""
    return AcpAgent(
        AcpSettings(
            name="codex-acp",
            command=("codex-acp",),
            env={"CODEX_HOME": "{config_dir}"},
            variables=("OPENAI_API_KEY", "OPENAI_BASE_URL", "CODEX_API_KEY"),
            keys=("CODEX_API_KEY", "OPENAI_API_KEY"),
            files=_codex_files,
            mode="read-only",  # the one in which it asks before it writes
            auth_method="openai-api-key",
            tested=("0.16.0",),
            install="install it with: npm install -g @zed-industries/codex-acp",
        )
    )


def _codex_files(env: Mapping[str, str], workspace: Path) -> Mapping[str, str]:
    files = project_text(workspace, "AGENTS.md", "AGENTS.md")
    endpoint = ""
    if url := env.get("OPENAI_BASE_URL"):
        key = "CODEX_API_KEY" if env.get("CODEX_API_KEY") else "OPENAI_API_KEY"
        endpoint = _CODEX_ENDPOINT.format(url=json.dumps(url), key=key)
    text = _CODEX_SETTINGS.format(endpoint=endpoint, workspace=json.dumps(str(workspace)))
    return {**files, "config.toml": text}


def project_text(workspace: Path, name: str, path: str) -> dict[str, str]:
    """Hand a repository's words to agents over, which an agent that does not trust it leaves out."""
    parts = resolve_inside(workspace, name)
    try:
        return {path: read_text(workspace, parts)} if parts else {}
    except (OSError, ValueError):  # there is none, or it is no text
        return {}


def _text(env: Mapping[str, str], path: str) -> str | None:
    """Return a file below the user's home; None when there is none."""
    home = env.get("HOME") or os.environ.get("HOME")
    if not home:
        return None
    try:
        return Path(home, path).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
