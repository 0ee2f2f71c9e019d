"""Hands events to a slow reader in a thread of its own: a stalled terminal or disk never holds the loop."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from threading import Event as Flag
from threading import Thread

from orchestrator.model.event import Event

_CLOSE_S = 2.0  #: how long the end waits for a reader that is stalled

#: What a reader gets: events of the run, and texts said to people in between.
Item = Event | str


class Feed:
    """One reader. `consume` gets what has come since its last call, in order."""

    def __init__(
        self, consume: Callable[[Sequence[Item]], None], *, pause_s: float = 0.0, tick_s: float | None = None
    ) -> None:
        """`pause_s`: shortest time between two calls; `tick_s`: call also when nothing came, this often."""
        self.fault: OSError | None = None  #: why the reader can take no more
        self._consume = consume
        self._pause_s = pause_s
        self._tick_s = tick_s
        self._items: deque[Item] = deque()
        self._wake = Flag()
        self._ended = Flag()
        self._thread = Thread(target=self._work, name="orchestrator-feed", daemon=True)
        self._thread.start()

    def push(self, item: Item) -> None:
        """Take one item; returns at once."""
        if self.fault is None:
            self._items.append(item)
            self._wake.set()

    def close(self) -> None:
        """Hand over what is left and end."""
        self._ended.set()
        self._wake.set()
        self._thread.join(_CLOSE_S)

    def _work(self) -> None:
        ended = False
        while not ended:
            self._wake.wait(self._tick_s)
            self._wake.clear()
            self._ended.wait(self._pause_s)
            ended = self._ended.is_set()
            items = [self._items.popleft() for _ in range(len(self._items))]
            try:
                self._consume(items)
            except OSError as err:
                self.fault = err
                return
