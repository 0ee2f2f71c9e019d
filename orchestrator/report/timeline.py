"""The geometry of the timeline chart: one row per worker, one segment per phase, a time axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor, log10
from typing import Any

from orchestrator.report.words import duration

_LABELS = 210.0  # room for the workers' ids, left of the chart
_CHART = 790.0
_ENDING = 40.0  # room for the mark of how it ended, right of the chart
_AXIS = 24.0
_THINNEST = 1.0  # a segment shorter than this would not be seen
_FRACTIONS = tuple(base * 10.0**-power for power in (3, 2, 1) for base in (1, 2, 5))
_STEPS = (
    *_FRACTIONS, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400
)  # fmt: skip
_LABEL_CHARACTERS = 27


@dataclass(frozen=True, slots=True)
class Segment:
    """One bar: a phase of a worker."""

    phase: str
    x: float
    width: float
    title: str


@dataclass(frozen=True, slots=True)
class Row:
    """One worker's line in the chart."""

    label: str
    worker_id: str
    status: str
    y: float
    end_x: float
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Tick:
    """One mark of the time axis."""

    x: float
    label: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """The whole chart, in the units of its view box."""

    width: float
    height: float
    row_height: float
    labels_width: float
    axis_y: float
    rows: tuple[Row, ...]
    ticks: tuple[Tick, ...]


def build_timeline(entries: Sequence[Mapping[str, Any]], wall: float) -> Timeline:
    """Lay out workers, each an entry of the report, over the `wall` seconds of their run."""
    ends = [interval["end"] for entry in entries for interval in entry["intervals"]]
    span = max([wall, 0.001, *ends])
    height = _row_height(len(entries))
    return Timeline(
        width=_LABELS + _CHART + _ENDING,
        height=height * len(entries) + _AXIS,
        row_height=height,
        labels_width=_LABELS,
        axis_y=height * len(entries),
        rows=tuple(_row(entry, number * height, span) for number, entry in enumerate(entries)),
        ticks=tuple(Tick(_x(at, span), label) for at, label in ticks(span)),
    )


def ticks(span: float) -> list[tuple[float, str]]:
    """Return round instants from 0 to `span`, eleven or fewer, with their labels."""
    days = 86400.0 * -(-span // 864000)
    step = next((step for step in _STEPS if span / step <= 10), days)
    marks = [number * step for number in range(int(span / step + 1e-9) + 1)]
    return [(at, _tick_label(at, step)) for at in marks]


def _tick_label(at: float, step: float) -> str:
    if step < 1 or at < 60:
        return f"{at:.{max(0, -floor(log10(step)))}f}s"
    hours, rest = divmod(round(at), 3600)
    minutes, seconds = divmod(rest, 60)
    parts = ((hours, "h"), (minutes, "m"), (seconds, "s"))
    return "".join(f"{value}{unit}" for value, unit in parts if value)


def _row_height(count: int) -> float:
    return 26.0 if count <= 24 else 19.0 if count <= 80 else 14.0


def _x(at: float, span: float) -> float:
    return round(_LABELS + at / span * _CHART, 2)


def _row(entry: Mapping[str, Any], y: float, span: float) -> Row:
    segments = tuple(
        _segment(interval, span) for interval in entry["intervals"] if interval["end"] > interval["start"]
    )
    worker_id = entry["worker_id"]
    fits = len(worker_id) <= _LABEL_CHARACTERS
    return Row(
        label=worker_id if fits else worker_id[: _LABEL_CHARACTERS - 1] + "…",
        worker_id=worker_id,
        status=entry.get("status", entry.get("phase")),
        y=y,
        end_x=max((round(segment.x + segment.width, 2) for segment in segments), default=_LABELS),
        segments=segments,
    )


def _segment(interval: Mapping[str, Any], span: float) -> Segment:
    start, end = interval["start"], interval["end"]
    x = _x(start, span)
    return Segment(
        phase=interval["phase"],
        x=x,
        width=max(_THINNEST, round(_x(end, span) - x, 2)),
        title=f"{interval['phase']} {duration(end - start)} (from {duration(start)} to {duration(end)})",
    )
