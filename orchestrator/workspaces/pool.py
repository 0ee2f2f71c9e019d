"""Running blocking git work in a thread pool without ever leaving it behind half-done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

T = TypeVar("T")


async def in_pool(pool: Executor, call: Callable[[], T], *, undo: Callable[[T], object] | None = None) -> T:
    """Run `call` in the pool to its end, also when the awaiting task is cancelled.

    A cancelled task goes on once the call is over, and what it made is handed to `undo`.
    """
    submitted = pool.submit(call)
    try:
        return await asyncio.shield(asyncio.wrap_future(submitted))
    except asyncio.CancelledError:
        if not submitted.cancel():
            await _settle(pool, lambda: _finish(submitted.result, undo))
        raise


def _finish(result: Callable[[], T], undo: Callable[[T], object] | None) -> None:
    made = result()
    if undo is not None:
        undo(made)


async def _settle(pool: Executor, call: Callable[[], None]) -> None:
    """Wait for `call`, whatever is cancelled meanwhile. What it raises has nobody to go to."""
    ending = asyncio.ensure_future(asyncio.wrap_future(pool.submit(call)))
    while not ending.done():
        try:
            await asyncio.wait([ending])
        except asyncio.CancelledError:
            continue  # the caller is being cancelled already
    ending.exception()
