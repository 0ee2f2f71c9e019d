"""`orchestrator policy check`, and the policy file of a run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

#: The package of this checkout, wherever a command is started.
ENV = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    workspace = tmp_path / "blog"
    (workspace / ".git").mkdir(parents=True)
    return workspace


def _check(folder: Path, *args: str, lines: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "orchestrator", "policy", "check", *args]
    return subprocess.run(
        command, cwd=folder, env=ENV, input=lines, capture_output=True, check=False, timeout=60
    )


def test_a_command_is_explained(folder: Path) -> None:
    done = _check(folder, "--command", "git push -f")
    assert done.returncode == 0
    assert done.stdout.split()[:2] == [b"deny", b"PROHIBITED"]


def test_json_is_one_object_a_line(folder: Path) -> None:
    requests: list[object] = [
        {"tool": "shell", "command": "ls -la"},
        {"tool": "write", "path": "src/a.py"},
        {"tool": "write", "path": "../a.py"},
        {"tool": "shell", "command": "npm publish"},
        {"tool": "mcp"},
    ]
    lines = b"".join(json.dumps(request).encode() + b"\n" for request in requests)
    done = _check(folder, "--stdin", "--json", lines=lines)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [set(answer) for answer in answers] == [{"decision", "level", "rule", "reason"}] * 5
    assert [answer["decision"] for answer in answers] == ["allow", "allow", "deny", "deny", "deny"]
    assert [answer["level"] for answer in answers[:3]] == ["SAFE", "SAFE", "PROHIBITED"]


def test_a_line_that_is_no_request_is_denied_and_the_rest_goes_on(folder: Path) -> None:
    bad = [
        *(b"{", b"[]", b"7", b'{"tool": "x"}', b'{"tool": "shell"}', b'{"tool": "shell", "command": 7}'),
        *(b"\xff", b'{"tool": "write", "pth": "x"}', b"[" * 100_000, b'{"tool": []}', b"x" * 1_200_000),
    ]
    done = _check(
        folder, "--stdin", "--json", lines=b"\n".join([*bad, b'{"tool": "shell", "command": "ls"}', b""])
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 2, done.stderr
    assert [answer["decision"] for answer in answers] == ["deny"] * len(bad) + ["allow"]
    assert {answer["rule"] for answer in answers[:-1]} == {"malformed_request"}


def test_a_rule_file_and_a_workspace_can_be_given(folder: Path) -> None:
    (folder / "policy.yaml").write_text("version: 1\ndefault: ask\n")
    done = _check(
        folder.parent, "--policy", "blog/policy.yaml", "--workspace", "blog", "--json", "--command", "ls"
    )
    assert json.loads(done.stdout)["decision"] == "ask"


def test_wrong_use_ends_with_2(folder: Path) -> None:
    (folder / "policy.yaml").write_text("version: 1\ndefault: allow\n")
    for args in ((), ("--stdin", "--command", "ls"), ("--command", "ls", "--policy", "policy.yaml"),
                 ("--command", "ls", "--workspace", "nowhere")):  # fmt: skip
        done = _check(folder, *args)
        assert (done.returncode, done.stdout) == (2, b""), args
        assert b"error" in done.stderr


def test_a_run_with_a_wrong_policy_does_not_start(folder: Path) -> None:
    (folder / "policy.yaml").write_text("version: 1\ndefault: allow\n")
    words = ["run", "-p", "x", "--agent", "demo", "--isolation", "none", "--policy", "policy.yaml"]
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator", *words],
        cwd=folder,
        env=ENV,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert b"policy.yaml:2:10: default" in done.stderr
