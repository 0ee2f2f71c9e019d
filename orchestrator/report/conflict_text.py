"""Conflicts as plain text, 80 columns wide or what the reader has."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.report.conflict_groups import FileGroup, Matrix, by_file, matrix
from orchestrator.report.words import one_line

_FILES = 20
_HINTS = 12
_NAMED = 4  #: workers that a line on a file names
_HUNKS = 3
_CELL = 5
_NARROWEST = 8  #: columns that a worker's name needs in the matrix


def matrix_lines(found: Mapping[str, Any], order: Sequence[str], width: int) -> list[str]:
    """The matrix; nothing when there is no conflict or no room for it."""
    drawn = matrix(found, order)
    cell = _CELL if _room(drawn, _CELL, width) >= 2 * _NARROWEST else _CELL - 2
    room = min(_room(drawn, cell, width), max([0, *map(len, drawn.workers)]))
    if not drawn.workers or room < min(_NARROWEST, max(map(len, drawn.workers))):
        return []
    columns = [str(number + 1) for number in range(len(drawn.workers))]
    if len(drawn.against) > len(columns):
        columns.append("base")
    lines = [" " * (room + 5) + "".join(f"{name:>{cell}}" for name in columns)]
    for number, (worker, cells) in enumerate(zip(drawn.workers, drawn.cells, strict=True), 1):
        shown = "".join(f"{_cell(count):>{cell}}" for count in cells)
        lines.append(f"{number:>3}  {_clip(one_line(worker), room):<{room}}{shown}")
    return lines


def _room(drawn: Matrix, cell: int, width: int) -> int:
    return width - 6 - cell * len(drawn.against)


def _cell(count: int | None) -> str:
    if count is None:
        return "-"
    return str(count) if count else "·"


def file_lines(
    pairs: Sequence[Mapping[str, Any]], order: Sequence[str], width: int, *, against: str | None = None
) -> list[str]:
    """A line for each file with everybody who conflicts in it, and where, if they are few.

    `against` is what all pairs have in common, and need not be named again.
    """
    groups = by_file(pairs, order)
    lines = []
    for group in groups[:_FILES]:
        lines.append(_clip(f"  {one_line(group.file)}: {_about(group, against)}", width))
        if group.pairs == 1:
            lines += [_clip(f"    {_hunk(*each)}", width) for each in group.hunks[:_HUNKS]]
            if len(group.hunks) > _HUNKS:
                lines.append(f"    and {len(group.hunks) - _HUNKS} more places")
    if len(groups) > _FILES:
        lines.append(f"  and {len(groups) - _FILES} more files; `--json` has all")
    return lines


def _about(group: FileGroup, against: str | None) -> str:
    kinds = ", ".join(one_line(kind) for kind, _ in group.kinds.most_common())
    workers = [name for name in group.workers if name != against]
    named = ", ".join(one_line(name) for name in workers[:_NAMED])
    if len(workers) > _NAMED:
        named += f" and {len(workers) - _NAMED} more"
    pairs = "" if group.pairs == 1 or against else f"{group.pairs} pairs, "
    return f"{kinds} ({pairs}{_count(len(workers), 'worker', 'workers')}: {named})"


def _hunk(a: str, b: str, hunk: Mapping[str, Any]) -> str:
    return f"{_lines(hunk['a'])} of {one_line(a)}, {_lines(hunk['b'])} of {one_line(b)}"


def _lines(place: Sequence[int]) -> str:
    first, count = place
    if count == 0:
        return f"before line {first}"
    return f"line {first}" if count == 1 else f"lines {first}-{first + count - 1}"


def target_lines(found: Mapping[str, Any], order: Sequence[str], width: int) -> list[str]:
    """What stands between the branches and where the base is by now."""
    target = found.get("target")
    if not target:
        return []
    pairs = found.get("against_target") or []
    where = f"{one_line(target['ref'])}, which is at {target['commit'][:12]} by now"
    if not pairs:
        return [f"Against {where}: no conflict"]
    head = f"Against {where}: {_count(len(pairs), 'branch', 'branches')} in conflict"
    return [head, *file_lines(pairs, order, width, against=target["ref"])]


def prediction_lines(found: Mapping[str, Any]) -> list[str]:
    """What was foreseen, beside what came; nothing where nothing was to be seen."""
    told = found.get("predictions") or {}
    lines = []
    if found.get("overlaps") and (live := told.get("live")):
        lines.append(f"Seen while workers ran: {_score(live, 'file conflicts between two branches', 'gone')}")
    if (landing := told.get("landing")) and any(landing.values()):
        lines.append(f"Foreseen before landing: {_score(landing, 'branches that conflicted', 'landed')}")
    return lines


def _score(told: Mapping[str, Any], what: str, otherwise: str) -> str:
    hits, alarms = len(told["hits"]), len(told["false_alarms"])
    return f"{hits} of {hits + len(told['misses'])} {what}; {alarms} more {otherwise} in the end"


def hint_lines(hints: Sequence[Mapping[str, Any]], width: int) -> list[str]:
    """What git does not see, as hints: nobody can tell from them that a merge would be wrong."""
    if not hints:
        return []
    lines = ["Hints, beyond what git sees (they may be harmless):"]
    for hint in hints[:_HINTS]:
        lines += _wrapped(f"  {one_line(hint['text'])}", width)
    if len(hints) > _HINTS:
        lines.append(f"  and {len(hints) - _HINTS} more; `--json` has all")
    return lines


def order_lines(found: Mapping[str, Any], width: int) -> list[str]:
    """The suggested order, and how many of it conflict."""
    if not found["order"]:
        return []
    names = " ".join(one_line(name) for name in found["order"])
    text = f"  merged in this order, {len(found['conflicting'])} of them conflict: {names}"
    return _wrapped(text, width)


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(
        text, width, subsequent_indent="    ", break_on_hyphens=False, break_long_words=False
    )


def head_line(found: Mapping[str, Any]) -> str:
    """How many pairs, in how many files."""
    files = {name for pair in found["pairs"] for name in pair["files"]}
    pairs = _count(len(found["pairs"]), "pair of branches", "pairs of branches")
    return f"Conflicts: {pairs}, in {_count(len(files), 'file', 'files')}" if files else "Conflicts: none"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _clip(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"
