"""Opens the sandbox of a run: looks at the machine once, and keeps the way to allowed hosts while it runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from orchestrator.sandbox.confine import BubblewrapSandbox
from orchestrator.sandbox.hosts import Target
from orchestrator.sandbox.proxy import allowing_proxy
from orchestrator.sandbox.surface import look_around

#: Everything, nothing, or only these hosts.
Network = Literal["shared", "none"] | frozenset[Target]


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSettings:
    """What the plan has settled."""

    bwrap: Path
    network: Network
    readable: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()


@asynccontextmanager
async def open_sandbox(
    settings: SandboxSettings, env: Mapping[str, str], *, state_home: Path, run_tmp: Path
) -> AsyncIterator[BubblewrapSandbox]:
    """Give what confines the attempts of a run; `env` is the user's own."""
    surface = look_around(
        env, state_home=state_home, run_tmp=run_tmp, readable=settings.readable, writable=settings.writable
    )
    if isinstance(settings.network, str):
        share = settings.network == "shared"
        yield BubblewrapSandbox(bwrap=settings.bwrap, surface=surface, share_network=share)
        return
    async with allowing_proxy(run_tmp / "proxy.sock", settings.network) as door:
        yield BubblewrapSandbox(bwrap=settings.bwrap, surface=surface, share_network=False, door=door)
