"""The report's document: its form, and its figures."""

from __future__ import annotations

import json

import pytest

from orchestrator.journal.state import fold
from orchestrator.model.event import EventKind, RunStatus
from orchestrator.model.result import Status
from orchestrator.report.build import build_report
from tests.unit.report_events import begun, ended, event, hostile_run, worked

PUBLIC = (
    "schema run_id repo base_commit started_at finished_at status wall_seconds sum_seconds max_seconds "
    "speedup max_overlap counts results conflicts landing"
)
PUBLIC_RESULT = (
    "worker_id name agent status success duration queue_wait attempts exit_code signal started_at "
    "finished_at branch commit files_changed session_id output error_message error_kind verify permissions "
    "usage log_path"
)


def test_two_workers_at_once() -> None:
    events = [begun(["a", "b"]), *worked("b", 0.25, 15.25), *worked("a", 0.5, 18.5), ended(19.5)]
    report = build_report(fold(events))
    assert set(PUBLIC.split()) <= set(report)
    assert report["schema"] == 1
    assert [result["worker_id"] for result in report["results"]] == ["a", "b"]
    for result in report["results"]:
        assert set(PUBLIC_RESULT.split()) <= set(result)
    assert (report["sum_seconds"], report["max_seconds"], report["wall_seconds"]) == (33.0, 18.0, 19.5)
    assert (report["speedup"], report["efficiency"], report["max_overlap"]) == (1.6923, 0.8462, 2)
    assert (report["status"], report["counts"]["succeeded"], report["counts"]["failed"]) == (
        "succeeded",
        2,
        0,
    )
    assert report["started_at"] == "2026-11-23T19:30:05+00:00"
    assert report["conflicts"] == {
        "pairs": [],
        "order": [],
        "conflicting": [],
        "target": None,
        "against_target": [],
        "resolved": [],
        "hints": [],
        "overlaps": [],
        "predictions": {"live": None, "landing": None},
    }
    assert report["landing"] == {"branch": None, "commit": None, "landed": [], "held": []}
    assert report["results"][0]["intervals"] == [
        {"phase": "queued", "start": 0.0, "end": 0.5},
        {"phase": "preparing", "start": 0.5, "end": 9.5},
        {"phase": "running", "start": 9.5, "end": 18.5},
    ]
    assert report["results"][0]["resources"] == {"cpu_s": 1.25, "peak_rss_bytes": 3145728}


def test_waiting_for_a_slot_is_neither_work_nor_overlap() -> None:
    events = [
        begun(["a", "b"], max_workers=1),
        *worked("a", 0.0, 10.0),
        *worked("b", 10.0, 20.0),
        ended(20.0),
    ]
    report = build_report(fold(events))
    assert (report["sum_seconds"], report["speedup"], report["max_overlap"]) == (20.0, 1.0, 1)
    assert report["efficiency"] == 1.0


def test_figures_are_not_sums_of_rounded_figures() -> None:
    ids = [f"w{n}" for n in range(1000)]
    events = [begun(ids), *(step for i in ids for step in worked(i, 0.0, 0.0000004)), ended(1.0)]
    assert build_report(fold(events))["sum_seconds"] == 0.0004


def test_a_run_that_goes_on_keeps_the_rest_apart() -> None:
    state = fold([begun(["a", "b", "c"]), *worked("a", 0.0, 1.0), *list(worked("b", 0.0, 4.0))[:2]])
    report = build_report(state)
    assert [result["worker_id"] for result in report["results"]] == ["a"]
    assert [(entry["worker_id"], entry["phase"]) for entry in report["pending"]] == [
        ("b", "running"),
        ("c", "queued"),
    ]
    assert (report["status"], report["finished_at"], report["wall_seconds"]) == ("running", None, 2.0)
    assert report["sum_seconds"] == 3.0  # one second of a, two of b so far


def test_in_a_run_that_died_every_task_has_a_result() -> None:
    begin, phase, *_ = worked("b", 0.0, 4.0)
    denied = event(EventKind.PERMISSION_DECIDED, 2, "b", request_id="p", verdict="deny")
    state = fold([begun(["a", "b", "c"]), *worked("a", 0.0, 1.0), begin, phase, denied])
    state.status = RunStatus.DIED
    report = build_report(state)
    assert report["pending"] == []
    kinds = [(result["worker_id"], result["status"], result["error_kind"]) for result in report["results"]]
    assert kinds == [("a", "succeeded", None), ("b", "cancelled", "run_died"), ("c", "cancelled", "run_died")]
    running, queued = report["results"][1:]
    assert (running["duration"], running["attempts"], running["permissions"]["denied"]) == (2.0, 1, 1)
    assert "running" in running["error_message"]
    assert (queued["duration"], queued["queue_wait"], queued["attempts"]) == (0.0, 2.0, 0)
    assert report["counts"] == {**dict.fromkeys(map(str, Status), 0), "succeeded": 1, "cancelled": 2}


def test_it_is_json_whatever_agents_claim() -> None:
    document = build_report(fold(hostile_run()))
    assert document["results"][0]["usage"]["cost_usd"] is None
    assert json.loads(json.dumps(document, allow_nan=False)) == document


@pytest.mark.parametrize("ids", [[], ["a"]])
def test_a_run_without_work_divides_by_nothing(ids: list[str]) -> None:
    report = build_report(fold([begun(ids)]))
    assert (report["speedup"], report["max_seconds"], report["max_overlap"]) == (0.0, 0.0, 0)
