"""The demo as a newcomer meets it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from cli_fixtures import Person, person

__all__ = ["person"]


def test_the_demo_runs_eight_workers_at_once_and_says_how_to_look(person: Person, tmp_path: Path) -> None:
    folder = tmp_path / "my demo"
    shown = person.orchestrator("demo", "--unit", "50ms", "--dir", str(folder))
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "8 of 8 ended, 8 succeeded" in shown.stdout
    assert "Sum of individual durations: " in shown.stdout
    assert "Workers executed simultaneously! ✓" in shown.stdout
    assert "up to 8 at once" in shown.stdout
    assert "<html" in (folder / "report.html").read_text()
    merge = re.search(r"^  git (merge --ff-only \S+)$", shown.stdout, re.MULTILINE)
    assert merge
    repo = folder / "microblog"
    subprocess.run(["git", *merge[1].split()], cwd=repo, env=person.env, check=True)
    tests = subprocess.run(
        [sys.executable, "-m", "unittest"], cwd=repo, capture_output=True, text=True, check=False
    )
    assert re.search(r"Ran [1-9]\d+ tests", tests.stderr)
    assert tests.returncode == 0, tests.stderr


def test_the_contended_demo_as_json(person: Person, tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    shown = person.orchestrator("demo", "--unit=20ms", "--contended", "--json", "--dir", str(folder))
    report = json.loads(shown.stdout)
    assert shown.returncode == 0
    assert all("pyproject.toml" in result["files_changed"] for result in report["results"])
    assert (len(report["landing"]["landed"]), report["landing"]["held"]) == (8, [])


def test_the_demo_leaves_folders_of_others_alone(person: Person) -> None:
    shown = person.orchestrator("demo", "--dir", ".")
    assert (shown.returncode, shown.stdout) == (2, "")
    assert "is not empty" in shown.stderr


def test_its_task_file_runs(person: Person, tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    assert person.orchestrator("demo", "--unit=10ms", "--dir", str(folder), "--json").returncode == 0
    shown = person.orchestrator(
        "run", str(folder / "tasks.yaml"), "--repo", str(folder / "microblog"), "--json"
    )
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout)["counts"]["succeeded"] == 8
    stats = json.loads(person.orchestrator("list", "--stats", "--json").stdout)
    assert stats["runs"] == 2
    assert [(agent["name"], agent["results"], agent["success_rate"]) for agent in stats["agents"]] == [
        ("demo", 16, 1.0)
    ]
    assert person.orchestrator("list", "--stats").stdout.startswith("2 runs\n")
