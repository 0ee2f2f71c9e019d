"""Makes lock files anew in a combined tree, by the commands of the task file, before its gate."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from orchestrator.attempt.checks import run_lines
from orchestrator.attempt.environment import attempt_belongings
from orchestrator.errors import WorkspaceError
from orchestrator.git.replacing import replace_blobs, write_blob
from orchestrator.git.shield import Shield
from orchestrator.git.worktrees import remove_tree
from orchestrator.landing.checkout import check_out
from orchestrator.landing.gate import Ground, attempt_rules, failure_of, gate_place, log_folder
from orchestrator.landing.manifests import Regeneration
from orchestrator.landing.plan import LandingError, Tip
from orchestrator.workspaces.pool import in_pool
from orchestrator.workspaces.worktree import INTEGRATION, integration_branch

_LARGEST = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Regenerated:
    """The tree with new lock files; or why there is none."""

    tree: str | None
    reason: str | None = None


async def regenerate(ground: Ground, shield: Shield, tip: Tip) -> Regenerated:
    """Run the commands for what is stale in the tip, each in its file's folder; take these files only.

    What else the commands leave in the checkout goes with it. Raises LandingError when a stop is asked for.
    """
    directory = await in_pool(ground.pool, partial(log_folder, ground.folder / "landing", "lock-files"))
    spec = attempt_rules(ground, directory, None)
    checkout = ground.place / INTEGRATION
    async with attempt_belongings(spec, ground.environment, ground.pool, ground.mask) as belongings:
        try:
            await in_pool(ground.pool, partial(_check_out, ground, shield, tip, checkout))
            with gate_place(ground, shield, belongings, checkout) as place:
                checks = await run_lines(
                    [_line(stale) for stale in tip.stale],
                    place,
                    log_path=directory / "lock-files.log",
                    log_limit=ground.config.log_limit,
                    limit_s=ground.config.setup_timeout,
                )
            if ground.stop.asked:
                raise LandingError(
                    "it was stopped while lock files were made anew",
                    hint="`orchestrator land` goes on with it",
                )
            if any(check.exit_code != 0 for check in checks):
                return Regenerated(None, failure_of("lock file", checks))
            return await in_pool(ground.pool, partial(_with_files, shield, tip, checkout))
        finally:
            await in_pool(ground.pool, partial(remove_tree, checkout))


def _line(stale: Regeneration) -> str:
    if stale.folder == ".":
        return stale.command
    return f"cd {shlex.quote(stale.folder)} && {{ {stale.command}\n}}"


def _check_out(ground: Ground, shield: Shield, tip: Tip, checkout: Path) -> None:
    check_out(
        ground.repo,
        shield,
        tip.commit,
        checkout,
        branch=integration_branch(ground.run_id),
        copy_files=ground.config.copy_files,
    )


def _with_files(shield: Shield, tip: Tip, checkout: Path) -> Regenerated:
    blobs = {}
    for stale in tip.stale:
        try:
            blobs[stale.path] = write_blob(shield, _content(checkout, stale.path))
        except (OSError, WorkspaceError) as err:
            return Regenerated(None, f"`{stale.command}` left no {stale.path}: {err}")
    return Regenerated(replace_blobs(shield, tip.tree, blobs))


def _content(checkout: Path, path: str) -> bytes:
    """Read a file that commands of others left there; no link may lead us out of the checkout."""
    place = checkout / path
    if place.parent.resolve() != (checkout.resolve() / path).parent:
        raise WorkspaceError("its folder is a link")
    with os.fdopen(os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise WorkspaceError("it is no file")
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise WorkspaceError("it is larger than 256 MiB")
    return content


def stale_paths(stale: Sequence[Regeneration]) -> str:
    """Name the files, for a commit's message."""
    return ", ".join(each.path for each in stale)
