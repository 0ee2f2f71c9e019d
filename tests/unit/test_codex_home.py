"""A worker's own folder for Codex: what it says, and that nothing left in it is followed."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from orchestrator.agents.codex_home import INSTRUCTIONS_LIMIT, make_home, settings
from orchestrator.agents.codex_program import INSTALL, LOG_IN, find_program, look


def test_the_settings_trust_and_start_nothing() -> None:
    workspace = Path('/with "quotes" and \\ and \n and é')
    read = tomllib.loads(settings(workspace, {}))
    assert read["projects"] == {str(workspace): {"trust_level": "untrusted"}}
    assert read["check_for_update_on_startup"] is False
    assert read["analytics"] == {"enabled": False}
    assert not any(read["features"].values())
    assert "model_provider" not in read


@pytest.mark.parametrize(
    ("env", "url", "key"),
    [
        (
            {"OPENAI_BASE_URL": "http://127.0.0.1:1/v1", "OPENAI_API_KEY": "k"},
            "http://127.0.0.1:1/v1",
            "OPENAI_API_KEY",
        ),
        ({"OPENAI_API_KEY": "k", "CODEX_API_KEY": "c"}, "https://api.openai.com/v1", "CODEX_API_KEY"),
        ({"OPENAI_BASE_URL": 'http://"/\n'}, 'http://"/\n', None),
    ],
)
def test_an_endpoint_is_taken_from_the_environment(env: dict[str, str], url: str, key: str | None) -> None:
    read = tomllib.loads(settings(Path("/w"), env))
    provider = read["model_providers"][read["model_provider"]]
    assert (provider["base_url"], provider.get("env_key"), provider["wire_api"]) == (url, key, "responses")
    assert "k" not in json.dumps(list(provider.values())).split('"')


def test_what_an_attempt_left_there_is_replaced(tmp_path: Path) -> None:
    workspace, outside = tmp_path / "w", tmp_path / "outside"
    workspace.mkdir()
    outside.write_text("mine")
    home = make_home(tmp_path / "config", workspace, {}, tmp_path / "login")
    (home / "rules").mkdir()
    (home / "rules" / "all.rules").write_text("allow")
    (home / "config.toml").unlink()
    (home / "config.toml").symlink_to(outside)
    assert make_home(tmp_path / "config", workspace, {}, None) == home
    assert outside.read_text() == "mine"
    assert not (home / "config.toml").is_symlink()
    assert not (home / "rules").exists()
    assert not (home / "auth.json").is_symlink()
    assert home.stat().st_mode & 0o077 == 0


def test_the_login_is_a_link_to_the_one_that_all_share(tmp_path: Path) -> None:
    home = make_home(tmp_path / "config", tmp_path, {}, tmp_path / "login")
    assert (home / "auth.json").readlink() == tmp_path / "login" / "auth.json"


def test_the_repository_says_how_to_work_in_it(tmp_path: Path) -> None:
    workspace = tmp_path / "w"
    workspace.mkdir()

    def handed_over() -> str:
        return (make_home(tmp_path / "config", workspace, {}, None) / "AGENTS.md").read_text()

    assert handed_over() == ""
    (tmp_path / "secret").write_text("secret")
    (workspace / "AGENTS.md").symlink_to(tmp_path / "secret")
    assert handed_over() == ""
    (workspace / "AGENTS.md").unlink()
    (workspace / "AGENTS.md").mkdir()
    assert handed_over() == ""
    (workspace / "AGENTS.md").rmdir()
    (workspace / "AGENTS.md").write_text("x" * (INSTRUCTIONS_LIMIT + 1))
    assert handed_over() == "x" * INSTRUCTIONS_LIMIT
    (workspace / "AGENTS.override.md").write_text("first")
    assert handed_over() == "first"


def _installed(folder: Path) -> tuple[Path, Path]:
    """As npm lays it out: a link on the PATH, the script, and the program in a package beside it."""
    scope = folder / "node_modules" / "@openai"
    script, native = (
        scope / "codex/bin/codex.js",
        scope / "codex-linux-x64/vendor/x86_64-unknown-linux-musl/bin/codex",
    )
    for path in (script, native):
        path.parent.mkdir(parents=True)
        path.write_text("#!/bin/sh\necho codex-cli 9.9.9\n")
        path.chmod(0o755)
    (folder / "bin").mkdir()
    (folder / "bin/codex").symlink_to(script)
    return script, native


def test_the_native_program_is_preferred(tmp_path: Path) -> None:
    script, native = _installed(tmp_path)
    env = {"PATH": str(tmp_path / "bin")}
    assert find_program(env) == native
    native.unlink()
    assert find_program(env) == script
    assert find_program({"PATH": str(tmp_path)}) is None


def test_what_is_lacking_is_said(tmp_path: Path) -> None:
    nothing = look({"PATH": str(tmp_path), "HOME": str(tmp_path)})
    assert (nothing.program, nothing.version, nothing.login) == (None, None, None)
    assert nothing.lacks == (INSTALL, LOG_IN)
    _, native = _installed(tmp_path)
    found = look({"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "HOME": str(tmp_path), "OPENAI_API_KEY": "k"})
    assert (found.program, found.version, found.lacks) == (native, "9.9.9", ())
    assert found.login == "OPENAI_API_KEY is set"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"tokens": {"access_token": "x"}}', "ChatGPT account"),
        ('{"OPENAI_API_KEY": "k"}', "API key"),
        ("nonsense", "cannot be read"),
    ],
)
def test_a_login_in_a_file_is_seen(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / ".codex").mkdir()
    (tmp_path / ".codex/auth.json").write_text(content)
    for env in ({"HOME": str(tmp_path)}, {"CODEX_HOME": str(tmp_path / ".codex")}):
        assert said in (look(env).login or "")
