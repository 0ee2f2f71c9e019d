"""The ACP agents that are known by name: how each is started, kept to itself, and logged in."""

from __future__ import annotations

import json

from orchestrator.agents.acp import AcpAgent
from orchestrator.agents.acp_homes import (
    GEMINI_LOGIN,
    OPENCODE_ASKS,
    OPENCODE_LOGIN,
    codex_files,
    gemini_files,
    opencode_files,
    qwen_files,
)
from orchestrator.agents.acp_settings import AcpSettings


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
            login_file=GEMINI_LOGIN,
            files=gemini_files,
            model_arguments=("--model", "{model}"),
            mode="default",
            auth_method="gemini-api-key",
            client_files=False,  # it takes our "not found" for a fault, and then cannot make new files
            command_in_title=True,
            tested=("0.61.0",),
            install="install it with: npm install -g @google/gemini-cli",
        )
    )


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
                "OPENCODE_PERMISSION": json.dumps(OPENCODE_ASKS),
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
            login_file=OPENCODE_LOGIN,
            files=opencode_files,
            mode="build",
            usage_is_whole=False,  # it tells the figures of the last request only
            tested=("1.18.33",),
            install="install it with: npm install -g opencode-ai",
        )
    )


def qwen() -> AcpAgent:
    """Qwen Code."""
    return AcpAgent(
        AcpSettings(
            name="qwen",
            command=("qwen", "--acp"),
            env={"QWEN_HOME": "{config_dir}/.qwen", "QWEN_CODE_NO_RELAUNCH": "true"},
            variables=("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL"),
            keys=("OPENAI_API_KEY",),
            files=qwen_files,
            model_arguments=("--model", "{model}"),
            mode="default",
            auth_method="openai",
            tested=("0.15.10",),
            install="install it with: npm install -g @qwen-code/qwen-code",
        )
    )


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
            files=codex_files,
            mode="read-only",  # the one in which it asks before it writes
            auth_method="openai-api-key",
            tested=("0.16.0",),
            install="install it with: npm install -g @zed-industries/codex-acp",
        )
    )
