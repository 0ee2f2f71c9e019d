"""Runs the landing benchmark: `python -m benchmarks.landing [REPO…]`; keeps raw rows, writes a summary."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.landing.joining import measure_joining
from benchmarks.landing.keeping import measure_keeping
from benchmarks.landing.matrix import measure_matrix
from benchmarks.landing.replay import replay
from benchmarks.landing.worlds import make_branches, make_repository

RESULTS = Path(__file__).parent / "results"
BRANCHES = 64
#: For a number of files: how many each branch changes.
EDITS = {4790: (10, 40), 50_000: (10, 40, 160)}
GOAL_S = 0.3


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, keep, summarise; 1 when a verdict differs from git's."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.landing", description=__doc__)
    parser.add_argument("repositories", nargs="*", type=Path, help="local ones whose merges are replayed")
    parser.add_argument("--merges", type=int, default=150, help="merges of each repository (150)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of the other rows (5)")
    parser.add_argument("--folder", type=Path, help="where scratch repositories are made")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for rows and summary")
    options = parser.parse_args(argv)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="landing-", dir=options.folder) as name:
        tempfile.tempdir = name
        os.environ["ORCHESTRATOR_HOME"] = f"{name}/home"
        for row in _rows(options, Path(name)):
            rows.append(row)
            if row["measure"] != "replay" or not row["agree"]:
                print(json.dumps(row), file=sys.stderr, flush=True)
    raw = _new_file(options.results)
    raw.write_text("".join(json.dumps(row) + "\n" for row in rows))
    summary = raw.with_suffix(".md")
    summary.write_text(render(rows))
    print(f"{summary.read_text()}\nraw rows: {raw}\nsummary: {summary}")
    return 1 if any(not row.get("agree", True) or not row.get("same", True) for row in rows) else 0


def _rows(options: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    for number, source in enumerate(options.repositories):
        place = folder / f"replay-{number}"
        place.mkdir()
        yield from replay(source.resolve(), place, options.merges)
    for files, growth in EDITS.items():
        repo = make_repository(folder / f"files-{files}", files)
        for edits in growth:
            commits = make_branches(repo, files, BRANCHES, edits)
            about = {"measure": "matrix", "files": files, "edits": edits}
            slow = edits == growth[0]
            yield from (about | row for row in measure_matrix(repo, commits, options.rounds, slow=slow))
        apart = make_branches(repo, files, BRANCHES, 10, apart=True)
        joined = measure_joining(repo, folder / f"joining-{files}", apart, options.rounds)
        yield from ({"measure": "joining", "files": files} | row for row in joined)
        kept = measure_keeping(repo, folder / f"keeping-{files}", options.rounds)
        yield from ({"measure": "keeping", "files": files} | row for row in kept)


def _new_file(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    number = 1
    while (path := folder / (f"{day}.jsonl" if number == 1 else f"{day}-{number}.jsonl")).exists():
        number += 1
    return path


def render(rows: Sequence[dict[str, Any]]) -> str:
    """Return the summary as Markdown."""
    version = subprocess.run(["git", "version"], capture_output=True, text=True, check=True).stdout.strip()
    loads = [row["load"] for row in rows]
    lines = [
        f"# Landing, {datetime.now(UTC):%Y-%m-%d}",
        "",
        f"{os.cpu_count()} cores, Python {platform.python_version()}, {version}. Times are medians.",
        f"Load of the machine: {min(loads)} to {max(loads)}, median {median(loads)}.",
        "",
        *_replayed([row for row in rows if row["measure"] == "replay"]),
        *_matrices([row for row in rows if row["measure"] == "matrix"]),
        f"{BRANCHES} branches that do not conflict, 10 edits each, put together into one (goal: {GOAL_S} s).",
        "`land` is all of it but gates and journal: objects are in the repository, the branch is made.",
        "",
        *_timed([row for row in rows if row["measure"] == "joining"]),
        "One worktree with 20 edited and 20 new files.",
        "",
        *_timed([row for row in rows if row["measure"] == "keeping"]),
    ]
    return "\n".join(lines)


def _replayed(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    if not rows:
        return
    yield from (
        "Real merges, replayed: our verdict in memory against `git merge` in a checkout. Siblings are",
        "branches that were open at one time; nobody had merged them with each other. Paths agree when each",
        "path that git left unmerged is among ours.",
        "",
        "| repository | what | pairs | git conflicts | verdicts agree | paths agree | ours s | git s |",
        "|---|---|---|---|---|---|---|---|",
    )
    for (name, what), group in _groups(rows, "repository", "what"):
        counts = [sum(row[key] for row in group) for key in ("git_says", "agree", "files_agree")]
        times = [f"{median(row[key] for row in group):.3f}" for key in ("we_s", "git_s")]
        yield f"| {name} | {what} | {len(group)} | " + " | ".join(map(str, [*counts, *times])) + " |"
    kinds = sorted({kind for row in rows for kind in row["kinds"]})
    yield from ("", f"Kinds of conflicts met: {', '.join(kinds)}.", "")


def _matrices(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield from (
        f"All pairs of {BRANCHES} branches; 3 of 10 edits are in files that all prefer, six times as many as",
        f"the edits of one branch. The goal for 10 edits: {GOAL_S} s.",
        "",
        "| files | edits each | way | pairs | conflicting | same verdicts | s | lowest s |",
        "|---|---|---|---|---|---|---|---|",
    )
    for (files, edits, way), group in _groups(rows, "files", "edits", "way"):
        times = [row["wall_s"] for row in group]
        row = group[0]
        same = "yes" if all(row["same"] for row in group) else "NO"
        figures = f"{row['pairs']} | {row['conflicting']} | {same} | {median(times):.3f} | {min(times):.3f}"
        yield f"| {files} | {edits} | {way} | {figures} |"
    yield ""


def _timed(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield from (
        "| files | what | s | lowest s |",
        "|---|---|---|---|",
    )
    for (files, way), group in _groups(rows, "files", "way"):
        times = [row["wall_s"] for row in group]
        yield f"| {files} | {way} | {median(times):.3f} | {min(times):.3f} |"
    yield ""


def _groups(
    rows: Iterable[dict[str, Any]], *keys: str
) -> Iterator[tuple[tuple[Any, ...], list[dict[str, Any]]]]:
    found: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(tuple(row[key] for key in keys), []).append(row)
    yield from found.items()


if __name__ == "__main__":
    sys.exit(main())
