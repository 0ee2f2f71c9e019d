"""How git is started: hermetic, nobody to ask, out of reach of Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.errors import GitError
from orchestrator.git.process import run_git
from tests.integration.git_fixtures import git, make_repository


def test_the_environment_and_the_users_settings_do_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_repository(tmp_path / "repo")
    git(tmp_path, "config", "--global", "user.name", "Somebody")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert run_git(["rev-parse", "--git-dir"], cwd=folder).stdout == b".git\n"
    assert run_git(["config", "user.name"], cwd=folder, check=False).exit_code == 1
    assert run_git(["config", "user.name"], cwd=folder, user_config=True).stdout == b"Somebody\n"


def test_a_failure_says_everything(tmp_path: Path) -> None:
    folder = make_repository(tmp_path / "repo")
    with pytest.raises(GitError) as caught:
        run_git(["rev-parse", "nowhere"], git_dir=folder / ".git")
    message = str(caught.value)
    assert message.startswith(
        "`git rev-parse nowhere` failed with exit code 128\nstdout: nowhere\nstderr: fatal:"
    )


def test_no_protocol_reaches_outside_even_if_the_repository_allows_it(tmp_path: Path) -> None:
    folder = make_repository(tmp_path / "repo")
    git(folder, "config", "protocol.ext.allow", "always")
    mark = tmp_path / "mark"
    output = run_git(["fetch", f"ext::touch {mark}"], git_dir=folder / ".git", check=False)
    assert output.exit_code != 0
    assert b"not allowed" in output.stderr
    assert not mark.exists()


def test_an_interrupt_of_the_foreground_group_does_not_reach_git(tmp_path: Path) -> None:
    """A git that is in the middle of something, for which a hook stands in, survives Ctrl-C."""
    folder = make_repository(tmp_path / "repo")
    ready, done = tmp_path / "ready", tmp_path / "done"
    os.mkfifo(ready)
    os.mkfifo(done)
    program = f"""
import signal
from pathlib import Path
from orchestrator.git.process import run_git
signal.signal(signal.SIGINT, lambda *_: None)
alias = "!echo started >'{ready}'; cat '{done}'"
print(run_git(["-c", "alias.slow=" + alias, "slow"], git_dir=Path({str(folder / ".git")!r})).stdout.decode())
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert ready.read_text() == "started\n"
        os.killpg(process.pid, signal.SIGINT)
        done.write_text("finished\n")
        assert process.communicate(timeout=30)[0].strip() == "finished"
        assert process.returncode == 0
