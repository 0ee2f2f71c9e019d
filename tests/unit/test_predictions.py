"""What was foreseen of conflicts, compared with what came."""

from __future__ import annotations

from orchestrator.report.predictions import predictions

FOUND = {
    "pairs": [{"a": "a", "b": "b", "files": ["x", "y"]}],
    "order": ["a", "c", "b", "d"],
    "conflicting": ["b", "d"],
}


def test_both_predictions_have_hits_misses_and_false_alarms() -> None:
    overlaps = [
        {"a": "b", "b": "a", "file": "x", "kind": "contents"},
        {"a": "a", "b": "c", "file": "z", "kind": "contents"},
        {"a": "a", "b": "failed", "file": "z", "kind": "contents"},
    ]
    landing = {
        "landed": ["a", "d"],
        "held": [
            {"worker_id": "b", "kind": "conflict", "reason": ""},
            {"worker_id": "c", "kind": "conflict", "reason": ""},
            {"worker_id": "e", "kind": "gate", "reason": ""},
        ],
    }
    told = predictions(overlaps, FOUND, landing)
    assert told["live"] == {
        "hits": [{"a": "a", "b": "b", "file": "x"}],
        "misses": [{"a": "a", "b": "b", "file": "y"}],
        "false_alarms": [{"a": "a", "b": "c", "file": "z"}],
    }
    assert told["landing"] == {"hits": ["b"], "misses": ["c"], "false_alarms": ["d"]}


def test_nothing_is_compared_before_anything_came() -> None:
    nothing = {"landed": [], "held": []}
    assert predictions([], {"pairs": [], "order": [], "conflicting": []}, nothing) == {
        "live": None,
        "landing": None,
    }
