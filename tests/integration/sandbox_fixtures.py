"""Places for one sandboxed attempt, and the mark of tests that need bubblewrap."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from orchestrator.model.confinement import Confinement, GitFolders
from orchestrator.sandbox.choose import find_bubblewrap
from orchestrator.sandbox.confine import BubblewrapSandbox
from orchestrator.sandbox.proxy import ProxyDoor
from orchestrator.sandbox.surface import look_around

BWRAP, _LACK = find_bubblewrap()
needs_bubblewrap = pytest.mark.skipif(BWRAP is None, reason=f"no sandbox here: {_LACK}")
ENV = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"}


class Cell:
    """A sandbox with a home, a state folder, a run's folder and one attempt's places, all in one folder."""

    def __init__(
        self,
        root: Path,
        *,
        network: bool = False,
        door: ProxyDoor | None = None,
        git: GitFolders | None = None,
        workspace: Path | None = None,
        **lists: Sequence[str],
    ) -> None:
        self.root = root
        self.home = root / "user"
        self.run_dir = root / "state" / "runs" / "run-1"
        self.workspace = workspace or root / "state" / "workspaces" / "task"
        self.tmp_dir = root / "tmp" / "run-1" / "task"
        prompt_file = self.run_dir / "attempts" / "task" / "prompt.md"
        for folder in (self.home, self.workspace, self.tmp_dir, prompt_file.parent):
            folder.mkdir(parents=True, exist_ok=True)
        prompt_file.write_text("do it")
        self.env = {**ENV, "HOME": str(self.home), "TMPDIR": str(self.tmp_dir)}
        surface = look_around(self.env, state_home=root / "state", run_tmp=self.tmp_dir.parent, **lists)  # type: ignore[arg-type]
        place = Confinement(workspace=self.workspace, tmp_dir=self.tmp_dir, prompt_file=prompt_file, git=git)
        assert BWRAP is not None
        sandbox = BubblewrapSandbox(bwrap=BWRAP, surface=surface, share_network=network, door=door)
        self.wrap = sandbox.confine(place, self.env)

    def shell(self, line: str) -> list[str]:
        return self.wrap(["/bin/sh", "-c", line])

    def python(self, code: str, *arguments: str) -> list[str]:
        return self.wrap([sys.executable, "-I", "-S", "-c", code, *arguments])


def is_root() -> bool:
    return os.getuid() == 0
