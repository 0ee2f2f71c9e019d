"""Shows a run's conflicts as they are now, computed anew from its commits and its live workspaces."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator import config
from orchestrator.cli.footer import Footer
from orchestrator.cli.live import is_terminal, terminal_size
from orchestrator.cli.output import say_warning, write, write_json, write_through
from orchestrator.errors import InputError, JournalError
from orchestrator.git.repository import Repository, open_repository
from orchestrator.journal.runs import is_live
from orchestrator.journal.state import RunState, load_state
from orchestrator.journal.stored_plan import load_plan
from orchestrator.landing.hints import find_hints, parser_fault
from orchestrator.landing.live import LiveView, Look, present_target
from orchestrator.landing.manifests import MergeRules, rules_of
from orchestrator.report.conflict_text import (
    file_lines,
    head_line,
    hint_lines,
    matrix_lines,
    order_lines,
    target_lines,
)
from orchestrator.report.words import one_line

#: Seconds between two looks of `--watch`, at least; a look takes at most a tenth of the time.
_PAUSE_S = 2.0
_WIDTH = 80


def show(folder: Path, *, as_json: bool) -> None:
    """Show them once."""
    with _opened(folder) as (state, repo, view):
        document = _document(state, repo, _look(state, repo, view), view)
        if as_json:
            write_json(document)
            return
        if fault := parser_fault():
            say_warning(fault)
        for line in _lines(document, _columns()):
            write(line)


def watch_run(folder: Path, *, as_json: bool) -> None:
    """Show them again whenever they change, until the run ends; on a terminal always in the same place."""
    terminal = not as_json and is_terminal(sys.stdout)
    footer = Footer(partial(write_through, sys.stdout))
    shown: list[str] = []
    with _opened(folder) as (begun, repo, view):
        state = begun
        while True:
            live = is_live(folder)  # asked first: what the run wrote before it ended is then read as well
            began = time.monotonic()
            document = _document(state, repo, _look(state, repo, view), view)
            lines = _lines(document, _columns())
            if lines != shown:
                if as_json:
                    write_json(document)
                elif terminal:
                    footer.draw(_fitting(lines), _columns(), ())
                else:
                    write_through(sys.stdout, "\n".join([*([""] if shown else []), *lines]) + "\n")
                shown = lines
            if not live:
                return
            time.sleep(max(_PAUSE_S, 10 * (time.monotonic() - began)))
            state = load_state(folder)


@contextmanager
def _opened(folder: Path) -> Iterator[tuple[RunState, Repository, LiveView]]:
    state = load_state(folder)
    if not state.base_commit:
        raise InputError(
            f"the run {state.run_id} is over no repository, so it has no branches",
            hint="`orchestrator list` shows other runs",
        )
    repo = open_repository(Path(state.repo), warn=False)
    with tempfile.TemporaryDirectory(prefix="orchestrator-conflicts-") as scratch:
        yield (
            state,
            repo,
            LiveView(
                repo,
                base=state.base_commit,
                directory=config.workspaces_dir() / state.run_id,
                scratch=Path(scratch),
                needs={worker.id: worker.needs for worker in state.workers.values()},
                rules=_rules(folder),
            ),
        )


def _rules(folder: Path) -> MergeRules | None:
    """What landing merges by itself; a run of an older version has kept no plan."""
    try:
        return rules_of(load_plan(folder).config)
    except JournalError:
        return None


def _look(state: RunState, repo: Repository, view: LiveView) -> Look:
    results = [worker.result for worker in state.tasks if worker.result]
    finished = {
        result.worker_id: result.commit for result in results if result.commit and result.files_changed
    }
    running = [worker.id for worker in state.tasks if not worker.result and worker.attempts]
    return view.look(finished, running, present_target(repo, state.base_ref))


def _document(state: RunState, repo: Repository, look: Look, view: LiveView) -> dict[str, Any]:
    shield, base = view.snapshots.shield, state.base_commit or ""
    hints = find_hints(shield, base, look.commits)
    return {
        "schema": 1,
        "run_id": state.run_id,
        "repo": str(repo.root),
        "base_ref": state.base_ref,
        "base_commit": state.base_commit,
        "workers": [
            {
                "worker_id": worker,
                "commit": look.commits.get(worker),
                "live": worker in look.live,
                "gone": worker in look.gone,
                "left_out": list(look.left_out.get(worker, ())),
            }
            for worker in (task.id for task in state.tasks)
        ],
        **look.conflicts.to_json(),
        "hints": [hint.to_json() for hint in hints],
    }


def _lines(document: dict[str, Any], columns: int) -> list[str]:
    width = columns - 1
    order = [worker["worker_id"] for worker in document["workers"]]
    compared = [worker for worker in document["workers"] if worker["commit"]]
    live = sum(worker["live"] for worker in compared)
    head = f"Run {one_line(document['run_id'])}: {len(compared)} of {len(order)} workers have changes"
    lines = [head + (f", {live} of them by a snapshot of this moment" if live else "")]
    parts: list[Sequence[str]] = [
        [head_line(document)],
        matrix_lines(document, order, width),
        file_lines(document["pairs"], order, width),
        target_lines(document, order, width),
        hint_lines(document["hints"], width),
        ["Order:", *order_lines(document, width)] if document["pairs"] else [],
        _notes(document, width),
    ]
    for part in parts:
        if part:
            lines += ["", *part]
    return lines


def _notes(document: dict[str, Any], width: int) -> list[str]:
    notes = []
    for worker in document["workers"]:
        name = one_line(worker["worker_id"])
        if worker["gone"]:
            notes.append(f"{name}: its commit is not in the repository any more, so it is left out")
        if worker["left_out"]:
            files = one_line(", ".join(worker["left_out"]))
            notes.append(f"{name}: its snapshot lacks {files} (too large, or not readable)"[:width])
    return notes


def _fitting(lines: list[str]) -> list[str]:
    rows = terminal_size(sys.stdout)[1]
    return lines if len(lines) < rows else [*lines[: rows - 2], "… `orchestrator conflicts` shows all"]


def _columns() -> int:
    return terminal_size(sys.stdout)[0] if sys.stdout.isatty() else _WIDTH
