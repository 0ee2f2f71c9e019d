"""Runs the command line as a person does: a process of its own, with a state folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

COMMAND = (sys.executable, "-m", "orchestrator")


@dataclass(frozen=True)
class Person:
    """Somebody at a shell: where they are, and their environment."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return Path(self.env["ORCHESTRATOR_HOME"])

    def orchestrator(self, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *args],
            cwd=self.folder,
            env=self.env | env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    def start(self, *args: str) -> subprocess.Popen[str]:
        """Start it with pipes and leave it going."""
        return subprocess.Popen(
            [*COMMAND, *args],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def git(self, *args: str) -> str:
        return subprocess.run(
            ["git", *args], cwd=self.folder, env=self.env, capture_output=True, text=True, check=True
        ).stdout

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path


@pytest.fixture
def person(tmp_path: Path) -> Person:
    """Somebody in a small repository with one commit."""
    folder = tmp_path / "blog"
    folder.mkdir()
    root = str(Path(__file__).parents[2])
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path / "nobody"),
        "ORCHESTRATOR_HOME": str(tmp_path / "state"),
        "PYTHONPATH": root,
        "PYTHONWARNINGS": "error",
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_AUTHOR_NAME": "Ada",
        "GIT_AUTHOR_EMAIL": "ada@example.org",
        "GIT_COMMITTER_NAME": "Ada",
        "GIT_COMMITTER_EMAIL": "ada@example.org",
    }
    ada = Person(folder, env)
    ada.git("init", "-q", "-b", "main")
    ada.write("README.md", "a blog\n")
    ada.git("add", "README.md")
    ada.git("commit", "-q", "-m", "Start")
    return ada
