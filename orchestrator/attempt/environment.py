"""What one attempt has for itself besides its workspace: folder, log, prompt file, environment, ports."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import Executor as Pool
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from orchestrator.attempt.spec import AttemptSpec, EnvironmentSource
from orchestrator.git.worktrees import remove_tree
from orchestrator.ports import Agent, ProgramAgent
from orchestrator.secrets import Mask
from orchestrator.sessions.output import OutputLog
from orchestrator.workspaces.environment import make_private_tmp, worker_environment
from orchestrator.workspaces.pool import in_pool
from orchestrator.workspaces.port_blocks import PortBlock, port_blocks


@dataclass(frozen=True, slots=True, kw_only=True)
class Belongings:
    """One attempt's own files, and the environment that names them."""

    env: Mapping[str, str]
    prompt_file: Path
    tmp_dir: Path
    log: OutputLog  #: the agent's own output
    ports: PortBlock


@asynccontextmanager
async def attempt_belongings(
    spec: AttemptSpec, source: EnvironmentSource, pool: Pool, mask: Mask
) -> AsyncIterator[Belongings]:
    """Hold an attempt's belongings. Raises OSError or WorkspaceError when they cannot be made.

    Files are made in the pool, for a busy disk would hold up every other worker.
    """
    made = await in_pool(pool, partial(_make, spec, source, mask), undo=_give_back)
    try:
        yield made
    finally:
        _give_back(made)
        pool.submit(remove_tree, made.tmp_dir)  # what fails here goes with the run's folder


def _make(spec: AttemptSpec, source: EnvironmentSource, mask: Mask) -> Belongings:
    spec.directory.mkdir(parents=True, exist_ok=True)
    spec.config_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    if spec.login_dir:
        spec.login_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    prompt_file = spec.directory / "prompt.md"
    prompt_file.write_text(spec.task.prompt, encoding="utf-8", errors="surrogateescape")
    tmp_dir = make_private_tmp(source.run_tmp, spec.task.id, spec.attempt)
    ports = port_blocks().take()
    try:
        log = OutputLog(spec.log_path, spec.log_limit, mask)
    except OSError:
        port_blocks().give_back(ports)
        raise
    env = worker_environment(
        source.user,
        run_id=spec.run_id,
        worker_id=spec.task.id,
        attempt=spec.attempt,
        prompt_file=prompt_file,
        tmp_dir=tmp_dir,
        base_commit=source.base_commit,
        ports=ports,
        terminal=spec.task.terminal or spec.agent.name != "command",
        git_author=source.git_author,
        pass_env=(*source.pass_env, *agent_variables(spec.agent)),
        run_env=spec.env,
        task_env=spec.task.env,
    )
    return Belongings(env=env, prompt_file=prompt_file, tmp_dir=tmp_dir, log=log, ports=ports)


def agent_variables(agent: Agent) -> Sequence[str]:
    """Names of the user's variables that the agent's program needs."""
    return agent.variables if isinstance(agent, ProgramAgent) else ()


def _give_back(belongings: Belongings) -> None:
    belongings.log.close()
    port_blocks().give_back(belongings.ports)
