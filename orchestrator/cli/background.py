"""Leaves a run in the background: a process of its own session, that no terminal can take along."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from orchestrator.cli.output import say, write, write_json
from orchestrator.model.event import Event, EventKind

#: Tells the process in the background where to say that its run has started. No agent gets to see it.
_TOLD = "ORCHESTRATOR_BACKGROUND_FD"
LOG = "background.log"
_BEGUN = frozenset({EventKind.RUN_STARTED, EventKind.RUN_RESUMED})

detach_option = click.option(
    "--detach", is_flag=True, help="Leave the run in the background; `orchestrator attach` shows it."
)


def is_in_background() -> bool:
    """Whether this is the process in the background already."""
    return _TOLD in os.environ


def leave_in_background(*, as_json: bool) -> int:
    """Start this very command line once more in the background; return once its run goes, or cannot go.

    Then what it said is said here, and its exit code is returned.
    """
    args: Sequence[str] = click.get_current_context().find_root().obj
    reader, writer = os.pipe()
    with tempfile.TemporaryFile() as said, os.fdopen(reader, "rb") as told:
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator", *args],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
            pass_fds=(writer,),
            env={**os.environ, _TOLD: str(writer)},
        )
        os.close(writer)
        if begun := told.read():
            _show(json.loads(begun), as_json=as_json)
            process.returncode = 0  # it goes on by itself, and nobody waits for it
            return 0
        code = process.wait()
        said.seek(0)
        shutil.copyfileobj(said, sys.stderr.buffer)
        return code if code >= 0 else 1


def announcer(folder: Path) -> Callable[[Event], None]:
    """Return a listener that says once that the run has begun; from then on its log takes the output."""
    writer = int(os.environ.pop(_TOLD))
    os.set_inheritable(writer, False)
    told = False

    def hear(event: Event) -> None:
        nonlocal told
        if told or event.kind not in _BEGUN:
            return
        told = True
        log = _into_log(folder / LOG)
        line = json.dumps({"run_id": folder.name, "pid": os.getpid(), "log": str(log)})
        with os.fdopen(writer, "w") as stream:
            stream.write(line)

    return hear


def _into_log(path: Path) -> Path:
    """Let all that is written go to the log, and what was written so far."""
    sys.stdout.flush()
    sys.stderr.flush()
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    os.write(log, os.pread(2, 1 << 20, 0))
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    os.close(log)
    return path


def _show(begun: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        write_json(begun)
        return
    write(str(begun["run_id"]))
    say(f"it goes on in the background, as process {begun['pid']}; its output: {begun['log']}")
    say(f"`orchestrator attach {begun['run_id']}` shows it, `orchestrator stop {begun['run_id']}` ends it")
