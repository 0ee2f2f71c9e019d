"""A program's page while it runs: drawn as bytes come, looked at when it is still."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from orchestrator.agents.terminal_queries import Queries
from orchestrator.agents.terminal_reader import Asked, View, read_prompt, works
from orchestrator.agents.terminal_signatures import Signature
from orchestrator.sessions.screen import COLS, ROWS, Screen

#: A page that has not changed for so long is drawn to its end.
STILL_S = 0.15
#: A page that never stands still is looked at so often.
_RESTLESS_S = 1.0


class Page:
    """The screen of one program. `reply` sends what the terminal answers to the program's queries."""

    def __init__(
        self, signature: Signature, reply: Callable[[bytes], None], *, rows: int = ROWS, cols: int = COLS
    ) -> None:
        self.signature = signature
        self.screen = Screen(rows, cols)
        self.changed = asyncio.Event()
        self.worked = False  #: whether it was seen working since this was last set to False
        self.answered: Asked | None = None  #: the prompt that was answered, as long as it is still shown
        self._queries = Queries(self.screen)
        self._reply = reply
        self._loop = asyncio.get_running_loop()
        self.drawn_at = self._loop.time()

    def receive(self, chunk: bytes) -> None:
        """Draw more of the page."""
        replies = self._queries.feed(chunk)
        if replies:
            self._reply(replies)
        self.drawn_at = self._loop.time()
        view = self.view()
        if works(self.signature, view):
            self.worked = True
            self.went_on(read_prompt(self.signature, view))
        self.changed.set()

    def went_on(self, asked: Asked | None) -> None:
        """Forget the answered prompt once another page is surely there: a page being redrawn is none."""
        if self.answered and not self.answered.same_question(asked):
            self.answered = None

    def view(self) -> View:
        """Return what is shown now."""
        return View(lines=self.screen.lines(), cursor=self.screen.cursor, cols=self.screen.cols)

    def prompt(self) -> Asked | None:
        """Return the known prompt that is shown now."""
        return read_prompt(self.signature, self.view())

    @property
    def still_s(self) -> float:
        """For how long nothing was drawn."""
        return self._loop.time() - self.drawn_at

    async def still(self) -> View:
        """Wait until nothing is being drawn; return what is shown."""
        until = self._loop.time() + _RESTLESS_S
        while (left := min(STILL_S - self.still_s, until - self._loop.time())) > 0:
            await self.news(left)
        return self.view()

    async def until(self, holds: Callable[[View], bool], limit_s: float) -> bool:
        """Wait until the page, standing still, is as wanted; return whether it came to be."""
        end = self._loop.time() + limit_s
        while True:
            if holds(await self.still()):
                return True
            if (left := end - self._loop.time()) <= 0:
                return False
            await self.news(left)

    async def news(self, limit_s: float) -> None:
        """Wait for a change of the page, or until the time is up."""
        self.changed.clear()
        try:
            async with asyncio.timeout(limit_s):
                await self.changed.wait()
        except TimeoutError:
            return
