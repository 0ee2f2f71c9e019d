"""Finds the lines that conflict, for all conflicts at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO

from orchestrator.git.hunks import Hunk, find_hunks
from orchestrator.git.merging import Conflict, Version
from orchestrator.git.shield import Shield

_TEXTUAL = "contents"
#: Conflicts whose lines are looked for; of more than these nobody reads the lines.
_MOST = 400
#: Bytes; the lines of a larger file are not looked for.
_LARGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class Located:
    """A conflict, and where the merge left what shows its lines."""

    conflict: Conflict
    tree: str
    place: str  #: the file's path in that tree
    stages: Mapping[int, Version]
    sides: tuple[str, str]  #: what the markers name

    def renamed(self, path: str) -> Conflict:
        """The conflict, of the file `path`."""
        return replace(self.conflict, files=(path,))


def with_hunks(shield: Shield, answers: Sequence[Sequence[Located]]) -> list[tuple[Conflict, ...]]:
    """Return the conflicts of each answer, with hunks where there are lines to speak of."""
    textual = [one for answer in answers for one in answer if _has_lines(one)][:_MOST]
    wanted = {spec for one in textual for spec in _specs(one)}
    content = _read(shield, sorted(wanted))
    cache: dict[tuple[str, ...], tuple[Hunk, ...]] = {}
    listed = {id(one) for one in textual}
    return [
        tuple(
            replace(one.conflict, hunks=_hunks(one, content, cache)) if id(one) in listed else one.conflict
            for one in answer
        )
        for answer in answers
    ]


def _has_lines(one: Located) -> bool:
    plain = all(one.stages.get(side, Version("", "")).mode.startswith("100") for side in (2, 3))
    return one.conflict.kind == _TEXTUAL and plain and "\n" not in one.place


def _specs(one: Located) -> tuple[str, str, str]:
    return f"{one.tree}:{one.place}", one.stages[2].object_id, one.stages[3].object_id


def _hunks(
    one: Located, content: Mapping[str, bytes], cache: dict[tuple[str, ...], tuple[Hunk, ...]]
) -> tuple[Hunk, ...]:
    specs = _specs(one)
    if any(len(content.get(spec, b"")) > _LARGEST for spec in specs):
        return ()
    if specs not in cache:
        texts = [content.get(spec, b"") for spec in specs]
        cache[specs] = find_hunks("", texts[0], texts[1], texts[2], one.sides)
    (path, *_) = one.conflict.files
    return tuple(replace(hunk, file=path) for hunk in cache[specs])


def _read(shield: Shield, specs: Sequence[str]) -> dict[str, bytes]:
    """The content of objects by name; a name stands for a file in a tree, and need not exist."""
    asked = "".join(f"{spec}\n" for spec in specs).encode("utf-8", "surrogateescape")
    answer = BytesIO(shield.run(["cat-file", "--batch"], input=asked).stdout if specs else b"")
    found = {}
    for spec in specs:
        header = answer.readline().rstrip(b"\n")
        if not header.endswith(b" missing"):
            found[spec] = answer.read(int(header.rsplit(b" ", 1)[1]))
            answer.read(1)
    return found
