"""The agent `demo`: drives the demo program as a real interactive CLI would have to be driven."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

from orchestrator.agents.demo_dialog import POINTER, read_dialog, waits_for_a_person
from orchestrator.model.event import EventKind
from orchestrator.model.outcome import Outcome, ProcessExit
from orchestrator.model.request import PermissionRequest, Verdict
from orchestrator.model.result import Status, Usage
from orchestrator.model.task import Task
from orchestrator.ports import Process, Session
from orchestrator.safe_text import safe_text
from orchestrator.sessions.screen import Screen

_PROGRAM = Path(__file__).resolve().parent.parent / "demo" / "program.py"
_MARK = POINTER.encode()
#: Output that shows no mark is looked at after this long.
_LOOK_S = 1.0
#: A dialog that nobody knows, or that stays after its answer, is given up after this long.
_UNKNOWN_S = 1.0
_STUCK_S = 5.0
#: More output than this between two looks is not drawn: its end repaints the page.
_PENDING_LIMIT, _PENDING_KEPT = 256 * 1024, 64 * 1024
#: The dialog, and little above it.
_PARKED_ROWS = 10
_FINAL_ROWS = 400

_BANNER_SESSION = re.compile(r"\u2502 session ([0-9a-f-]{36}) ")
_SUMMARY = re.compile(
    r"^  session ([0-9a-f-]{36}) \u00b7 (\d+) input tokens \u00b7 (\d+) output tokens \u00b7 \$(\d+\.\d+)$",
    re.MULTILINE,
)


class DemoAgent:
    """Drives the scripted demo program on a terminal."""

    name = "demo"

    def fault(self, task: Task) -> str | None:
        """The demo agent takes any task."""
        del task
        return None

    async def run(self, session: Session) -> Outcome:
        """Carry the task out, answering the dialogs it knows by `session.decide`."""
        page = _Page()
        argv = [sys.executable, "-I", "-S", str(_PROGRAM), "--prompt-file", str(session.prompt_file)]
        for path in session.task.files:
            argv += ["--file", path]
        process = await session.spawn(argv, terminal=True, on_output=page.receive)
        ended = asyncio.ensure_future(process.wait())
        ended.add_done_callback(lambda _: page.changed.set())
        try:
            turn = _Turn(session, process, page)
            if await turn.converse(ended):
                return await turn.park()
            return turn.conclude(await ended)
        finally:
            page.close()
            ended.cancel()


class _Page:
    """The screen, drawn only when there is a reason to look: a mark in the bytes, or some time."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self.screen = Screen()
        self._loop = asyncio.get_running_loop()
        self._pending = bytearray()
        self._watching = False
        self._timer: asyncio.TimerHandle | None = None

    def receive(self, chunk: bytes) -> None:
        """Keep the bytes; ask for a look at once when they could be a dialog, else a while later."""
        start = max(0, len(self._pending) - len(_MARK) + 1)
        self._pending += chunk
        self._watching = self._watching or self._pending.find(_MARK, start) >= 0
        if len(self._pending) > _PENDING_LIMIT:
            del self._pending[:-_PENDING_KEPT]
            self.screen = Screen()
        if self._watching:
            self.changed.set()
        self.look_within(_LOOK_S)

    def look_within(self, delay_s: float) -> None:
        """Ask for a look after `delay_s` at the latest."""
        due = self._loop.time() + delay_s
        if self._timer is None or self._timer.when() > due:
            self.close()
            self._timer = self._loop.call_at(due, self._timed_look)

    def _timed_look(self) -> None:
        self._timer, self._watching = None, False
        self.changed.set()

    def draw(self) -> None:
        """Bring the screen up to date."""
        self.screen.feed(bytes(self._pending))
        self._pending.clear()

    def dialog(self) -> PermissionRequest | None:
        """Return the known dialog that the screen shows now."""
        self.draw()
        dialog = read_dialog(self.screen.lines(), self.screen.cursor, self.screen.cols)
        if dialog:
            self._watching = False
        return dialog

    def close(self) -> None:
        """Ask for no more looks."""
        if self._timer:
            self._timer.cancel()
            self._timer = None


