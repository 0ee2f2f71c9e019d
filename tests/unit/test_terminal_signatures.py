"""Signature files: the shipped ones are whole, a user's own counts, and a wrong one is explained."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.agents.terminal_signatures import load_signature, shipped_names, user_folder
from orchestrator.errors import InputError

MINIMAL = "version: 1\nname: mine\nprogram: mine\n"


def test_every_shipped_signature_is_valid() -> None:
    names = shipped_names()
    assert {"aider", "claude", "claude-ax", "codex", "gemini", "mini-swe-agent", "plain"} <= set(names)
    assert [load_signature(name, {}).name for name in names] == list(names)


def test_a_signature_of_the_user_counts_before_a_shipped_one(tmp_path: Path) -> None:
    env = {"XDG_CONFIG_HOME": str(tmp_path)}
    user_folder(env).mkdir(parents=True)
    (user_folder(env) / "codex.yaml").write_text(MINIMAL)
    assert load_signature("codex", env).name == "mine"
    assert load_signature("codex", {}).name == "codex"


def test_a_signature_can_be_named_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text(MINIMAL)
    assert load_signature(str(tmp_path / "my.yaml"), {}).program == "mine"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version: 2\nname: mine\nprogram: mine\n", "version"),
        (MINIMAL + "colour: red\n", "colour"),
        (MINIMAL + "message: '('\n", "not a regular expression"),
        (MINIMAL + "idle: {row: 7}\n", "expected a regular expression"),
        (
            MINIMAL + "prompts:\n  - {name: a, tool: shell, start: x, answer: number, cursor: below}\n",
            "labels",
        ),
        (
            MINIMAL + "prompts:\n  - {name: a, tool: shell, start: x, answer: keys, cursor: question}\n",
            "allow_keys",
        ),
        ("version: [", "not YAML"),
        ("- just a list\n", "mine.yaml"),
    ],
)
def test_a_wrong_signature_is_explained(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as fault:
        load_signature(str(path), {})
    assert said in fault.value.message
    assert str(path) in fault.value.message


@pytest.mark.parametrize("name", ["nobody", "../secret", "No Name", "gone/away.yaml"])
def test_a_missing_signature_is_an_input_error(name: str) -> None:
    with pytest.raises(InputError):
        load_signature(name, {})
