"""Looks at every agent's program at once: what is installed, whether our tests know it, what it lacks."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from orchestrator.agents.defined import defined_agents
from orchestrator.agents.registry import agent_names, get_agent
from orchestrator.cli.diagnosis import Finding
from orchestrator.config import AgentKeys
from orchestrator.errors import OrchestratorError
from orchestrator.model.installation import Installation
from orchestrator.ports import ProgramAgent
from orchestrator.report.words import one_line

#: The two that have no program of their own to look for.
_OURS = {
    "command": Installation(channel="pipes or pty"),
    "demo": Installation(channel="terminal", version="ours", login="needs none"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentState:
    """One agent as it stands on this machine."""

    name: str
    installed: Installation
    has_program: bool  #: whether there is a program to find
    defined: bool  #: by the user

    @property
    def tested(self) -> bool | None:
        """Whether our own tests run with this version; None where there is nothing to compare."""
        if not self.installed.tested or self.installed.version is None:
            return None
        return self.installed.version in self.installed.tested

    def to_json(self) -> dict[str, Any]:
        """Return the agent as an object of `agents --json`."""
        found = self.installed
        return {
            "name": self.name,
            "channel": found.channel,
            "program": str(found.program) if found.program else None,
            "version": found.version,
            "tested": self.tested,
            "tested_versions": list(found.tested),
            "login": found.login,
            "ready": not found.lacks,
            "lacks": list(found.lacks),
            "defined": self.defined,
        }


def survey(env: Mapping[str, str], names: Sequence[str] | None = None) -> list[AgentState]:
    """Look at the agents of those names, or at all. Raises InputError for one that does not exist."""
    theirs = defined_agents()
    wanted = agent_names(theirs) if names is None else names
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return list(pool.map(lambda name: _state(name, theirs, env), wanted))


def _state(name: str, theirs: Mapping[str, AgentKeys], env: Mapping[str, str]) -> AgentState:
    agent = get_agent(name, theirs)
    has_program = isinstance(agent, ProgramAgent)
    if isinstance(agent, ProgramAgent):
        try:
            found = _harmless(agent.look(env))
        except (OrchestratorError, OSError, subprocess.SubprocessError) as err:
            found = Installation(channel="", lacks=(one_line(f"it cannot be looked at: {err}"),))
    else:
        found = _OURS.get(name, Installation(channel=""))
    return AgentState(name=name, installed=found, has_program=has_program, defined=name in theirs)


def _harmless(found: Installation) -> Installation:
    """What a program says about itself is shown on one line, and steers no terminal."""
    return Installation(
        channel=one_line(found.channel),
        program=found.program,
        version=one_line(found.version) if found.version else None,
        tested=found.tested,
        login=one_line(found.login) if found.login else None,
        lacks=tuple(map(one_line, found.lacks)),
    )


def agent_findings(name: str, env: Mapping[str, str]) -> Iterator[Finding]:
    """Say what an agent has and lacks, for `doctor --agent`."""
    [state] = survey(env, [name])
    found = state.installed
    yield Finding(name="agent", status="ok", found=f"{name}, driven by {found.channel or 'its own package'}")
    if state.has_program:
        program = one_line(str(found.program)) if found.program else "not found"
        yield Finding(name="program", status="ok" if found.program else "fail", found=program)
    if found.version:
        yield _version_finding(state)
    if found.login:
        yield Finding(name="login", status="warn" if found.lacks else "ok", found=found.login)
    for lack in found.lacks:
        yield Finding(name="lacks", status="fail", found=lack)


def _version_finding(state: AgentState) -> Finding:
    version, tested = str(state.installed.version), ", ".join(state.installed.tested)
    if state.tested is False:
        mend = f"see what works: `orchestrator agents check {state.name}`; tests run with {tested}"
        return Finding(name="version", status="warn", found=f"{version}, not tested", mend=mend)
    return Finding(name="version", status="ok", found=f"{version}, tested" if state.tested else version)
