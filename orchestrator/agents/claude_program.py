"""Finds Claude Code on this machine: its program, its version, and whether it is logged in."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from orchestrator.model.installation import Installation

INSTALL = (
    "Claude Code is not installed: `npm install -g @anthropic-ai/claude-code`,"
    " or `pip install claude-agent-sdk`"
)
TESTED = ("2.1.330",)

_LOGIN = (
    "log in with `claude /login`, or set ANTHROPIC_API_KEY or CLAUDE_CODE_OAUTH_TOKEN (`claude setup-token`)"
)
_KEYS = {
    "ANTHROPIC_API_KEY": "API key",
    "ANTHROPIC_AUTH_TOKEN": "token",
    "CLAUDE_CODE_OAUTH_TOKEN": "long-lived token",
    "CLAUDE_CODE_USE_BEDROCK": "Amazon Bedrock",
    "CLAUDE_CODE_USE_VERTEX": "Google Vertex AI",
    "CLAUDE_CODE_USE_FOUNDRY": "Microsoft Foundry",
}
_ANSWER_S = 20.0
_VERSION = re.compile(r"\d+\.\d+\.\d+\S*")


def find_program(env: Mapping[str, str]) -> Path | None:
    """Return the user's own program, links followed; else the one that the Python package brings."""
    found = shutil.which("claude", path=env.get("PATH", os.defpath))
    if found:
        return Path(found).resolve()
    local = Path(env.get("HOME", ""), ".local", "bin", "claude")
    bundled = (Path(folder, "_bundled", "claude") for folder in _package_folders())
    return next((path.resolve() for path in (local, *bundled) if os.access(path, os.X_OK)), None)


def _package_folders() -> list[str]:
    spec = find_spec("claude_agent_sdk")  # not imported: that takes two seconds
    return list(spec.submodule_search_locations or ()) if spec else []


def look(env: Mapping[str, str]) -> Installation:
    """Say what there is of Claude Code, without asking a model anything."""
    program = find_program(env)
    login, no_login = _login(env)
    version, broken = _version(program, env) if program else (None, None)
    lacks = [INSTALL] if program is None else [fault for fault in (broken, no_login) if fault]
    return Installation(
        channel="control protocol",
        program=program,
        version=version,
        tested=TESTED,
        login=login,
        lacks=tuple(lacks),
    )


def _version(program: Path, env: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Return its version, or what is wrong."""
    try:
        done = subprocess.run(
            [program, "--version"],
            env=dict(env),
            capture_output=True,
            text=True,
            timeout=_ANSWER_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as err:
        return None, f"{program} does not answer `--version` ({err}): install it anew"
    found = _VERSION.search(done.stdout)
    if done.returncode == 0 and found:
        return found[0], None
    return None, f"{program} does not tell its version (exit status {done.returncode}): install it anew"


def _login(env: Mapping[str, str]) -> tuple[str, str | None]:
    """Say how it is logged in, as far as can be told, and what is lacking."""
    for name, what in _KEYS.items():
        if env.get(name):
            return f"{what} ({name})", None
    folder = env.get("CLAUDE_CONFIG_DIR") or os.path.join(env.get("HOME", ""), ".claude")  # noqa: PTH118 (may be "")
    return _login_file(Path(folder, ".credentials.json"))


def _login_file(path: Path) -> tuple[str, str | None]:
    try:
        told = json.loads(path.read_bytes())
    except FileNotFoundError:
        return "not logged in", _LOGIN
    except (OSError, ValueError) as err:
        return f"{path} cannot be read: {err}", _LOGIN
    account: Any = told.get("claudeAiOauth") if isinstance(told, dict) else None
    if not isinstance(account, dict) or not account.get("accessToken"):
        return f"{path} holds no login", _LOGIN
    return _account(account)


def _account(account: Mapping[str, Any]) -> tuple[str, str | None]:
    plan = account.get("subscriptionType")
    words = f"logged in ({plan})" if isinstance(plan, str) else "logged in"
    ends = account.get("expiresAt")
    if not isinstance(ends, int | float):
        return words, None
    try:
        until = datetime.fromtimestamp(ends / 1000, UTC)
    except (OverflowError, OSError, ValueError):
        return words, None
    if until > datetime.now(UTC):
        return f"{words}, token valid until {until:%Y-%m-%d %H:%M} UTC", None
    if account.get("refreshToken"):
        return f"{words}, token to be renewed at the next start", None
    return f"the login ended at {until:%Y-%m-%d %H:%M} UTC", _LOGIN
