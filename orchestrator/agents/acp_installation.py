"""Finds out what there is of an ACP agent's program, without asking any model."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from orchestrator.agents.acp_settings import AcpSettings
from orchestrator.model.installation import Installation

_VERSION = re.compile(r"\d+\.\d+\.\d+[\w.+-]*")
_VERSION_S = 30.0


def look(settings: AcpSettings, env: Mapping[str, str]) -> Installation:
    """Look for the program on PATH, ask its version, and see whether a login is there."""
    found = shutil.which(settings.command[0], path=env.get("PATH"))
    login = _login(settings, env)
    lacks = []
    if found is None:
        lacks.append(settings.install or f"install `{settings.command[0]}`")
    if login is None and settings.keys:
        lacks.append(f"log in: set {' or '.join(settings.keys)}")
    return Installation(
        channel="acp",
        program=Path(found).resolve() if found else None,
        version=_version(found, settings, env) if found else None,
        tested=settings.tested,
        login=login,
        lacks=tuple(lacks),
    )


def _login(settings: AcpSettings, env: Mapping[str, str]) -> str | None:
    for key in settings.keys:
        if env.get(key):
            return f"{key} is set"
    home = env.get("HOME")
    if settings.login_file and home and Path(home, settings.login_file).is_file():
        return f"logged in by ~/{settings.login_file}"
    return None


def _version(program: str, settings: AcpSettings, env: Mapping[str, str]) -> str | None:
    """Ask in an empty home, so that nothing of the user's is touched."""
    with tempfile.TemporaryDirectory() as home:
        try:
            done = subprocess.run(
                [program, *settings.version_arguments],
                env={"PATH": env.get("PATH", ""), "HOME": home},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_VERSION_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
    found = _VERSION.search(done.stdout.decode("utf-8", "replace"))
    return found[0] if found and done.returncode == 0 else None
