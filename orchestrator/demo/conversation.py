"""The demo agent's turn: takes the steps of its script, and sums up at the end."""

# pathlib would cost a fifth of the start-up.
# ruff: noqa: PTH103, PTH109, PTH110, PTH120, PTH123
from __future__ import annotations

import os
import sys
import time

from orchestrator.demo import faults
from orchestrator.demo.face import Lines, printable
from orchestrator.demo.script import ScriptError, read

#: True for type checkers only. `typing` costs a fifth of the start-up.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_GIT = ("git", "-c", "user.name=demo agent", "-c", "user.email=demo@localhost", "-c", "commit.gpgsign=false")
#: A question about a subject up to this long stays on one row.
_ONE_ROW = 40


def converse(arguments: list[str], program: str) -> int:
    """Run the whole turn; return the exit status."""
    try:
        prompt, steps = read(arguments)
    except (ScriptError, OSError, UnicodeDecodeError) as err:
        sys.stderr.write(f"demo agent: {err}\n")
        return 2
    face = _face()
    turn = Turn(face, prompt, os.path.dirname(program))
    try:
        turn.take(steps)
    except KeyboardInterrupt:
        face.write("\nInterrupted.\n")
        return 130
    except (ScriptError, OSError) as err:
        face.write(f"\nerror: {err}\n")
        return 1
    finally:
        face.close()
    return 0


def _face() -> Lines:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return Lines()
    from orchestrator.demo.painted import Painted  # noqa: PLC0415 (there are no terminals everywhere)

    return Painted()


