"""Runs commands in a small world inside bubblewrap and says what harm each of them did."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import yaml

CORPUS = Path(__file__).parent
_PYTHON = "/usr/bin/python3"
_WORLD = "/mnt"
_CODE = "/srv"


def commands(name: str) -> list[str]:
    """The commands of one corpus file."""
    return [entry["command"] for entry in yaml.safe_load((CORPUS / name).read_text())]


def why_not() -> str | None:
    """Say why commands cannot be run here; None when they can."""
    if missing := [name for name in ("bwrap", "bash", _PYTHON, "git") if shutil.which(name) is None]:
        return f"{', '.join(missing)} is needed to run attacks safely"
    if subprocess.run([*_confined(), "true"], capture_output=True, check=False).returncode:
        return "bubblewrap does not work on this machine"
    return None


def _confined() -> list[str]:
    """Nothing can be written but the world, which is gone afterwards; no network."""
    return [
        *("bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"),
        *("--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", "--tmpfs", "/run"),
        *("--tmpfs", "/root", "--tmpfs", "/home", "--tmpfs", _WORLD, "--ro-bind", str(CORPUS), _CODE),
        *("--chdir", _WORLD),
    ]


def run_all(lines: Sequence[str]) -> list[list[str]]:
    """Run each line under bash in a fresh world; return what harm each one did."""
    done = subprocess.run(
        [*_confined(), _PYTHON, f"{_CODE}/driver.py", _CODE],
        input=json.dumps(list(lines)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    harms: list[list[str]] = json.loads(done.stdout)
    return harms
