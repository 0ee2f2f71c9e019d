"""What a worker's processes find in their environment: named variables, private folders, ports."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from orchestrator import config
from orchestrator.errors import WorkspaceError
from orchestrator.workspaces.environment import (
    make_private_tmp,
    make_run_tmp,
    remove_run_tmp,
    worker_environment,
)
from orchestrator.workspaces.port_blocks import COUNT, FIRST, LAST, PortBlock, PortBlocks, port_blocks

SOURCE = {
    "PATH": "/bin",
    "HOME": "/home/u",
    "LC_TIME": "C",
    "https_proxy": "http://proxy",
    "SECRET_KEY": "s",
    "SSH_AUTH_SOCK": "/run/agent",
    "GIT_DIR": "/elsewhere",
    "ORCHESTRATOR_HOME": "/state",
    "COLORTERM": "truecolor",
    "TMPDIR": "/shared",
    "MINE": "m",
}


def environment(**settings: object) -> dict[str, str]:
    fixed = {"run_id": "r", "worker_id": "w", "attempt": 2, "prompt_file": Path("/p"), "tmp_dir": Path("/t")}
    return worker_environment(SOURCE, **{**fixed, **settings})  # type: ignore[arg-type]


def test_only_named_variables_pass() -> None:
    assert environment() == {
        "PATH": "/bin",
        "HOME": "/home/u",
        "LC_TIME": "C",
        "https_proxy": "http://proxy",
        "TERM": "dumb",
        "GIT_TERMINAL_PROMPT": "0",
        "TMPDIR": "/t",
        "TMP": "/t",
        "TEMP": "/t",
        "ORCHESTRATOR_RUN_ID": "r",
        "ORCHESTRATOR_WORKER_ID": "w",
        "ORCHESTRATOR_ATTEMPT": "2",
        "ORCHESTRATOR_PROMPT_FILE": "/p",
    }


def test_what_is_added_and_what_wins() -> None:
    made = environment(
        terminal=True,
        base_commit="abc",
        ports=PortBlock(20010, 10),
        git_author="Ann Lee <ann@example.org>",
        pass_env=("MINE", "NOT_SET"),
        run_env={"MINE": "run", "LEVEL": "run", "TMPDIR": "/theirs"},
        task_env={"LEVEL": "task", "ORCHESTRATOR_RUN_ID": "forged"},
    )
    expected = {
        "MINE": "run",
        "LEVEL": "task",
        "TMPDIR": "/theirs",
        "TERM": "xterm-256color",
        "ORCHESTRATOR_RUN_ID": "r",
        "ORCHESTRATOR_BASE_COMMIT": "abc",
        "ORCHESTRATOR_PORT_BASE": "20010",
        "ORCHESTRATOR_PORT_COUNT": "10",
        "GIT_AUTHOR_NAME": "Ann Lee",
        "GIT_COMMITTER_EMAIL": "ann@example.org",
    }
    assert {name: made[name] for name in expected} == expected
    assert "NOT_SET" not in made


def test_private_folders_are_short_and_private(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    made = make_run_tmp("run")
    first, second = make_private_tmp(made, "w" * 64, 1), make_private_tmp(made, "w" * 64, 2)
    assert first != second
    assert len(str(first.relative_to(tmp_path / "tmp"))) < 40
    assert all(stat.S_IMODE(place.stat().st_mode) == 0o700 for place in (first, first.parents[1]))
    (first / "file").write_text("x")
    remove_run_tmp("run")
    assert not made.exists()


def test_a_folder_that_others_can_enter_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / f"orch-{os.getuid()}").mkdir(mode=0o700)
    (tmp_path / f"orch-{os.getuid()}").chmod(0o755)
    with pytest.raises(WorkspaceError, match="nobody else can enter"):
        make_run_tmp("run")


def test_a_link_in_place_of_the_folder_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "target").mkdir(mode=0o700)
    (tmp_path / f"orch-{os.getuid()}").symlink_to(tmp_path / "target")
    with pytest.raises(WorkspaceError, match="nobody else can enter"):
        make_run_tmp("run")


HOLDER = """
import sys
from orchestrator.workspaces.port_blocks import port_blocks
print(*(port_blocks().take().base for _ in range(600)), flush=True)
sys.stdin.readline()
"""


def test_no_two_live_workers_of_this_machine_share_a_port(tmp_path: Path) -> None:
    """Half of all blocks go to another process: this one gets only others, until that one is gone."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        theirs = {int(word) for word in other.stdout.readline().split()}
        assert len(theirs) == 600
        blocks = port_blocks()
        ours = []
        try:
            with pytest.raises(WorkspaceError, match="no block of 10 ports"):
                while True:
                    ours.append(blocks.take())
            assert len({block.base for block in ours}) == len(ours) > 500
            assert not theirs & {block.base for block in ours}
            other.stdin.close()
            other.wait(30)
            ours.append(blocks.take())
            assert ours[-1].base in theirs
        finally:
            for block in ours:
                blocks.give_back(block)
    assert (config.home() / "ports.lock").exists()


def test_a_block_with_a_busy_port_is_passed_over(tmp_path: Path) -> None:
    blocks = PortBlocks(tmp_path / "ports.lock")
    first = blocks.take()
    blocks.give_back(first)
    following = first.base + COUNT if first.base + COUNT < LAST else FIRST
    with socket.create_server(("127.0.0.1", following + 3)):
        second = blocks.take()
    assert second.base != following
    blocks.give_back(second)
