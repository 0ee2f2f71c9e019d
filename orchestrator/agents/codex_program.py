"""Finds Codex's program, and says what there is of it without asking any model."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from orchestrator.model.installation import Installation

#: The versions that our own tests run with.
TESTED = ("0.169.0",)
#: The user's variables that hold a key for it, the first one first.
KEYS = ("CODEX_API_KEY", "OPENAI_API_KEY")
INSTALL = "install Codex: npm install -g @openai/codex"
LOG_IN = "log in: run `codex login`, or set OPENAI_API_KEY"

_VERSION = re.compile(r"\d+\.\d+\.\d+[\w.+-]*")
_VERSION_S = 30.0


def find_program(env: Mapping[str, str]) -> Path | None:
    """Return the program behind `codex` on PATH: the native one, not the script that npm puts before it.

    A script of Node would be one more process in every worker, and dies without taking the program along.
    """
    found = shutil.which("codex", path=env.get("PATH"))
    if found is None:
        return None
    program = Path(found).resolve()
    return next(_native(program), program) if program.suffix == ".js" else program


def _native(script: Path) -> Iterator[Path]:
    """The programs that npm put beside `@openai/codex/bin/codex.js`: one, for this kind of machine."""
    package = script.parent.parent
    for folder in (package.parent, package / "node_modules" / "@openai", package.parent.parent / "@openai"):
        yield from sorted(folder.glob("codex-*/vendor/*/bin/codex"))
    yield from sorted(package.glob("vendor/*/bin/codex"))


def look(env: Mapping[str, str]) -> Installation:
    """Look for the program, ask its version, and see whether a login is there."""
    program = find_program(env)
    login = find_login(env)
    lacks = ([] if program else [INSTALL]) + ([] if login else [LOG_IN])
    return Installation(
        channel="app-server",
        program=program,
        version=_version(program, env) if program else None,
        tested=TESTED,
        login=login,
        lacks=tuple(lacks),
    )


def login_file(env: Mapping[str, str]) -> Path | None:
    """Where the user's own login lies."""
    if env.get("CODEX_HOME"):
        return Path(env["CODEX_HOME"], "auth.json")
    home = env.get("HOME")
    return Path(home, ".codex", "auth.json") if home else None


def find_login(env: Mapping[str, str]) -> str | None:
    """Say how it is logged in, in words; None when it is not."""
    for name in (*KEYS, "OPENAI_BASE_URL"):
        if env.get(name):
            return f"{name} is set"
    file = login_file(env)
    if file is None or not file.is_file():
        return None
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError) as err:
        return f"{file} cannot be read: {err}"
    if isinstance(content, dict) and content.get("tokens"):
        return f"ChatGPT account, by {file}"
    return f"API key, by {file}"


def is_logged_in(env: Mapping[str, str], login: Path | None) -> bool:
    """Whether a worker has a key, an endpoint of its own that may need none, or the login of all workers."""
    if any(env.get(name) for name in (*KEYS, "OPENAI_BASE_URL")):
        return True
    return login is not None and (login / "auth.json").is_file()


def _version(program: Path, env: Mapping[str, str]) -> str | None:
    """Ask in an empty home, so that nothing of the user's is touched."""
    with tempfile.TemporaryDirectory() as home:
        try:
            done = subprocess.run(
                [str(program), "--version"],
                env={"PATH": env.get("PATH", os.defpath), "HOME": home},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_VERSION_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
    found = _VERSION.search(done.stdout.decode("utf-8", "replace"))
    return found[0] if found else None
