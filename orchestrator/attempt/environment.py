"""What one attempt has for itself besides its workspace: environment, TMPDIR, ports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Executor as Pool
from contextlib import contextmanager
from pathlib import Path

from orchestrator.attempt.spec import AttemptSpec, EnvironmentSource
from orchestrator.git.worktrees import remove_tree
from orchestrator.workspaces.environment import make_private_tmp, worker_environment
from orchestrator.workspaces.port_blocks import port_blocks


@contextmanager
def attempt_environment(
    spec: AttemptSpec, source: EnvironmentSource, prompt_file: Path, pool: Pool
) -> Iterator[tuple[Mapping[str, str], Path]]:
    """Hold the attempt's private folder and ports; give the environment that names them, and the folder."""
    task_id, attempt = spec.task.id, spec.attempt
    tmp_dir = make_private_tmp(source.run_tmp, task_id, attempt)
    try:
        block = port_blocks().take()
        try:
            env = worker_environment(
                source.user,
                run_id=spec.run_id,
                worker_id=task_id,
                attempt=attempt,
                prompt_file=prompt_file,
                tmp_dir=tmp_dir,
                base_commit=source.base_commit,
                ports=block,
                terminal=spec.task.terminal or spec.agent.name != "command",
                git_author=source.git_author,
                pass_env=source.pass_env,
                run_env=spec.env,
                task_env=spec.task.env,
            )
            yield env, tmp_dir
        finally:
            port_blocks().give_back(block)
    finally:
        pool.submit(remove_tree, tmp_dir)  # it may be large; what fails here goes with the run's folder
