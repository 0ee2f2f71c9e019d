"""Agents are found by name; a wrong name gets the choices and the nearest one."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.agents.registry import agent_names, get_agent
from orchestrator.errors import InputError


def _bring(folder: Path, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    """Install a package that brings an agent `brought`."""
    info = folder / "brought-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: brought\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[orchestrator.agents]\nbrought = {target}\n")
    (folder / "brought_agent.py").write_text("class Brought:\n    name = 'brought'\n")
    monkeypatch.syspath_prepend(str(folder))


@pytest.mark.parametrize("name", ["command", "demo"])
def test_a_built_in_agent(name: str) -> None:
    assert name in agent_names()
    assert get_agent(name).name == name


def test_an_agent_of_another_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _bring(tmp_path, monkeypatch, "brought_agent:Brought")
    assert "brought" in agent_names()
    assert get_agent("brought").name == "brought"


def test_an_agent_that_cannot_be_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _bring(tmp_path, monkeypatch, "brought_agent:Missing")
    with pytest.raises(InputError, match="`brought` cannot be loaded from `brought_agent:Missing`"):
        get_agent("brought")


def test_an_unknown_agent_gets_the_choices_and_the_nearest_name() -> None:
    with pytest.raises(
        InputError, match=r"there is no agent `Comand`; choose one of: .*command, demo"
    ) as caught:
        get_agent("Comand")
    assert caught.value.hint == "did you mean `command`?"


def test_a_name_near_nothing_gets_no_guess() -> None:
    with pytest.raises(InputError) as caught:
        get_agent("zzz")
    assert caught.value.hint is None
