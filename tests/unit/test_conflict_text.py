"""Conflicts as text: a matrix in 80 columns, and a file that many conflict in on one line."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from orchestrator.report.conflict_groups import by_file
from orchestrator.report.conflict_text import (
    file_lines,
    hint_lines,
    matrix_lines,
    prediction_lines,
    target_lines,
)


def pair(a: str, b: str, *files: str, kind: str = "contents") -> dict[str, Any]:
    conflicts = [{"kind": kind, "files": [name], "hunks": []} for name in files]
    return {"a": a, "b": b, "files": list(files), "conflicts": conflicts}


def found(pairs: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"pairs": pairs, "order": [], "conflicting": [], **more}


def test_eight_workers_fit_in_eighty_columns() -> None:
    workers = [f"worker_{number:02d}_with_a_long_name_of_its_own" for number in range(8)]
    target = {"ref": "main", "commit": "0" * 40}
    document = found(
        [pair(a, b, "x") for a, b in combinations(workers, 2)],
        target=target,
        against_target=[pair(workers[0], "main", "x", "y")],
    )
    lines = matrix_lines(document, workers, 79)
    assert len(lines) == 9
    assert max(map(len, lines)) <= 79
    assert lines[0].split() == ["1", "2", "3", "4", "5", "6", "7", "8", "base"]
    assert lines[1].split()[2:] == ["-", *["1"] * 7, "2"]


def test_those_without_a_conflict_have_no_line() -> None:
    lines = matrix_lines(found([pair("b", "d", "x")]), ["a", "b", "c", "d"], 79)
    assert [line.split() for line in lines] == [["1", "2"], ["1", "b", "-", "1"], ["2", "d", "1", "-"]]


def test_a_file_that_thirty_conflict_in_is_one_line() -> None:
    workers = [f"w{number:02d}" for number in range(30)]
    pairs = [pair(a, b, "package.json") for a, b in combinations(workers, 2)]
    assert file_lines(pairs, workers, 79) == [
        "  package.json: contents (435 pairs, 30 workers: w00, w01, w02, w03 and 26 more)"[:78] + "…"
    ]
    assert matrix_lines(found(pairs), workers, 79) == []


def test_files_come_by_how_many_pairs_conflict_in_them() -> None:
    groups = by_file(
        [pair("a", "b", "one", "two"), pair("a", "c", "two"), pair("b", "c", "zero", kind="binary")]
    )
    assert [(group.file, group.pairs, group.workers) for group in groups] == [
        ("two", 2, ["a", "b", "c"]),
        ("one", 1, ["a", "b"]),
        ("zero", 1, ["b", "c"]),
    ]
    assert dict(groups[2].kinds) == {"binary": 1}


def test_names_from_agents_reach_no_terminal_as_they_are() -> None:
    evil = "a\x1b[2Jb\nc"
    (line,) = file_lines([pair("x", "y", evil)], [], 79)
    assert line == "  ab c: contents (2 workers: x, y)"
    assert hint_lines([{"text": evil}], 79)[1] == "  ab c"


def test_what_was_foreseen_is_said_beside_what_came() -> None:
    told = {
        "live": {"hits": [1, 2], "misses": [3], "false_alarms": []},
        "landing": {"hits": ["a"], "misses": [], "false_alarms": ["b"]},
    }
    assert prediction_lines(found([], overlaps=[{}], predictions=told)) == [
        "Seen while workers ran: 2 of 3 file conflicts between two branches; 0 more gone in the end",
        "Foreseen before landing: 1 of 1 branches that conflicted; 1 more landed in the end",
    ]
    assert prediction_lines(found([], predictions={"live": None, "landing": None})) == []


def test_without_a_moved_base_nothing_is_said_of_it() -> None:
    assert target_lines(found([]), [], 79) == []
    moved = found([], target={"ref": "main", "commit": "1" * 40}, against_target=[])
    assert target_lines(moved, [], 79) == ["Against main, which is at 111111111111 by now: no conflict"]


def test_against_the_moved_base_only_the_workers_are_counted() -> None:
    against = [pair("a", "main", "x"), pair("b", "main", "x")]
    moved = found([], target={"ref": "main", "commit": "1" * 40}, against_target=against)
    assert target_lines(moved, ["a", "b"], 79) == [
        "Against main, which is at 111111111111 by now: 2 branches in conflict",
        "  x: contents (2 workers: a, b)",
    ]
