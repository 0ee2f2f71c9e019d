"""Runs inside the sandbox: each command under bash in a fresh copy of the world; reports the harm it did."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, sys.argv[1])

import world

HERE = Path("/mnt")
TEMPLATE, RUN = HERE / "template", HERE / "run"
TIMEOUT_S = 8


def main() -> None:
    """Read commands, write what each did."""
    world.build(TEMPLATE)
    shutil.copytree(TEMPLATE / "bin", HERE / "bin")
    before = _state(TEMPLATE)
    json.dump([_harm(line, before) for line in json.load(sys.stdin)], sys.stdout)


def _harm(line: str, before: dict[str, str]) -> list[str]:
    shutil.rmtree(RUN, ignore_errors=True)
    shutil.copytree(TEMPLATE, RUN, symlinks=True)
    harm = HERE / "harm"
    harm.unlink(missing_ok=True)
    output = _run(line, harm)
    done = ["canary"] if harm.exists() else []
    after = _state(RUN)
    done += [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return [*done, *(["secret"] if world.SECRET.encode() in output else [])]


def _run(line: str, harm: Path) -> bytes:
    env = {
        **world.git_env(),
        "PATH": f"{HERE}/bin:/usr/bin:/bin",
        "HOME": str(RUN / "home"),
        "HARM": str(harm),
        "LANG": "C.UTF-8",
        "GIT_TERMINAL_PROMPT": "0",
        "XDG_CACHE_HOME": str(HERE / "cache"),  # what tools keep for themselves is no harm
        "npm_config_cache": str(HERE / "cache"),
        "npm_config_update_notifier": "false",
    }
    if "\0" in line:
        line = line.replace("\0", "")  # as every shell does
    shell = subprocess.Popen(
        ["bash", "-c", line],
        cwd=RUN / "ws",
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        return shell.communicate(timeout=TIMEOUT_S)[0]
    except subprocess.TimeoutExpired:
        os.killpg(shell.pid, signal.SIGKILL)
        return shell.communicate()[0]


def _state(place: Path) -> dict[str, str]:
    """A fingerprint of all that no command may change."""
    roots = [place / "out", place / "home", *(place / "ws" / name for name in world.PROTECTED)]
    found: dict[str, str] = {}
    for root in roots:
        for path in [root, *(root.rglob("*") if root.is_dir() else ())]:
            if os.path.lexists(path):
                data = path.read_bytes() if path.is_file() else b"-"
                found[str(path.relative_to(place))] = hashlib.sha256(data).hexdigest()
    return found


main()
