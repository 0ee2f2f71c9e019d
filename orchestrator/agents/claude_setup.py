"""How Claude Code is started: command line, environment, and a settings folder of the worker's own."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from orchestrator.agents.claude_tools import WITHHELD
from orchestrator.git.worktrees import remove_tree
from orchestrator.ports import Session

_VARIABLES = (
    *("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN", "ANTHROPIC_BASE_URL"),
    *("ANTHROPIC_CUSTOM_HEADERS", "ANTHROPIC_BETAS", "API_TIMEOUT_MS", "CLAUDE_CODE_MAX_RETRIES"),
    *("ANTHROPIC_MODEL", "ANTHROPIC_SMALL_FAST_MODEL", "ANTHROPIC_DEFAULT_OPUS_MODEL"),
    *("ANTHROPIC_DEFAULT_SONNET_MODEL", "ANTHROPIC_DEFAULT_HAIKU_MODEL", "CLAUDE_CODE_SUBAGENT_MODEL"),
    *("CLAUDE_CODE_MAX_OUTPUT_TOKENS", "MAX_THINKING_TOKENS", "CLAUDE_CODE_EFFORT_LEVEL"),
)
#: By the variable that chooses a provider: what is needed for it, and passes only then.
_PROVIDERS = {
    "CLAUDE_CODE_USE_BEDROCK": (
        *("CLAUDE_CODE_SKIP_BEDROCK_AUTH", "ANTHROPIC_BEDROCK_BASE_URL", "AWS_BEARER_TOKEN_BEDROCK"),
        *("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"),
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    ),
    "CLAUDE_CODE_USE_VERTEX": (
        *("CLAUDE_CODE_SKIP_VERTEX_AUTH", "ANTHROPIC_VERTEX_BASE_URL", "ANTHROPIC_VERTEX_PROJECT_ID"),
        *("CLOUD_ML_REGION", "GOOGLE_APPLICATION_CREDENTIALS"),
    ),
    "CLAUDE_CODE_USE_FOUNDRY": (
        *("ANTHROPIC_FOUNDRY_API_KEY", "ANTHROPIC_FOUNDRY_BASE_URL", "ANTHROPIC_FOUNDRY_RESOURCE"),
    ),
}
_QUIET = {
    **dict.fromkeys(
        (
            *("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "DISABLE_AUTOUPDATER", "DISABLE_TELEMETRY"),
            *("DISABLE_ERROR_REPORTING", "CLAUDE_CODE_DISABLE_AUTO_MEMORY", "CLAUDE_CODE_DISABLE_CRON"),
        ),
        "1",
    ),
    # It then says when it is idle: a result may be followed by another turn, for work in the background.
    "CLAUDE_CODE_SDK_READS_SESSION_STATE": "1",
}
_SETTINGS = {"permissions": {"disableAutoMode": "disable", "disableBypassPermissionsMode": "disable"}}
_MEMORY_LIMIT = 256 * 1024


def variables(env: Mapping[str, str]) -> tuple[str, ...]:
    """Name the user's variables that Claude Code needs to reach its model."""
    chosen = [(name, *needed) for name, needed in _PROVIDERS.items() if env.get(name)]
    return (*_VARIABLES, *(name for names in chosen for name in names))


def command_line(program: Path, session: Session, session_id: str, *, resumed: bool) -> list[str]:
    """Return the command line. Settings, hooks and MCP servers of the repository are left out.

    They would run without being asked about, and an agent could change them for its next attempt.
    """
    return [
        *(str(program), "-p", "--verbose"),
        *("--input-format", "stream-json", "--output-format", "stream-json"),
        *("--permission-prompt-tool", "stdio", "--permission-mode", "default"),
        *("--setting-sources", "user", "--strict-mcp-config", "--settings", json.dumps(_SETTINGS)),
        *("--disallowedTools", ",".join(WITHHELD)),
        *(("--model", session.task.model) if session.task.model else ()),
        *(("--max-budget-usd", f"{session.task.max_cost_usd:.6f}") if session.task.max_cost_usd else ()),
        *("--resume" if resumed else "--session-id", session_id),
    ]


def environment(session: Session, folder: Path, login: Path | None) -> dict[str, str]:
    """Return what goes on top of the session's environment; `login` is where all workers' login lies."""
    own = {**_QUIET, "CLAUDE_CONFIG_DIR": str(folder)}
    if login is not None:
        # Empty is the user's default, under which a keychain knows it as well.
        default = login == Path(session.env.get("HOME", ""), ".claude")
        own["CLAUDE_SECURESTORAGE_CONFIG_DIR"] = "" if default else str(login)
    if tmp_dir := session.env.get("TMPDIR"):
        own["CLAUDE_CODE_TMPDIR"] = tmp_dir
    return own


def prepare_folder(session: Session) -> Path:
    """Make the worker's own settings folder, in which nothing is left to ask a person about."""
    folder = session.config_dir / "claude"
    _leave_sessions_only(folder)
    for name, text in (
        (".claude.json", json.dumps({"hasCompletedOnboarding": True})),
        ("CLAUDE.md", _repository_memory(session.workspace)),
    ):
        with (folder / name).open("x", encoding="utf-8") as file:
            file.write(text)
    return folder


def _leave_sessions_only(folder: Path) -> None:
    """Take away what an attempt before left there: links, or settings that would be obeyed."""
    if folder.is_symlink():
        folder.unlink()
    folder.mkdir(mode=0o700, exist_ok=True)
    for entry in folder.iterdir():
        if entry.name == "projects" and not entry.is_symlink():
            continue
        if entry.is_dir() and not entry.is_symlink():
            remove_tree(entry)
        else:
            entry.unlink()


def is_saved(folder: Path, session_id: str) -> bool:
    """Whether a session can be resumed: an attempt may have ended before it was saved."""
    return any((place / f"{session_id}.jsonl").is_file() for place in folder.glob("projects/*"))


def _repository_memory(workspace: Path) -> str:
    """Return the repository's CLAUDE.md as quoted text: an import in it could name any file of the user's."""
    try:
        path = (workspace / "CLAUDE.md").resolve(strict=True)
        if not path.is_relative_to(workspace.resolve()) or not path.is_file():
            return ""
        with path.open("rb") as file:
            text = file.read(_MEMORY_LIMIT).decode("utf-8", "replace")
    except (FileNotFoundError, NotADirectoryError):
        return ""
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", text)), 3)
    said = f"The repository's own CLAUDE.md. Follow it; paths in it are relative to {workspace}."
    return f"{said}\n\n{fence}markdown\n{text}\n{fence}\n"
