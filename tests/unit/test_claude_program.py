"""What can be told of Claude Code on a machine without asking a model anything."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from orchestrator.agents.claude_program import INSTALL, find_program, look


def program(folder: Path, line: str = "echo '2.1.330 (Claude Code)'") -> dict[str, str]:
    folder.mkdir()
    path = folder / "real-claude"
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)
    (folder / "claude").symlink_to(path)
    return {"PATH": f"{folder}:/usr/bin:/bin", "HOME": str(folder)}


def logged_in(folder: Path, **account: Any) -> None:
    (folder / ".claude").mkdir()
    login = {"claudeAiOauth": {"accessToken": "secret-token", **account}}
    (folder / ".claude" / ".credentials.json").write_text(json.dumps(login))


def test_a_program_is_found_with_links_followed(tmp_path: Path) -> None:
    env = program(tmp_path / "bin")

    found = look({**env, "ANTHROPIC_API_KEY": "key"})

    assert found.program == (tmp_path / "bin" / "real-claude").resolve()
    assert (found.version, found.lacks, found.channel) == ("2.1.330", (), "control protocol")
    assert found.version in found.tested
    assert found.login == "API key (ANTHROPIC_API_KEY)"


def test_a_missing_program_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.agents.claude_program._package_folders", list)
    env = {"PATH": str(tmp_path), "HOME": str(tmp_path)}

    assert find_program(env) is None
    assert look(env).lacks == (INSTALL,)


def test_the_native_installer_s_place_is_known(tmp_path: Path) -> None:
    place = tmp_path / ".local" / "bin"
    place.mkdir(parents=True)
    (place / "claude").write_text("#!/bin/sh\n")
    (place / "claude").chmod(0o755)

    assert find_program({"PATH": "/nowhere", "HOME": str(tmp_path)}) == (place / "claude").resolve()


@pytest.mark.parametrize("line", ["exit 3", "echo something else", "echo 2.1.330; exit 1"])
def test_a_program_that_does_not_tell_its_version_is_broken(tmp_path: Path, line: str) -> None:
    env = program(tmp_path / "bin", line)

    found = look({**env, "ANTHROPIC_API_KEY": "key"})

    assert found.version is None
    assert "--version" in found.lacks[0] or "does not tell its version" in found.lacks[0]


def test_nobody_is_logged_in(tmp_path: Path) -> None:
    found = look(program(tmp_path / "bin"))

    assert found.login == "not logged in"
    assert "claude /login" in found.lacks[0]


def test_a_login_file_tells_until_when_and_never_the_token(tmp_path: Path) -> None:
    env = program(tmp_path / "bin")
    logged_in(tmp_path / "bin", expiresAt=(time.time() + 3600) * 1000, subscriptionType="max")

    found = look(env)

    assert found.lacks == ()
    assert found.login is not None
    assert found.login.startswith("logged in (max), token valid until ")
    assert "secret-token" not in repr(found)


@pytest.mark.parametrize(("more", "ready"), [({"refreshToken": "r"}, True), ({}, False)])
def test_a_token_that_ran_out_is_enough_only_if_it_can_be_renewed(
    tmp_path: Path, more: dict[str, str], ready: bool
) -> None:
    env = program(tmp_path / "bin")
    logged_in(tmp_path / "bin", expiresAt=1000, **more)

    assert (look(env).lacks == ()) is ready


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"claudeAiOauth": 1}', "\xff"])
def test_a_login_file_that_is_none_is_said_to_be(tmp_path: Path, text: str) -> None:
    env = program(tmp_path / "bin")
    (tmp_path / "bin" / ".claude").mkdir()
    (tmp_path / "bin" / ".claude" / ".credentials.json").write_text(text, encoding="latin-1")

    assert len(look(env).lacks) == 1
