"""Agents that users define, in a task file or in a file of their own: which there are, what they do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrator.agents.command import argument_fault, run_command
from orchestrator.config import AgentKeys, OrchestratorConfig, settings_dir
from orchestrator.model.installation import Installation
from orchestrator.model.outcome import Outcome
from orchestrator.model.task import Task
from orchestrator.ports import Agent, Session
from orchestrator.taskfile import load_agents

#: Within the user's settings: agents for all repositories.
AGENTS_FILE = "agents.yaml"


def defined_agents(config: OrchestratorConfig | None = None) -> dict[str, AgentKeys]:
    """Return the user's own agents by name; one of the task file counts more than the user's file.

    Raises TaskFileError for a file that is wrong.
    """
    path = settings_dir() / AGENTS_FILE
    return {**(load_agents(path) if path.is_file() else {}), **(config.agents if config else {})}


def make_agent(name: str, keys: AgentKeys) -> Agent:
    """Make the agent that drives the program as its channel says."""
    match keys.channel:
        case "acp":
            return _acp_agent(name, keys)
        case "terminal":
            return _terminal_agent(name, keys)
        case "command":
            return DefinedCommand(name, keys)


def _acp_agent(name: str, keys: AgentKeys) -> Agent:
    from orchestrator.agents.acp import AcpAgent  # noqa: PLC0415 (an adapter is imported when it is used)
    from orchestrator.agents.acp_settings import AcpSettings  # noqa: PLC0415 (the same)

    return AcpAgent(
        AcpSettings(
            name=name,
            command=keys.command,
            env=keys.env,
            variables=keys.pass_env,
            model_arguments=keys.model,
            install=keys.install,
        )
    )


def _terminal_agent(name: str, keys: AgentKeys) -> Agent:
    from orchestrator.agents.terminal import TerminalAgent  # noqa: PLC0415 (the same)
    from orchestrator.agents.terminal_settings import TerminalSettings  # noqa: PLC0415 (the same)

    return TerminalAgent(
        TerminalSettings(
            name=name,
            command=keys.command,
            signature=keys.signature or "plain",
            prompt="argument" if keys.prompt is None or keys.prompt == "stdin" else keys.prompt,
            env=keys.env,
            variables=keys.pass_env,
            model_arguments=keys.model,
            install=keys.install,
        )
    )


class DefinedCommand:
    """A program of the user's that takes a prompt and ends; it succeeds when it exits with status 0."""

    def __init__(self, name: str, keys: AgentKeys) -> None:
        self.name = name
        self.variables: Sequence[str] = keys.pass_env
        self._keys = keys

    def fault(self, task: Task) -> str | None:
        """Say why this agent cannot take the task: its program is missing, or the prompt does not fit."""
        if task.command:
            return f"agent `{self.name}` has a command of its own: leave out the task's `command`"
        if missing := program_fault(self.name, self._keys, os.environ):
            return missing
        return argument_fault(self._command(task), task.prompt)

    def look(self, env: Mapping[str, str]) -> Installation:
        """Look its program up."""
        return look_up(self.name, self._keys, env)

    async def run(self, session: Session) -> Outcome:
        """Run the program to its end."""
        terminal = self._keys.prompt == "typed" or session.task.terminal
        return await run_command(session, self._command(session.task), terminal=terminal, env=self._keys.env)

    def _command(self, task: Task) -> list[str]:
        command = [*self._keys.command, *model_arguments(self._keys, task.model)]
        place = {"argument": "{prompt}", "file": "{prompt_file}"}.get(self._keys.prompt or "")
        if place and not any(place in word for word in command):
            command.append(place)
        return command


def model_arguments(keys: AgentKeys, model: str | None) -> list[str]:
    """Return the arguments that ask for `model`; none when no model is asked for, or it cannot be."""
    return [word.replace("{model}", model) for word in keys.model] if model else []


def look_up(name: str, keys: AgentKeys, env: Mapping[str, str]) -> Installation:
    """Say what there is of a defined agent: its program. Its version and login cannot be told."""
    missing = program_fault(name, keys, env)
    program = None if missing else _found(keys.command[0], env)
    return Installation(channel=keys.channel, program=program, lacks=(missing,) if missing else ())


def program_fault(name: str, keys: AgentKeys, env: Mapping[str, str]) -> str | None:
    """Say that the program is not there, and how to get it; one inside the workspace may come later."""
    program = keys.command[0]
    if os.sep in program and not Path(program).is_absolute():
        return None
    if _found(program, env):
        return None
    where = "not there" if os.sep in program else "not on the PATH"
    mend = keys.install or "install it, or correct the agent's `command`"
    return f"agent `{name}` needs `{program}`, which is {where}; {mend}"


def _found(program: str, env: Mapping[str, str]) -> Path | None:
    path = shutil.which(program, path=env.get("PATH", os.defpath))
    return Path(path).resolve() if path else None