class _Turn:
    """One conversation with the demo program."""

    def __init__(self, session: Session, process: Process, page: _Page) -> None:
        self._session, self._process, self._page = session, process, page
        self._loop = asyncio.get_running_loop()
        self._session_id: str | None = None
        self._answered: PermissionRequest | None = None
        self._unknown: str | None = None
        self._since = 0.0
        self._refused: list[str] = []

    async def converse(self, ended: asyncio.Future[ProcessExit]) -> bool:
        """Answer what is known until the program ends; return whether it must be parked."""
        while not ended.done():
            await self._page.changed.wait()
            self._page.changed.clear()
            if ended.done():
                break
            dialog = self._page.dialog()
            self._learn_session()
            if dialog and dialog != self._answered:
                await self._answer(dialog)
            elif self._overdue(dialog):
                return not ended.done()
        return False

    def _learn_session(self) -> None:
        if self._session_id is None and (found := _BANNER_SESSION.search(self._page.screen.text())):
            self._tell_session(found[1])

    def _tell_session(self, session_id: str) -> None:
        self._session_id = session_id
        self._session.emit(EventKind.AGENT_SESSION, session_id=session_id)

    async def _answer(self, dialog: PermissionRequest) -> None:
        """Have it decided, and answer only if exactly this dialog is still there."""
        decision = await self._session.decide(dialog)
        allowed = decision.verdict is Verdict.ALLOW
        if self._page.dialog() != dialog:
            self._page.changed.set()
            return
        self._answered, self._since = dialog, self._loop.time()
        self._page.look_within(_STUCK_S)
        if not allowed:
            self._refused.append(f"{dialog.tool.value} `{dialog.path or dialog.command}`: {decision.reason}")
        await self._process.write(b"1" if allowed else b"2")

    def _overdue(self, dialog: PermissionRequest | None) -> bool:
        """Whether the program has waited too long at something that cannot be answered."""
        if dialog:
            self._page.look_within(_STUCK_S)
            return self._loop.time() - self._since >= _STUCK_S
        lines, cursor = self._page.screen.lines(), self._page.screen.cursor
        asks = lines[cursor[0]] if waits_for_a_person(lines, cursor) else None
        if asks is None or asks != self._unknown:
            self._unknown, self._since = asks, self._loop.time()
        elif self._loop.time() - self._since >= _UNKNOWN_S:
            return True
        if asks is not None:
            self._page.look_within(_UNKNOWN_S)
        return False

    async def park(self) -> Outcome:
        """Stop the program at its question, and show the question."""
        shown = safe_text(self._page.screen.text())
        end = await self._process.stop()
        rows = "\n".join(shown.split("\n")[-_PARKED_ROWS:])
        return Outcome(
            status=Status.PARKED,
            output=shown,
            error_kind="unknown_prompt",
            error_message=f"the agent asks something that cannot be answered for you:\n{rows}",
            exit=end,
            session_id=self._session_id,
        )

    def conclude(self, end: ProcessExit) -> Outcome:
        """Read the end of the turn: exit status, refusals, final message and figures."""
        final = Screen(rows=_FINAL_ROWS)
        final.feed(self._process.tail())
        text = final.text()
        usage, message = self._usage(text), _final_message(text)
        self._session.emit(EventKind.AGENT_MESSAGE, text=message)
        status, kind, error = Status.SUCCEEDED, None, None
        if end.exit_code != 0:
            status, kind, error = Status.FAILED, "crashed", f"the demo agent {end.describe()}"
        elif self._refused:
            status, kind, error = Status.REJECTED, "permission_denied", f"refused: {'; '.join(self._refused)}"
        return Outcome(
            status=status,
            output=message,
            error_kind=kind,
            error_message=error,
            exit=end,
            session_id=self._session_id,
            usage=usage,
        )

    def _usage(self, text: str) -> Usage:
        found = next(reversed(list(_SUMMARY.finditer(text))), None)
        if found is None:
            return Usage()
        if self._session_id is None:
            self._tell_session(found[1])
        usage = Usage(input_tokens=int(found[2]), output_tokens=int(found[3]), cost_usd=float(found[4]))
        self._session.emit(
            EventKind.AGENT_USAGE,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cost_usd=usage.cost_usd,
        )
        return usage


def _final_message(text: str) -> str:
    """Return the agent's last message, or all that is left of its output when it said none."""
    _, sign, after = ("\n" + text).rpartition("\n\u23fa ")
    return safe_text(after.partition("\n\n\u273b ")[0] if sign else text).strip()
