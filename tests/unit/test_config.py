"""The settings of a run: defaults, limits and messages."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.config import OrchestratorConfig, home, parse_duration, runs_dir, workspaces_dir
from orchestrator.errors import InputError


def test_every_setting_has_a_default() -> None:
    config = OrchestratorConfig()
    assert config == OrchestratorConfig.default()
    assert (config.repo, config.base, config.timeout) == (Path(), "HEAD", 1800.0)
    assert (config.isolation, config.sandbox, config.halt, config.keep) == ("auto", "auto", "never", "never")
    assert config.max_workers is None and config.agent is None


def test_values_are_read_as_the_task_file_names_them() -> None:
    config = OrchestratorConfig(
        repo=".",
        agent="codex",
        timeout="1h30m",
        setup=["npm ci"],
        copy=[".env"],
        env={"A": "1"},
        halt="now,fail=20%",
    )
    assert config.repo == Path()
    assert config.timeout == 5400.0
    assert (config.setup, config.copy_files, config.env) == (("npm ci",), (".env",), {"A": "1"})


def test_no_time_limit_can_be_asked_for() -> None:
    assert OrchestratorConfig(timeout=None).timeout is None


WRONG: list[tuple[str, Any, str]] = [
    ("max_workers", 0, "expected 1 or more (got 0)"),
    ("max_workers", -1, "expected 1 or more (got -1)"),
    ("max_workers", True, "expected a whole number (got True)"),
    ("max_workers", "8", "expected a whole number (got '8')"),
    ("max_workers", 2.0, "expected a whole number (got 2.0)"),
    ("timeout", 0, "expected a duration above zero"),
    ("timeout", -5, "expected a duration above zero"),
    ("timeout", "soon", "(got 'soon')"),
    ("setup_timeout", None, "expected a duration above zero"),
    ("retries", -1, "expected 0 or more (got -1)"),
    ("isolation", "vm", "expected one of 'auto', 'worktree', 'clone' or 'none' (got 'vm')"),
    ("sandbox", True, "expected one of 'auto', 'on' or 'off' (got True)"),
    ("base", "", "expected text, not nothing (got '')"),
    ("base", None, "expected text (got nothing)"),
    ("agent", 5, "expected text (got 5)"),
    ("repo", 5, "expected a path (got 5)"),
    ("setup", "npm ci", "expected a list (got 'npm ci')"),
    ("env", ["A=1"], "expected a mapping of keys to values (got a list)"),
    ("halt", "now", "expected never, or a limit"),
    ("halt", "now,fail=0", "expected never, or a limit"),
    ("halt", "now,fail=0%", "expected never, or a limit"),
    ("halt", "now,fail=101%", "expected never, or a limit"),
    ("author", "me", "expected `Name <address>`"),
    ("author", "a\nb <c@d>", "expected `Name <address>`"),
    ("author", " <c@d>", "expected `Name <address>`"),
    ("log_limit", 10, "expected 4096 or more (got 10)"),
    ("retries", 10**5000 * -1, "expected 0 or more (got a huge number)"),
]


@pytest.mark.parametrize(
    ("key", "value", "message"), WRONG, ids=[f"{key}-{i}" for i, (key, _, _) in enumerate(WRONG)]
)
def test_wrong_value_says_what_was_expected(key: str, value: object, message: str) -> None:
    with pytest.raises(InputError) as caught:
        OrchestratorConfig(**{key: value})
    text = str(caught.value)
    assert text.startswith(f"{key}: ")
    assert message in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"verify": ["ok", " "]}, "verify.1: expected text, not nothing"),
        ({"setup": ["a\0b"]}, "setup.0: expected text without NUL"),
        ({"env": {"A-B": "1"}}, "env.A-B: expected a variable name"),
        ({"env": {"A": 1}}, "env.A: expected text (got 1)"),
        ({"env": {"A": "\0"}}, "env.A: expected text without NUL"),
        ({"pass_env": ["1A"]}, "pass_env.0: expected a variable name"),
        ({"pass_env": ["A\n"]}, "pass_env.0: expected a variable name"),
    ],
)
def test_wrong_value_inside_another_is_named_by_its_path(values: dict[str, Any], where: str) -> None:
    with pytest.raises(InputError) as caught:
        OrchestratorConfig(**values)
    assert str(caught.value).startswith(where)


def test_all_faults_come_at_once_and_a_mistyped_key_gets_the_right_one() -> None:
    with pytest.raises(InputError) as caught:
        OrchestratorConfig(max_wokers=3, retries=-1, self=1)
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert "max_wokers: unknown key; did you mean `max_workers`?" in lines


def test_long_and_deep_values_are_not_repeated_in_messages() -> None:
    bomb: list[Any] = ["x"] * 10
    for _ in range(12):
        bomb = [bomb] * 10
    with pytest.raises(InputError) as caught:
        OrchestratorConfig(base="b" * 10_000 + "\0", agent=bomb)
    assert len(str(caught.value)) < 300


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        OrchestratorConfig().retries = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (90, 90),
        (0.5, 0.5),
        ("90", 90),
        ("90s", 90),
        ("30m", 1800),
        ("1.5h", 5400),
        ("1h30m", 5400),
        ("1 h 30 m", 5400),
        ("250ms", 0.25),
        ("2d", 172800),
        (" 5m ", 300),
        ("1d2h3m4s5ms", 93784.005),
    ],
)
def test_duration(text: object, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        0,
        -1,
        "0",
        "0s",
        "-5m",
        "",
        " ",
        "m",
        "1h30",
        "30m1h",
        "1m1m",
        "1 2",
        "1:30",
        "1e3",
        "30 minutes",
        "\u0661\u0660m",
        "1.m",
        True,
        None,
        [],
        float("nan"),
        float("inf"),
        "inf",
        10**400,
        "9" * 5000,
        "11000d",
        "5M",
    ],
)
def test_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match="expected a duration above zero"):
        parse_duration(text)


@given(st.text())
def test_any_text_is_a_duration_or_a_value_error(text: str) -> None:
    try:
        assert 0 < parse_duration(text) < 10 * 366 * 86400
    except ValueError as err:
        assert "expected a duration" in str(err)


def test_state_lives_where_it_was_asked_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("ORCHESTRATOR_HOME", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert home() == tmp_path / ".local" / "state" / "orchestrator"
    monkeypatch.setenv("XDG_STATE_HOME", "relative/ignored")
    assert home() == tmp_path / ".local" / "state" / "orchestrator"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert home() == tmp_path / "state" / "orchestrator"
    monkeypatch.setenv("ORCHESTRATOR_HOME", "~/mine")
    assert home() == tmp_path / "mine"
    assert runs_dir() == home() / "runs"
    assert workspaces_dir() == home() / "workspaces"
