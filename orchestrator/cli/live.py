"""Shows a run on stderr while it goes: a block of lines on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TextIO

from orchestrator.cli.feed import Feed, Item
from orchestrator.cli.footer import Footer
from orchestrator.cli.output import paint, write_through
from orchestrator.cli.progress import BUSY, block, log_line, question_line
from orchestrator.journal.state import RunState, apply
from orchestrator.journal.worker_state import WorkerState
from orchestrator.model.event import Event
from orchestrator.safe_text import last_line

REDRAW_S = 0.1  #: at most so often
TICK_S = 0.25  #: at least so often, for the clocks
_TAIL_BYTES = 4096
_MOVES = re.compile(rb"\x1b\[[\d;]*[AFHd]")  # the cursor goes up, or to a place
_SPINNER = re.compile("[\u2801-\u28ff]")


#: (state, columns, rows) -> lines below the run, such as a question with its keys.
Panel = Callable[[RunState, int, int], list[str]]


def progress(
    stream: TextIO = sys.stderr,
    *,
    wanted: bool = True,
    panel: Panel | None = None,
    state: RunState | None = None,
) -> Feed:
    """Return the feed that shows a run's events on `stream`, in the way that suits it.

    `state` is how the run stood before the first of these events; it becomes the feed's own.

    When it is not wanted, questions to people are still said, for somebody has to answer them.
    """
    if wanted and is_terminal(stream):
        return Feed(_live(stream, panel, state or RunState()), pause_s=REDRAW_S, tick_s=TICK_S)
    return Feed(_plain(stream, log_line if wanted else question_line, state or RunState()))


def is_terminal(stream: TextIO) -> bool:
    """Whether lines there can be redrawn."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def draw_state(
    footer: Footer, stream: TextIO, state: RunState, above: Sequence[str] = (), panel: Panel | None = None
) -> None:
    """Draw the whole run as it stands now."""
    columns, rows = terminal_size(stream)
    below = panel(state, columns, rows - 1) if panel else []
    lines = block(
        state,
        datetime.now(UTC),
        (columns, max(1, rows - 1 - len(below))),
        last_line=log_tail,
        paint=lambda text, colour: paint(text, colour, stream),
    )
    footer.draw([*lines, *below], columns, above)


def terminal_size(stream: TextIO) -> tuple[int, int]:
    """Columns and rows as they are now; 80 by 24 where the terminal does not know."""
    columns, rows = os.get_terminal_size(stream.fileno())
    return columns or 80, rows or 24


def log_tail(worker: WorkerState, width: int) -> str:
    """What a busy worker wrote last, read from its log only now that somebody looks."""
    if not worker.log_path or worker.phase not in BUSY:
        return ""
    try:
        with Path(worker.log_path).open("rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - _TAIL_BYTES))
            return shown_last(log.read(_TAIL_BYTES), width)
    except FileNotFoundError:
        return ""  # it has written nothing yet


def shown_last(tail: bytes, width: int) -> str:
    """The last line of `tail`; of a program that paints its terminal, the last one above its own footer."""
    if not _MOVES.search(tail):
        return last_line(tail, width)
    from orchestrator.sessions.screen import Screen

    screen = Screen()
    screen.feed(tail)
    lines = [line.strip() for line in screen.lines()[: screen.cursor[0] + 1] if line.strip()]
    said = [line for line in lines if not _SPINNER.match(line)] or lines
    return last_line(said[-1].encode(), width) if said else ""


def _live(stream: TextIO, panel: Panel | None, state: RunState) -> Callable[[Sequence[Item]], None]:
    footer = Footer(partial(write_through, stream))

    def show(items: Sequence[Item]) -> None:
        notes = [item for item in items if isinstance(item, str)]
        for item in items:
            if not isinstance(item, str):
                apply(state, item)
        if state.workers or notes:
            draw_state(footer, stream, state, notes, panel)

    return show


def _plain(
    stream: TextIO, tell: Callable[[Event, RunState], str | None], state: RunState
) -> Callable[[Sequence[Item]], None]:
    def show(items: Sequence[Item]) -> None:
        lines = []
        for item in items:
            if isinstance(item, str):
                lines.append(item)
                continue
            apply(state, item)
            if line := tell(item, state):
                lines.append(line)
        _write_notes(stream, lines)

    return show


def _write_notes(stream: TextIO, items: Sequence[Item]) -> None:
    if lines := [item for item in items if isinstance(item, str)]:
        write_through(stream, "\n".join(lines) + "\n")
