"""Which agents there are, by name: the built-in ones, and those that other packages bring."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from orchestrator.agents.defined import make_agent
from orchestrator.config import AgentKeys
from orchestrator.errors import InputError
from orchestrator.ports import Agent

#: Other packages name a callable here that returns an Agent.
ENTRY_POINT_GROUP = "orchestrator.agents"

_BUILT_IN = {
    "claude": "orchestrator.agents.claude:ClaudeAgent",
    "codex": "orchestrator.agents.codex:CodexAgent",
    "command": "orchestrator.agents.command:CommandAgent",
    "demo": "orchestrator.agents.demo:DemoAgent",
    "gemini": "orchestrator.agents.acp_presets:gemini",
    "opencode": "orchestrator.agents.acp_presets:opencode",
    "qwen": "orchestrator.agents.acp_presets:qwen",
    "claude-acp": "orchestrator.agents.acp_presets:claude_acp",
    "codex-acp": "orchestrator.agents.acp_presets:codex_acp",
    "claude-terminal": "orchestrator.agents.terminal_presets:claude_terminal",
    "codex-terminal": "orchestrator.agents.terminal_presets:codex_terminal",
    "gemini-terminal": "orchestrator.agents.terminal_presets:gemini_terminal",
    "aider": "orchestrator.agents.terminal_presets:aider",
    "mini-swe-agent": "orchestrator.agents.terminal_presets:mini_swe_agent",
}


def agent_names(defined: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the names of all agents, those that the user `defined` included, sorted."""
    return tuple(sorted({*_BUILT_IN, *_brought(), *defined}))


def get_agent(name: str, defined: Mapping[str, AgentKeys] | None = None) -> Agent:
    """Return the agent of that name. Raises InputError, with the choices, when there is none."""
    theirs = defined or {}
    if name in _BUILT_IN:
        module, _, attribute = _BUILT_IN[name].partition(":")
        agent: Agent = getattr(import_module(module), attribute)()
        return agent
    if name in theirs:
        return make_agent(name, theirs[name])
    brought = _brought().get(name)
    if brought is None:
        names = agent_names(theirs)
        raise InputError(
            f"there is no agent `{name}`; choose one of: {', '.join(names)}", hint=_near(name, names)
        )
    return _load(brought)


def _brought() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}


def _near(name: str, names: Iterable[str]) -> str | None:
    close = get_close_matches(name.lower(), list(names), n=1)
    return f"did you mean `{close[0]}`?" if close else None


def _load(point: EntryPoint) -> Agent:
    try:
        factory: Callable[[], Agent] = point.load()
    except (ImportError, AttributeError) as err:
        raise InputError(
            f"agent `{point.name}` cannot be loaded from `{point.value}`: {err}",
            hint="reinstall or remove the package that brings it",
        ) from err
    return factory()
