"""The report of a run whose process was killed: every task is accounted for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from orchestrator.journal.state import load_state
from orchestrator.report.build import build_report
from orchestrator.report.page import render_page
from orchestrator.report.text import render_text

ROOT = Path(__file__).parents[2]
RUN = """
import sys
from pathlib import Path
from orchestrator.journal.runs import RunLock, journal_path
from orchestrator.journal.store import Journal
from tests.unit.report_events import begun, worked
folder = Path(sys.argv[1])
lock = RunLock.acquire(folder)
journal = Journal.create(journal_path(folder))
for event in [begun(["a", "b", "c"]), *worked("a", 0.0, 1.0), *list(worked("b", 0.0, 4.0))[:2]]:
    saved = journal.append_durable(event)
saved.result()
print("saved", flush=True)
sys.stdin.read()
"""


def test_a_killed_run_is_reported_to_the_last_task(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", RUN, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    ) as run:
        assert run.stdout
        assert run.stdout.readline() == b"saved\n"
        going = build_report(load_state(tmp_path))
        assert (going["status"], len(going["results"]), len(going["pending"])) == ("running", 1, 2)
        run.kill()
    state = load_state(tmp_path)
    report = build_report(state)
    assert report["status"] == "died"
    assert [
        (result["worker_id"], result["status"], result["error_kind"]) for result in report["results"]
    ] == [
        ("a", "succeeded", None),
        ("b", "cancelled", "run_died"),
        ("c", "cancelled", "run_died"),
    ]
    assert "the run died before this task did" in render_text(report)
    assert "The process of this run is gone" in render_page(state)
