"""`orchestrator undo`: brings back what was in a workspace when it was taken away."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.options import json_option, repo_option
from orchestrator.cli.output import paint, table, write, write_json

if TYPE_CHECKING:
    from orchestrator.workspaces.salvaged import Kept


@click.command()
@click.argument("run", required=False, metavar="[RUN]")
@click.argument("worker", required=False, metavar="[WORKER]")
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Into a new folder, a git worktree, with what was staged and untracked as it was.",
)
@click.option(
    "--branch", metavar="NAME", help="The new branch; orchestrator/RUN/WORKER-restored unless given."
)
@repo_option
@json_option
def command(
    run: str | None,
    worker: str | None,
    *,
    folder: Path | None,
    branch: str | None,
    repo: Path | None,
    as_json: bool,
) -> None:
    """Bring back what was in a workspace when it was taken away.

    Without RUN, lists what was salvaged: the files of workspaces that no branch holds. With RUN (its id or
    the beginning of it) and WORKER, or one of its attempts such as login@2, puts them on a new branch.
    Never overwrites a branch or a folder, and what was salvaged stays where it is.

    \b
    Example:
      orchestrator undo
      orchestrator undo 20261123-193005-x7k2 login
      orchestrator undo 20261123 login@2 --to ../login-again
    """
    from orchestrator.git.repository import open_repository
    from orchestrator.workspaces.salvaged import find_kept, list_kept

    opened = open_repository(repo or Path())
    if run is None:
        if folder or branch:
            raise click.UsageError("--to and --branch need RUN and WORKER", click.get_current_context())
        _list(list_kept(opened), as_json=as_json)
        return
    kept = find_kept(opened, run, worker)
    _restore(opened, kept, folder, branch or kept.branch, as_json=as_json)


def _restore(opened: Any, kept: Kept, folder: Path | None, branch: str, *, as_json: bool) -> None:
    from orchestrator.config import OrchestratorConfig
    from orchestrator.workspaces.salvaged import restore_to_branch, restore_to_folder

    if folder is None:
        commit = restore_to_branch(opened, kept, branch, author=OrchestratorConfig.default().author)
    else:
        commit = kept.base
        restore_to_folder(opened, kept, folder, branch)
    if as_json:
        place = str(folder.absolute()) if folder else None
        write_json({**_entry(kept), "restored": {"branch": branch, "commit": commit, "folder": place}})
    elif folder is None:
        write(f"restored {kept.name} on the branch {branch}; files: {kept.files}")
    else:
        write(f"restored {kept.name} in {folder}, a worktree on the branch {branch}; files: {kept.files}")


def _list(every: list[Kept], *, as_json: bool) -> None:
    from orchestrator.report.words import one_line, size

    if as_json:
        write_json([_entry(kept) for kept in every])
        return
    if not every:
        write("nothing was salvaged here: branches hold all that workers left")
        return
    rows = [
        (
            kept.run_id,
            one_line(kept.name),
            f"{kept.at:%Y-%m-%d %H:%M}",
            str(kept.files),
            str(kept.staged),
            str(kept.untracked),
            size(kept.size),
        )
        for kept in every
    ]
    header, *lines = table([("RUN", "WORKER", "SALVAGED", "FILES", "STAGED", "UNTRACKED", "SIZE"), *rows])
    write(paint(header, "bold"))
    for line in lines:
        write(line)
    write("\n`orchestrator undo RUN WORKER` puts one on a new branch, `--to DIR` into a new folder")


def _entry(kept: Kept) -> dict[str, Any]:
    return {
        "run_id": kept.run_id,
        "worker_id": kept.worker_id,
        "name": kept.name,
        "salvaged_at": kept.at.isoformat(),
        "files": kept.files,
        "staged": kept.staged,
        "untracked": kept.untracked,
        "bytes": kept.size,
        "ref": kept.ref,
        "commit": kept.commit,
        "base": kept.base,
    }
