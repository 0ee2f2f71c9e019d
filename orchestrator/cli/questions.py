"""Questions in the terminal of a foreground run: shows one at a time and takes a key for it."""

from __future__ import annotations

import asyncio
import getpass
import os
import signal
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, TextIO

from orchestrator.cli.question_text import OpenQuestion, exact, open_questions, request_lines
from orchestrator.core.approvals import Answer, Approvals
from orchestrator.journal.state import RunState
from orchestrator.model.request import Verdict
from orchestrator.report.words import duration

#: A key that comes sooner after a question appeared may be meant for the one before it.
GUARD_S = 0.2
#: Digits typed within this time belong to one number.
_DIGITS_S = 1.5
_KEYS = {b"a": (Verdict.ALLOW, False), b"A": (Verdict.ALLOW, True), b"d": (Verdict.DENY, False)}
_ANSWERS = "[a] allow once  [A] allow for this run  [d] deny"


class Prompt:
    """The person at the terminal. Drawn in the thread of the progress; keys come in the run's loop."""

    def __init__(self, approvals: Approvals, stdin: TextIO = sys.stdin) -> None:
        self._approvals, self._stdin = approvals, stdin
        self._chosen: int | None = None
        self._drawn: tuple[int, bool] | None = None  # the question drawn last, and whether it was whole
        self._shown: tuple[OpenQuestion, float] | None = None  # what keys answer, and since when
        self._digits, self._digits_at = "", 0.0
        self._saved: list[Any] | None = None  # the terminal's settings while keys are taken
        self._listens = self._takes_keys = False

    # -- drawn by the progress -------------------------------------------------------------------

    def panel(self, state: RunState, columns: int, rows: int) -> list[str]:
        """The question that a key would answer now, in at most half of the screen."""
        questions = open_questions(state)
        if not questions:
            self._drawn = self._shown = None
            return []
        question = next((one for one in questions if one.number == self._chosen), questions[0])
        body = [piece for line in request_lines(question.entry.request) for piece in _cut(line, columns - 5)]
        room = max(1, rows // 2 - 3)
        whole = len(body) <= room
        self._note(question, whole)
        return [
            _clip(self._head(question, len(questions) - 1), columns),
            *(f"    {line}" for line in body[:room]),
            _clip(f"    {self._keys(state.run_id, question, whole=whole, more=len(questions) > 1)}", columns),
        ]

    def _note(self, question: OpenQuestion, whole: bool) -> None:
        """Keys answer what was seen: that it is drawn again says that it reached the screen before."""
        if self._drawn != (question.number, whole):
            self._drawn, self._shown = (question.number, whole), None
        elif self._shown is None:
            self._shown = (question, time.monotonic())

    def _head(self, question: OpenQuestion, others: int) -> str:
        more = f", {others} more wait" if others else ""
        left = duration(question.seconds_left(datetime.now(UTC)))
        tool = question.entry.request.get("tool")
        return f"? {question.number}: {exact(question.worker.id)} asks: {tool} (no in {left}{more})"

    def _keys(self, run_id: str, question: OpenQuestion, *, whole: bool, more: bool) -> str:
        elsewhere = f"orchestrator answer {run_id} {question.number}"
        if not self._takes_keys:
            return elsewhere
        keys = _ANSWERS if whole else f"[d] deny  shown in part; all of it: {elsewhere}"
        return f"{keys}  [number] another" if more else keys

    # -- keys, in the run's loop -----------------------------------------------------------------

    @contextmanager
    def taking_keys(self) -> Iterator[None]:
        """Take keys while questions are open; the terminal is as it was at the end, whatever happens."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGCONT, self._continue)
        self._listens = True
        try:
            yield
        finally:
            self._listens = False
            loop.remove_signal_handler(signal.SIGCONT)
            self._leave()

    def settle(self) -> None:
        """Take keys exactly as long as a question is open and the terminal is ours."""
        if not self._listens:
            return
        wanted = bool(self._approvals.open) and self._in_foreground()
        if wanted and not self._takes_keys:
            self._enter()
        elif not wanted and self._takes_keys:
            self._leave()

    def _in_foreground(self) -> bool:
        """Reading or changing the terminal from the background would stop the whole run."""
        try:
            return os.tcgetpgrp(self._stdin.fileno()) == os.getpgrp()
        except OSError:
            return False  # it hung up

    def _enter(self) -> None:
        fd = self._stdin.fileno()
        self._saved = termios.tcgetattr(fd)
        settings = termios.tcgetattr(fd)
        settings[3] &= ~(termios.ICANON | termios.ECHO)  # Ctrl-C and Ctrl-Z keep their meaning
        settings[6][termios.VMIN], settings[6][termios.VTIME] = 1, 0
        termios.tcsetattr(fd, termios.TCSANOW, settings)
        termios.tcflush(fd, termios.TCIFLUSH)  # what was typed before was not meant for this
        asyncio.get_running_loop().add_reader(fd, self._read)
        self._takes_keys = True

    def _leave(self) -> None:
        if not self._takes_keys:
            return
        self._takes_keys = False
        asyncio.get_running_loop().remove_reader(self._stdin.fileno())
        if self._in_foreground() and self._saved:
            with suppress(termios.error):  # it hung up in between
                termios.tcsetattr(self._stdin.fileno(), termios.TCSANOW, self._saved)

    def _continue(self) -> None:
        """After Ctrl-Z and `fg` the shell has set the terminal up anew."""
        self._leave()
        self.settle()

    def _read(self) -> None:
        if not self._in_foreground():
            self._leave()
            return
        try:
            typed = os.read(self._stdin.fileno(), 64)
        except OSError:
            typed = b""
        if not typed:
            self._leave()  # it hung up
        if len(typed) == 1:  # more at once is pasted, or a key such as an arrow
            self._take(typed)

    def _take(self, key: bytes) -> None:
        now = time.monotonic()
        if key.isdigit():
            recent = now - self._digits_at < _DIGITS_S
            self._digits = ((self._digits if recent else "") + key.decode())[-7:]
            self._digits_at = now
            if int(self._digits) in self._approvals.open:
                self._chosen = int(self._digits)
        elif key in _KEYS and self._shown and now - self._shown[1] >= GUARD_S:
            self._answer(*_KEYS[key])

    def _answer(self, verdict: Verdict, for_run: bool) -> None:
        if self._shown is None:
            return
        question, _ = self._shown
        if verdict is Verdict.ALLOW and self._drawn != (question.number, True):
            return  # nobody allows what they did not see whole
        answer = Answer(
            question=question.number,
            digest=question.asked["digest"],
            verdict=verdict,
            for_run=for_run,
            by=f"{getpass.getuser()} (terminal of the run)",
        )
        self._approvals.answer(answer)  # refused only if it was answered elsewhere in this instant


def _cut(line: str, width: int) -> list[str]:
    """Break a line into pieces of `width` columns, losing nothing."""
    pieces, piece, used = [], "", 0
    for character in line:
        wide = 2 if not character.isascii() else 1  # never too narrow
        if used + wide > max(2, width) and piece:
            pieces.append(piece)
            piece, used = "", 0
        piece += character
        used += wide
    return [*pieces, piece]


def _clip(line: str, columns: int) -> str:
    return line if len(line) < columns else line[: max(0, columns - 2)] + "…"


def has_person(stdin: TextIO, stderr: TextIO) -> bool:
    """Whether somebody sits there who sees questions and can press keys."""
    return stdin.isatty() and stderr.isatty() and os.environ.get("TERM") != "dumb"
