"""Looks now and then, while a run goes, whether what its workers have made so far conflicts."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any

from orchestrator.config import workspaces_dir
from orchestrator.core.plan import RunPlan
from orchestrator.errors import GitError, WorkspaceError
from orchestrator.git.repository import Repository
from orchestrator.landing.conflicts import Pair
from orchestrator.landing.live import LiveView
from orchestrator.landing.manifests import rules_of
from orchestrator.workspaces.environment import make_run_tmp

_LOG = logging.getLogger("orchestrator")
#: Seconds between two looks, at least.
PERIOD_S = 5.0
#: Of the time, looks take at most this share.
SHARE = 0.02


@dataclass(frozen=True, slots=True)
class Standing:
    """Whose work there is to compare: commits by worker, and workers with a workspace."""

    finished: Mapping[str, str]
    running: frozenset[str]

    @property
    def is_worth_a_look(self) -> bool:
        """One worker conflicts with nobody; when none runs, the run's end compares them anyway."""
        return bool(self.running) and len(self.finished) + len(self.running) > 1


def overlap_watch(
    plan: RunPlan,
    run_id: str,
    standing: Callable[[], Standing],
    tell: Callable[[Mapping[str, Any]], None],
    pool: Executor,
) -> Coroutine[Any, Any, None] | None:
    """What looks for conflicts during this run; None where there can be none to see."""
    if plan.repository is None or plan.base_commit is None or len(plan.tasks) < 2:
        return None
    if plan.isolation == "none":
        return None

    def open_view(repo: Repository, base: str) -> LiveView:
        return LiveView(
            repo,
            base=base,
            directory=workspaces_dir() / run_id,
            scratch=make_run_tmp(run_id) / ".snapshots",
            needs={task.id: task.needs for task in plan.tasks},
            rules=rules_of(plan.config),
        )

    return watch_overlaps(partial(open_view, plan.repository, plan.base_commit), standing, tell, pool)


async def watch_overlaps(
    open_view: Callable[[], LiveView],
    standing: Callable[[], Standing],
    tell: Callable[[Mapping[str, Any]], None],
    pool: Executor,
) -> None:
    """Tell of each file in which two workers come to conflict, once. Ends by being cancelled.

    `open_view` is called in the pool, when there is first something to look at.
    """
    view: LiveView | None = None
    told: set[tuple[str, str, str]] = set()
    pause = PERIOD_S
    loop = asyncio.get_running_loop()
    try:
        while True:
            await asyncio.sleep(pause)
            now = standing()
            if not now.is_worth_a_look:
                continue
            began = time.monotonic()
            try:
                if view is None:
                    view = await loop.run_in_executor(pool, open_view)
                pairs = await loop.run_in_executor(pool, partial(_look, view, now))
            except (GitError, WorkspaceError, OSError) as err:
                _LOG.debug("a look at what workers have made so far failed: %s", err)
                pairs = ()
            for overlap in _new(pairs, told):
                tell(overlap)
            pause = pause_after(time.monotonic() - began)
    finally:
        if view is not None:
            view.snapshots.close()  # the run's end waits for a look that goes on


def pause_after(cost_s: float) -> float:
    """How long to wait after a look that took so long."""
    return max(PERIOD_S, cost_s / SHARE - cost_s)


def _look(view: LiveView, now: Standing) -> tuple[Pair, ...]:
    return view.look(now.finished, now.running, locate=False).conflicts.pairs


def _new(pairs: tuple[Pair, ...], told: set[tuple[str, str, str]]) -> Iterator[Mapping[str, Any]]:
    for pair in pairs:
        for conflict in pair.conflicts:
            for file in conflict.files:
                if (pair.a, pair.b, file) not in told:
                    told.add((pair.a, pair.b, file))
                    yield {"a": pair.a, "b": pair.b, "file": file, "kind": conflict.kind}
