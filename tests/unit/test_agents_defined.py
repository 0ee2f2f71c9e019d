"""Agents that users define: which keys they have, where they are read from, what they become."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.agents.defined import defined_agents
from orchestrator.agents.registry import _BUILT_IN, agent_names, get_agent
from orchestrator.config import BUILT_IN_AGENTS, AgentKeys, OrchestratorConfig
from orchestrator.core.trust import _DEAF
from orchestrator.errors import InputError, TaskFileError
from orchestrator.model.task import Task
from orchestrator.ports import ProgramAgent
from orchestrator.taskfile import load_agents, load_task_file

TASKS = "tasks:\n  - {id: one, prompt: do it}\n"


def _faults(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "tasks.yaml"
    path.write_text(f"version: 1\n{text}\n{TASKS}")
    with pytest.raises(TaskFileError) as caught:
        load_task_file(path)
    return [line.removeprefix(f"{path}:") for line in caught.value.message.splitlines()]


def test_every_built_in_name_is_reserved() -> None:
    assert set(_BUILT_IN) <= BUILT_IN_AGENTS
    assert _DEAF <= BUILT_IN_AGENTS  # nobody's own agent passes for one that ignores the repository


@pytest.mark.parametrize(
    ("definition", "fault"),
    [
        ("mine: {}", "3:9: agents.mine.command: missing; expected a value for this key"),
        ("mine: {command: tool}", "3:19: agents.mine.command: expected a list of words"),
        ("mine: {command: []}", "3:19: agents.mine.command: expected a program to run"),
        ("mine: {command: [x], chanel: acp}", "agents.mine.chanel: unknown key; did you mean `channel`?"),
        ("mine: {command: [x], channel: tty}", "agents.mine.channel: expected one of 'command', 'acp'"),
        ("mine: {command: [x], prompt: yes}", "agents.mine.prompt: expected one of 'argument', 'stdin'"),
        ("mine: {command: [x], channel: acp, prompt: stdin}", "has its own way to hand a prompt over"),
        ("mine: {command: [x], channel: terminal, prompt: stdin}", "expected argument or typed or file"),
        ("mine: {command: [x], model: [--model]}", "expected arguments with {model} in them"),
        ("mine: {command: [x], signature: s.yaml}", "only channel `terminal` reads screens"),
        ("mine: {command: [x], channel: terminal, prompt: typed}", "agents.mine.signature: expected a sig"),
        ("mine: {command: [x], env: {A-B: x}}", "expected a variable name"),
        ("claude: {command: [x]}", "3:3: agents.claude: the name of a built-in agent"),
        ("My Agent: {command: [x]}", "3:3: agents.My Agent: expected a name of 1 to 64 of a-z 0-9"),
    ],
)
def test_a_wrong_definition_is_told_with_its_place(tmp_path: Path, definition: str, fault: str) -> None:
    [found] = _faults(tmp_path, f"agents:\n  {definition}")
    assert fault in found


def test_signatures_lie_beside_the_task_file(tmp_path: Path) -> None:
    path = tmp_path / "tasks.yaml"
    path.write_text(
        "version: 1\nagents: {mine: {command: [x], channel: terminal, signature: s.yaml}}\n" + TASKS
    )
    assert load_task_file(path).config.agents["mine"].signature == str(tmp_path / "s.yaml")
    path.write_text(path.read_text().replace("s.yaml", "plain"))
    assert load_task_file(path).config.agents["mine"].signature == "plain"


def test_the_users_own_file_is_for_all_repositories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert defined_agents() == {}
    folder = tmp_path / "orchestrator"
    folder.mkdir()
    (folder / "agents.yaml").write_text("agents:\n  mine: {command: [a]}\n  other: {command: [b]}\n")
    assert defined_agents()["mine"].command == ("a",)
    of_the_run = OrchestratorConfig(agents={"mine": {"command": ["c"]}})
    assert {name: keys.command for name, keys in defined_agents(of_the_run).items()} == {
        "mine": ("c",),
        "other": ("b",),
    }


@pytest.mark.parametrize("text", ["- a\n", "version: 1\n", "agents: {x: {command: [a]}}\nmore: 1\n"])
def test_a_wrong_file_of_agents(tmp_path: Path, text: str) -> None:
    path = tmp_path / "agents.yaml"
    path.write_text(text)
    with pytest.raises(TaskFileError, match=r"agents\.yaml:\d+:\d+: "):
        load_agents(path)


def test_a_defined_agent_is_found_by_its_name() -> None:
    defined = {"mine": AgentKeys(command=("true",), pass_env=("MY_KEY",))}
    agent = get_agent("mine", defined)
    assert agent.name == "mine"
    assert isinstance(agent, ProgramAgent)
    assert agent.variables == ("MY_KEY",)
    assert "mine" in agent_names(defined)
    with pytest.raises(InputError) as caught:
        get_agent("mein", defined)
    assert caught.value.hint == "did you mean `mine`?"


def test_a_missing_program_is_told_with_the_way_to_get_it() -> None:
    agent = get_agent("mine", {"mine": AgentKeys(command=("no-such-program-x",), install="run: make it")})
    fault = agent.fault(Task(id="t", name="t", prompt="p"))
    assert fault == "agent `mine` needs `no-such-program-x`, which is not on the PATH; run: make it"
    assert isinstance(agent, ProgramAgent)
    assert agent.look({"PATH": "/nowhere"}).lacks == (fault,)


def test_its_command_is_its_own() -> None:
    agent = get_agent("mine", {"mine": AgentKeys(command=("true",))})
    assert "leave out" in (agent.fault(Task(id="t", name="t", prompt="p", command=("x",))) or "")
