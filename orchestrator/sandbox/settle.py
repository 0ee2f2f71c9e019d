"""Settles a run's sandbox from its settings, and says in words what stands between agents and machine."""

from __future__ import annotations

import os
from pathlib import Path

from orchestrator.config import OrchestratorConfig, home
from orchestrator.errors import InputError
from orchestrator.sandbox.choose import Choice, choose_sandbox
from orchestrator.sandbox.hosts import parse_hosts
from orchestrator.sandbox.opening import Network, SandboxSettings
from orchestrator.sandbox.surface import listed


def settle_sandbox(config: OrchestratorConfig) -> tuple[SandboxSettings | None, str, str]:
    """Return the settings, None for a run without a sandbox, the isolation, and the boundary in words.

    `auto` is a clone in a sandbox, where an agent needs nothing of the user's repository but to read
    objects. Without one a worktree is no less safe, and the user's own tools see it.

    Raises InputError for settings that cannot be kept here. The first call after a boot tests the sandbox.
    """
    network = _network(config)
    user_home = Path(os.environ.get("HOME") or Path.home())
    for key, names in (("readable", config.readable), ("writable", config.writable)):
        listed(key, names, user_home)
    choice = choose_sandbox(config.sandbox, state_home=home())
    isolation = config.isolation
    if isolation == "auto":
        isolation = "worktree" if choice.bwrap is None else "clone"
    if choice.bwrap is None:
        if network != "shared":
            raise InputError(
                f"network: only a sandbox can limit it, and there is none: {choice.reason}",
                hint="see `orchestrator doctor`, or set `network: shared`",
            )
        return None, isolation, unbound(isolation, choice)
    settings = SandboxSettings(
        bwrap=choice.bwrap, network=network, readable=config.readable, writable=config.writable
    )
    return settings, isolation, bound(isolation, network)


def _network(config: OrchestratorConfig) -> Network:
    return config.network if isinstance(config.network, str) else parse_hosts(config.network)


def unbound(isolation: str, choice: Choice) -> str:
    """Without a sandbox."""
    return f"{_UNBOUND[isolation]} ({choice.reason})"


def bound(isolation: str, network: Network) -> str:
    """With one."""
    return f"{_BOUND[isolation]}; {_words(network)}"


def _words(network: Network) -> str:
    if network == "shared":
        return "network open, local services included"
    if isinstance(network, str) or not network:
        return "no network"
    return f"network: {', '.join(sorted(map(str, network)))} only"


_UNBOUND = {
    "worktree": "own git worktree per worker, no sandbox: agents run with your rights",
    "clone": "own clone per worker, no sandbox: agents run with your rights",
    "none": "no isolation, no sandbox: the agent works in your own folder with your rights",
}
_BOUND = {
    "worktree": (
        "own git worktree per worker, sandboxed: your home is hidden, only the worktree can be written, "
        "and of the repository loose objects and this run's branches"
    ),
    "clone": (
        "own clone per worker, sandboxed: your home is hidden, only the clone can be written, "
        "and your repository's objects can be read"
    ),
    "none": "sandboxed: your home is hidden, only your own folder can be written",
}
