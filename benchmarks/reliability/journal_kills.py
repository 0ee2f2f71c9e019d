"""Kills the journal's writer at random instants: no event that it had acknowledged may be missing."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from orchestrator.journal.store import read_events

_ROOT = Path(__file__).resolve().parents[2]
_WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from orchestrator.journal.store import Journal
from orchestrator.model.event import Event, EventKind

def message(text):
    return Event(kind=EventKind.AGENT_MESSAGE, at=datetime.now(UTC), worker_id="w", data={"text": text})

journal = Journal.create(Path(sys.argv[1]))
number = 0
while True:
    for _ in range(20):
        number += 1
        journal.append(message(str(number)))
    number += 1
    print(journal.append_durable(message(str(number))).result(), flush=True)
"""


def kill_writers(folder: Path, *, kills: int, rng: random.Random) -> dict[str, Any]:
    """Start a writer, kill it, read what it left; as often as asked."""
    acknowledged_in_all, lost, faults = 0, 0, []
    for number in range(kills):
        path = folder / f"{number}.db"
        acknowledged = _kill_one(path, rng.uniform(0.0, 0.4))
        numbers = [event.seq for event in read_events(path)]
        with closing(sqlite3.connect(path)) as connection:
            said = connection.execute("PRAGMA integrity_check").fetchone()[0]
        if said != "ok" or numbers != list(range(1, len(numbers) + 1)):
            faults.append(f"{number}: {said}")
        acknowledged_in_all += acknowledged
        lost += max(0, acknowledged - len(numbers))
    return {"kills": kills, "acknowledged": acknowledged_in_all, "lost": lost, "journal_faults": faults}


def _kill_one(path: Path, after_s: float) -> int:
    """Return the number of the last event that was acknowledged."""
    with subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
    ) as writer:
        assert writer.stdout
        lines = [writer.stdout.readline()]
        time.sleep(after_s)  # any instant will do
        writer.kill()
        lines += writer.stdout.readlines()
    return int([line for line in lines if line.endswith("\n")][-1])
