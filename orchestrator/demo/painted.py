"""How the demo agent shows itself on a terminal: banner, colours, spinner, dialogs."""

from __future__ import annotations

import os
import termios
import time
import tty

from orchestrator.demo.face import NO, YES, Lines, printable, sleep_until, width

#: True for type checkers only. `typing` costs a fifth of the start-up.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_POINTER = "\u276f"
_FRAMES = "\u280b\u2819\u2839\u2838\u283c\u2834\u2826\u2827\u2807\u280f"
_FRAME_S = 0.12
_PREVIEW_ROWS = 6
_UP, _DOWN = (b"\x1b[A", b"\x1bOA"), (b"\x1b[B", b"\x1bOB")


class Painted(Lines):
    """The face on a terminal."""

    def __init__(self) -> None:
        self._saved = termios.tcgetattr(0)
        self._cols = max(os.get_terminal_size(0).columns, 40)
        tty.setcbreak(0)

    def close(self) -> None:
        """Give the terminal back as it was."""
        self._title("\u2733")
        termios.tcsetattr(0, termios.TCSADRAIN, self._saved)

    def _title(self, sign: str) -> None:
        self.write(f"\x1b]0;{sign} demo agent\x07")

    def banner(self, rows: Sequence[str], prompt: str) -> None:
        """Draw a box, and the prompt below it."""
        inner = min(self._cols, 80) - 4
        box = [row + " " * (inner - width(row)) for row in (row[:inner] for row in rows)]
        edge = "\u2500" * (inner + 2)
        body = "".join(f"\x1b[36m\u2502\x1b[0m {row} \x1b[36m\u2502\x1b[0m\n" for row in box)
        self.write(f"\x1b[36m\u256d{edge}\u256e\x1b[0m\n{body}\x1b[36m\u2570{edge}\u256f\x1b[0m\n\n")
        self.write(f"\x1b[2m{_POINTER} {prompt}\x1b[0m\n\n")

    def say(self, text: str) -> None:
        """Show a message of the agent."""
        self.write(f"\x1b[1m\u23fa\x1b[0m {text}\n")

    def note(self, text: str) -> None:
        """Show what came of an action."""
        self.write(f"  \x1b[2m\u23bf  {text}\x1b[0m\n")

    def work(self, seconds: float, lines: Sequence[str]) -> None:
        """Turn the spinner, repainting it in place, and show the lines above it."""
        started, shown, frame = time.monotonic(), 0, 0
        self._title("\u25d0")
        while (gone := time.monotonic() - started) < seconds:
            while shown < len(lines) and gone >= seconds * shown / len(lines):
                self.write(f"\r\x1b[J  \x1b[3m{lines[shown]}\x1b[0m\n")
                shown += 1
            spin = f"\x1b[35m{_FRAMES[frame % len(_FRAMES)]} Thinking\u2026\x1b[0m"
            self.write(f"\r\x1b[J{spin} ({gone:.0f}s)\n  \x1b[2mesc to interrupt\x1b[0m\x1b[1A\r")
            frame += 1
            sleep_until(min(time.monotonic() + _FRAME_S, started + seconds))
        self.write("\r\x1b[J" + "".join(f"  {line}\n" for line in lines[shown:]))

    def ask(self, title: str, preview: Sequence[str], question: str, number: int) -> bool:
        """Draw the dialog of the real ones, its words placed by cursor moves; wait for a key."""
        rows = self._above(title, preview)
        words = question if width(question) >= self._cols - 1 else question.replace(" ", "\x1b[C")
        footer = f" \x1b[2mEsc to cancel \u00b7 question {number}\x1b[0m"
        height = len(rows) + 1 + (width(question) // self._cols)
        return (
            self._choose([*rows, f"\x1b[C\x1b[1m{words}\x1b[0m"], height, [f"1. {YES}", f"2. {NO}"], footer)
            == 0
        )

    def _above(self, title: str, preview: Sequence[str]) -> list[str]:
        rule, dashes = "\u2500" * (self._cols - 1), "\u254c" * (self._cols - 1)
        shown = [f"  {printable(line)}"[: self._cols // 2] for line in preview[:_PREVIEW_ROWS]]
        return [f"\x1b[36m{rule}\x1b[0m", f" \x1b[1m{title}\x1b[0m", dashes, *shown, dashes]

    def ask_unknown(self, question: str, options: Sequence[str]) -> int | None:
        """Draw a dialog of another make: no numbers, no known words."""
        return self._choose([f" {question}", ""], 2, list(options), " Enter to confirm")

    def _choose(self, above: list[str], height: int, options: list[str], footer: str) -> int | None:
        termios.tcflush(0, termios.TCIFLUSH)  # what was typed before the question is not its answer
        self._title("\u2733")
        self.write("\r\x1b[J" + "\n".join(above) + "\n" + _options(options, 0, footer))
        chosen = self._key(options, footer)
        self.write(f"\x1b[{height}A\r\x1b[J")
        return chosen

    def _key(self, options: list[str], footer: str) -> int | None:
        """Wait for a digit, y, n, Enter, Esc or the arrows. The cursor stays at the first option's row."""
        at = 0
        while True:
            keys = os.read(0, 64)
            if keys in {b"", b"\x1b", b"n", b"N"}:
                return None
            if keys in _UP or keys in _DOWN:
                at = (at + (1 if keys in _DOWN else -1)) % len(options)
                self.write("\r\x1b[J" + _options(options, at, footer))
            elif keys[:1] in {b"\r", b"\n"}:
                return at
            elif keys[:1] in {b"y", b"Y"}:
                return 0
            elif keys[:1].isdigit() and 1 <= int(keys[:1]) <= len(options):
                return int(keys[:1]) - 1

    def line(self, prompt: str) -> str:
        """Wait for a typed line, echoing it."""
        self.write(f"{prompt}\n{_POINTER} ")
        typed = b""
        while not typed.endswith((b"\r", b"\n")):
            got = os.read(0, 1)
            if not got:
                break
            typed += got
            self.write(got.decode("ascii", "replace"))
        return typed.decode("utf-8", "replace").rstrip("\r\n")


def _options(options: list[str], at: int, footer: str) -> str:
    """The option rows and the footer; the cursor ends on the first option."""
    rows = [f" {_POINTER if number == at else ' '} {option}" for number, option in enumerate(options)]
    return "\n".join([*rows, "", footer]) + f"\x1b[{len(options) + 1}A\r\x1b[C"
