"""Lands a run in the foreground, and says what came of it."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.attempt.stop import StopSignal
from orchestrator.cli.output import say, write, write_json
from orchestrator.cli.progress import log_text
from orchestrator.core.landing import land_again
from orchestrator.journal.state import apply, load_state
from orchestrator.landing.land import Wishes
from orchestrator.landing.plan import LandingResult
from orchestrator.model.event import Event
from orchestrator.report.text import landing_lines
from orchestrator.report.words import duration


def carry_out(
    folder: Path, wishes: Wishes, *, history: str | None, pull_requests: str | None, show_progress: bool
) -> LandingResult:
    """Land the run in `folder`. Ctrl-C ends it after the step it is at; twice at once."""
    state, began = load_state(folder), time.monotonic()

    def hear(event: Event) -> None:
        apply(state, event)
        if show_progress and (line := log_text(event, state)):
            say(f"[{duration(time.monotonic() - began):>7}] {line}")

    async def work() -> LandingResult:
        stop = StopSignal()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, lambda: stop.ask("interrupt", now=stop.asked))
        return await land_again(
            folder, wishes, history=history, pull_requests=pull_requests, on_event=hear, stop=stop
        )

    return asyncio.run(work())


def show(folder: Path, result: LandingResult, *, as_json: bool) -> None:
    """Write what came of it to stdout."""
    state = load_state(folder)
    if as_json:
        write_json({"run_id": state.run_id, "landing": result.to_json(), "gates": _gates(state.gates)})
        return
    for line in landing_lines(result.to_json(), state.gates):
        write(line)
    if result.commit:
        base = (state.base_commit or "")[:12]
        write(f"look      git log --graph --oneline {base}..{result.branch}")
        if not (result.into and result.into.get("moved")):
            write(f"take it   git merge --ff-only {result.branch}")


def _gates(gates: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [dict(gate) for gate in gates]
