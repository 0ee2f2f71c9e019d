"""The programs that are known on a terminal: how each is started and kept to itself."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from orchestrator.agents import claude_program, codex_program
from orchestrator.agents.claude_setup import environment as claude_environment
from orchestrator.agents.claude_setup import prepare_folder
from orchestrator.agents.claude_setup import variables as claude_variables
from orchestrator.agents.codex_home import make_home
from orchestrator.agents.logins import CLAUDE, CODEX, shared_login
from orchestrator.agents.terminal import TerminalAgent
from orchestrator.agents.terminal_settings import TerminalSettings
from orchestrator.ports import Session

#: Claude Code remembers approved keys by their ends.
_KEY_END = 20
_CLAUDE_SETTINGS = {"permissions": {"disableAutoMode": "disable", "disableBypassPermissionsMode": "disable"}}
_GEMINI_SETTINGS = {
    "security": {"auth": {"selectedType": "gemini-api-key"}, "folderTrust": {"enabled": False}},
    "general": {
        "enableAutoUpdate": False,
        "enableAutoUpdateNotification": False,
        "disableAutoUpdate": True,
        "disableUpdateNag": True,
    },
    "privacy": {"usageStatisticsEnabled": False},
    "telemetry": {"enabled": False},
    "ui": {"hideTips": True, "hideBanner": True},
}


def claude_terminal() -> TerminalAgent:
    """Claude Code's screen-reader mode: the surest of its screens to read."""
    return TerminalAgent(
        TerminalSettings(
            name="claude-terminal",
            command=(
                *("claude", "--ax-screen-reader", "--permission-mode", "manual"),
                *("--setting-sources", "user", "--strict-mcp-config"),
                *("--settings", json.dumps(_CLAUDE_SETTINGS), "--disallowedTools", "AskUserQuestion"),
                *("--", "{prompt}"),
            ),
            signature="claude-ax",
            prompt="argument",
            variables=claude_variables(os.environ),
            keys=("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"),
            model_arguments=("--model={model}",),
            resume_arguments=("--resume={session}",),
            prepare=_claude,
            config_folder="claude",
            native=claude_program.find_program,
            tested=claude_program.TESTED,
            install=claude_program.INSTALL,
        )
    )


@asynccontextmanager
async def _claude(session: Session) -> AsyncIterator[Mapping[str, str]]:
    folder = prepare_folder(session)
    _seed_claude(session, folder)
    async with shared_login(session, CLAUDE) as login:
        yield claude_environment(session, folder, login)


def _seed_claude(session: Session, folder: Path) -> None:
    """Make the state in which it asks nothing at its start: onboarding, trust, the key."""
    state = folder / ".claude.json"
    known = json.loads(state.read_text(encoding="utf-8"))
    key = session.env.get("ANTHROPIC_API_KEY", "")
    known |= {"hasCompletedOnboarding": True, "theme": "dark"}
    known["customApiKeyResponses"] = {"approved": [key[-_KEY_END:]] if key else [], "rejected": []}
    place = {"hasTrustDialogAccepted": True, "hasCompletedProjectOnboarding": True}
    known["projects"] = {**known.get("projects", {}), str(session.workspace.resolve()): place}
    state.write_text(json.dumps(known), encoding="utf-8")


def codex_terminal() -> TerminalAgent:
    """Codex's TUI."""
    return TerminalAgent(
        TerminalSettings(
            name="codex-terminal",
            command=(
                *("codex", "--no-daemon", "--no-alt-screen", "-a", "on-request"),
                *("-c", "tui.animations=false", "--", "{prompt}"),
            ),
            signature="codex",
            prompt="argument",
            variables=(*codex_program.KEYS, "OPENAI_BASE_URL"),
            keys=codex_program.KEYS,
            model_arguments=("--model={model}",),
            resume_arguments=("resume", "{session}"),
            prepare=_codex,
            config_folder="codex",
            native=codex_program.find_program,
            tested=codex_program.TESTED,
            install=codex_program.INSTALL,
        )
    )


@asynccontextmanager
async def _codex(session: Session) -> AsyncIterator[Mapping[str, str]]:
    async with shared_login(session, CODEX) as login:
        yield {"CODEX_HOME": str(make_home(session.config_dir, session.workspace, session.env, login))}


def gemini_terminal() -> TerminalAgent:
    """Gemini CLI's TUI."""
    return TerminalAgent(
        TerminalSettings(
            name="gemini-terminal",
            command=("gemini", "-i", "{prompt}"),
            signature="gemini",
            prompt="argument",
            env={
                "GEMINI_CLI_HOME": "{config_dir}",
                "GEMINI_CLI_NO_RELAUNCH": "true",
                "COLORTERM": "truecolor",  # or a warning about colours stands below its dialogs
            },
            variables=("GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL"),
            keys=("GEMINI_API_KEY",),
            model_arguments=("--model={model}",),
            prepare=_gemini,
            tested=("0.61.0",),
            install="install it with: npm install -g @google/gemini-cli",
        )
    )


@asynccontextmanager
async def _gemini(session: Session) -> AsyncIterator[Mapping[str, str]]:
    _seed_gemini(session.config_dir / ".gemini")
    yield {}


def _seed_gemini(folder: Path) -> None:
    """Write the settings anew; a link that an attempt left there is replaced and not followed."""
    if folder.is_symlink():
        folder.unlink()
    folder.mkdir(mode=0o700, exist_ok=True)
    settings = folder / "settings.json"
    settings.unlink(missing_ok=True)
    with settings.open("x", encoding="utf-8") as file:
        file.write(json.dumps(_GEMINI_SETTINGS))


def aider() -> TerminalAgent:
    """aider, asked once; it types its own answers to nothing."""
    return TerminalAgent(
        TerminalSettings(
            name="aider",
            command=(
                *("aider", "--no-check-update", "--no-show-release-notes", "--analytics-disable"),
                *("--no-gitignore", "--no-auto-commits", "--no-pretty", "--no-stream"),
            ),
            signature="aider",
            prompt="typed",
            variables=(
                "OPENAI_API_KEY",
                "OPENAI_API_BASE",
                "ANTHROPIC_API_KEY",
                "GEMINI_API_KEY",
                "AIDER_MODEL",
            ),
            keys=("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"),
            env={"LITELLM_LOCAL_MODEL_COST_MAP": "True"},
            model_arguments=("--model={model}",),
            tested=("0.86.2",),
            install="install it with: pip install aider-chat",
        )
    )


def mini_swe_agent() -> TerminalAgent:
    """mini-swe-agent in its confirm mode."""
    return TerminalAgent(
        TerminalSettings(
            name="mini-swe-agent",
            command=("mini", "--exit-immediately", "-t", "{prompt}"),
            signature="mini-swe-agent",
            prompt="argument",
            env={
                "MSWEA_CONFIGURED": "true",
                "MSWEA_SILENT_STARTUP": "1",
                "MSWEA_GLOBAL_CONFIG_DIR": "{config_dir}",
                "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            },
            variables=("OPENAI_API_KEY", "OPENAI_API_BASE", "ANTHROPIC_API_KEY", "MSWEA_MODEL_NAME"),
            keys=("OPENAI_API_KEY", "ANTHROPIC_API_KEY"),
            model_arguments=("-m", "{model}"),
            tested=("2.4.6",),
            install="install it with: pip install mini-swe-agent",
        )
    )
