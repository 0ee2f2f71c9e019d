"""Where in a file two versions conflict: read from the markers that a merge left in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

#: Lines of the part that differs; lining up longer ones takes too long.
_LONGEST = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Hunk:
    """One conflicting region as (first line, number of lines) in either version; lines count from 1."""

    file: str
    a: tuple[int, int]
    b: tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Side:
    """One version as the merge shows it, with the regions in it."""

    lines: list[bytes]
    regions: list[tuple[int, int]]  #: first line from 0, number


def find_hunks(
    file: str, merged: bytes, ours: bytes, theirs: bytes, names: tuple[str, str]
) -> tuple[Hunk, ...]:
    """Return the regions between markers that name the two sides; none where lines cannot be told."""
    sides = _sides(merged.splitlines(keepends=True), *(name.encode("ascii") for name in names))
    if sides is None:
        return ()
    placed_a = _placed(sides[0], ours.splitlines(keepends=True))
    placed_b = _placed(sides[1], theirs.splitlines(keepends=True))
    return tuple(Hunk(file=file, a=a, b=b) for a, b in zip(placed_a, placed_b, strict=False))


def _sides(lines: Sequence[bytes], ours: bytes, theirs: bytes) -> tuple[_Side, _Side] | None:
    """Part the merge into what it shows of either side; None when a region does not end."""
    a, b = _Side([], []), _Side([], [])
    region: list[list[bytes]] = []
    for line in lines:
        bare = line.rstrip(b"\r\n")
        if not region and bare.startswith(b"<<<<<<< " + ours):
            region = [[]]
        elif len(region) == 1 and bare == b"=======":
            region.append([])
        elif len(region) == 2 and bare.startswith(b">>>>>>> " + theirs):
            for side, part in zip((a, b), region, strict=True):
                side.regions.append((len(side.lines), len(part)))
                side.lines.extend(part)
            region = []
        elif region:
            region[-1].append(line)
        else:
            a.lines.append(line)
            b.lines.append(line)
    return None if region else (a, b)


def _placed(side: _Side, own: Sequence[bytes]) -> list[tuple[int, int]]:
    """The regions by the line numbers of the file itself, which lacks what the other side changed apart."""
    shown = side.lines
    head = _common(shown, own)
    tail = _common(shown[head:][::-1], own[head:][::-1])
    middle, rest = shown[head : len(shown) - tail], own[head : len(own) - tail]
    if max(len(middle), len(rest)) > _LONGEST:
        return []
    steps = SequenceMatcher(None, middle, rest, autojunk=False).get_opcodes()
    shift = len(own) - len(shown)

    def place(line: int) -> int:
        if line < head:
            return line
        if line >= len(shown) - tail:
            return line + shift
        for tag, i1, i2, j1, _ in steps:
            if i1 <= line - head < i2:
                return head + j1 + (line - head - i1 if tag == "equal" else 0)
        return line

    return [(place(first) + 1, count) for first, count in side.regions]


def _common(a: Sequence[bytes], b: Sequence[bytes]) -> int:
    count = 0
    for one, other in zip(a, b, strict=False):
        if one != other:
            break
        count += 1
    return count