class Turn:
    """One turn of the demo agent."""

    def __init__(self, face: Lines, prompt: str, home: str) -> None:
        self._face = face
        self._prompt = prompt
        self._home = home
        self._started = time.monotonic()
        self._session = _session_id()
        self._written: list[str] = []
        self._refused: list[str] = []
        self._waits: list[float] = []
        self._usage: dict[str, Any] = {}
        self._final: str | None = None
        self._kept: list[object] = []
        self._steps: dict[str, Callable[[Any], object]] = {
            "say": self._say,
            "work": self._work,
            "write": self._write,
            "write_outside": self._write,
            "ask": self._ask_shell,
            "commit": self._commit,
            "expect": self._expect,
            "ask_unknown": self._ask_unknown,
            "usage": self._usage.update,
            "slow_start": time.sleep,
            "no_output": self._mute,
            "memory": lambda megabytes: self._kept.append(faults.take_memory(megabytes)),
            **faults.STEPS,
        }

    def take(self, steps: list[tuple[str, Any]]) -> None:
        """Show the banner, take every step, and sum up. Leading silent steps come before the banner."""
        unknown = sorted({name for name, _ in steps} - set(self._steps))
        if unknown:
            raise ScriptError(f"unknown step `{unknown[0]}`; known: {', '.join(sorted(self._steps))}")
        shown = False
        for name, value in steps:
            if not shown and name not in {"slow_start", "no_output"}:
                shown = self._banner()
            self._steps[name](value)
            if name != "say":
                self._final = None
        self._sum_up()

    def _banner(self) -> bool:
        first = printable(self._prompt.strip().split("\n")[0])[:100]
        self._face.banner(["\u273b Demo agent", printable(os.getcwd()), f"session {self._session}"], first)
        return True

    def _say(self, text: str) -> None:
        self._final = text
        self._face.say(text)

    def _work(self, value: Any) -> None:
        seconds, lines = (
            (value["seconds"], value.get("lines", [])) if isinstance(value, dict) else (value, [])
        )
        self._face.work(float(seconds), lines)

    def _mute(self, _: Any) -> None:
        self._face.muted = True

    def _write(self, value: dict[str, Any]) -> None:
        path, text = str(value["path"]), self._text(value)
        verb = "overwrite" if os.path.exists(path) else "create"
        if value.get("ask", True) and not self._asked(verb, path, text.split("\n")):
            return
        folder = os.path.dirname(path)
        if folder:
            os.makedirs(folder, exist_ok=True)
        with open(path, "w", encoding="utf-8", errors="surrogatepass") as file:
            file.write(text)
        self._written.append(path)
        self._face.say(f"Write({printable(path)})")
        self._face.note(f"Wrote {len(text.splitlines())} lines")

    def _text(self, value: dict[str, Any]) -> str:
        if "copy" not in value:
            return str(value.get("text", ""))
        with open(f"{self._home}/{value['copy']}", encoding="utf-8") as file:
            return file.read()

    def _asked(self, verb: str, subject: str, preview: list[str]) -> bool:
        """Ask, keep the time the answer took, and remember a refusal."""
        # Where a row wraps, the reader must be able to count its cells.
        shown = printable(subject, ascii_only=len(subject) > _ONE_ROW)
        title = "Run command" if verb == "run" else f"{verb.capitalize()} file"
        began = time.monotonic()
        number = len(self._waits) + 1
        allowed = self._face.ask(title, preview, f"Do you want to {verb} {shown}?", number)
        self._waits.append(time.monotonic() - began)
        if not allowed:
            self._refused.append(f"{verb} {shown}")
            self._face.note(f"Refused: {verb} {shown}")
        return allowed

    def _ask_shell(self, command: str) -> None:
        if self._asked("run", command, command.split("\n")):
            self._face.say(f"Shell({printable(command)})")
            self._face.note(f"exit status {_run(['/bin/sh', '-c', command])}")

    def _commit(self, message: str) -> None:
        paths = ["--", *self._written]
        if not self._written:
            self._face.note("Nothing to commit")
        elif _run([*_GIT, "add", *paths], quiet=True) or _run(
            [*_GIT, "commit", "-qm", message, *paths], quiet=True
        ):
            self._face.note("Not committed: git refused, or this is not a git work tree")
        else:
            self._face.note(f"Committed: {message}")

    def _expect(self, wanted: str) -> None:
        typed = self._face.line("Waiting for your input:")
        if typed != wanted:
            raise ScriptError(f"expected the line {wanted!r}, got {typed!r}")

    def _ask_unknown(self, value: Any) -> None:
        spec = (
            value if isinstance(value, dict) else {"question": value or "How shall the frobnicator be set?"}
        )
        options = spec.get("options", ["Leave it", "Turn it up"])
        chosen = self._face.ask_unknown(spec["question"], options)
        self._face.note("Dismissed" if chosen is None else f"Chosen: {options[chosen]}")

    def _sum_up(self) -> None:
        if self._refused:
            self._face.say(f"I could not finish. Refused: {'; '.join(self._refused)}.")
        elif self._final is None:
            files = ", ".join(map(printable, self._written))
            self._face.say(f"Done. Wrote {files}." if files else "Done.")
        self._face.write(
            f"\n\u273b {self._figures()}\n  session {self._session} \u00b7 {self._told_usage()}\n"
        )

    def _figures(self) -> str:
        waits = sorted(self._waits)
        asked = f", {waits[len(waits) // 2] * 1000:.2f} ms to an answer" if waits else ""
        worked = time.monotonic() - self._started
        written = len(self._written)
        return f"Worked for {worked:.1f}s \u00b7 {len(waits)} questions{asked} \u00b7 {written} files written"

    def _told_usage(self) -> str:
        tokens_in = int(self._usage.get("input_tokens", 100 + len(self._prompt) // 4))
        tokens_out = int(self._usage.get("output_tokens", 20 + 50 * len(self._written)))
        cost = float(self._usage.get("cost_usd", (tokens_in * 3 + tokens_out * 15) / 1_000_000))
        return f"{tokens_in} input tokens \u00b7 {tokens_out} output tokens \u00b7 ${cost:.6f}"


def _session_id() -> str:
    digits = os.urandom(16).hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _run(argv: list[str], *, quiet: bool = False) -> int:
    """Run a program to its end and return its status; `quiet` drops what it writes."""
    silence = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2) if quiet]
    try:
        pid = os.posix_spawnp(argv[0], argv, os.environ, file_actions=silence)
    except FileNotFoundError:
        return 127
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
