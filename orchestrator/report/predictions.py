"""What was foreseen of conflicts, beside what came of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any


def predictions(
    overlaps: Sequence[Mapping[str, Any]], found: Mapping[str, Any], landing: Mapping[str, Any]
) -> dict[str, Any]:
    """Return hits, misses and false alarms of either prediction; None where nothing came of it yet.

    `live`: what was seen while workers ran, against the finished branches. `landing`: which workers the
    finished branches said would conflict, against those that did in the landing.
    """
    return {"live": _live(overlaps, found), "landing": _landing(found, landing)}


def _live(overlaps: Sequence[Mapping[str, Any]], found: Mapping[str, Any]) -> dict[str, Any] | None:
    if not found["order"]:
        return None
    seen = {_key(one["a"], one["b"], one["file"]) for one in overlaps}
    there = {_key(pair["a"], pair["b"], file) for pair in found["pairs"] for file in pair["files"]}
    compared = set(found["order"])
    alarms = {key for key in seen - there if {key[0], key[1]} <= compared}
    return _compared(seen & there, there - seen, alarms)


def _key(a: str, b: str, file: str) -> tuple[str, str, str]:
    return (min(a, b), max(a, b), file)


def _landing(found: Mapping[str, Any], landing: Mapping[str, Any]) -> dict[str, Any] | None:
    met = {held["worker_id"] for held in landing["held"] if held.get("kind") == "conflict"}
    landed = set(landing["landed"])
    if not (met or landed):
        return None
    foreseen = set(found["conflicting"]) & (met | landed)
    return _compared(foreseen & met, met - foreseen, foreseen - met)


def _compared(hits: Collection[Any], misses: Collection[Any], alarms: Collection[Any]) -> dict[str, Any]:
    return {"hits": _listed(hits), "misses": _listed(misses), "false_alarms": _listed(alarms)}


def _listed(entries: Collection[Any]) -> list[Any]:
    return [
        {"a": entry[0], "b": entry[1], "file": entry[2]} if isinstance(entry, tuple) else entry
        for entry in sorted(entries)
    ]
