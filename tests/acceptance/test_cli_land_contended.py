"""MicroBlog when all eight agents change one manifest, from the task file to one branch that works."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from cli_fixtures import Person, person

from orchestrator.journal.runs import journal_path
from orchestrator.journal.store import read_events

__all__ = ["person"]


def test_eight_agents_change_one_manifest_and_all_land(person: Person, tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    shown = person.orchestrator("demo", "--unit=10ms", "--contended", "--json", "--dir", str(folder))
    report = json.loads(shown.stdout)
    assert shown.returncode == 0, shown.stderr
    assert report["conflicts"]["pairs"] == []
    assert len(report["conflicts"]["resolved"]) == 28
    repo = folder / "microblog"
    landed = person.orchestrator("land", "--repo", str(repo), "--json")
    assert landed.returncode == 0, landed.stdout + landed.stderr
    landing = json.loads(landed.stdout)
    landing = landing.get("landing", landing)
    assert (len(landing["landed"]), landing["held"]) == (8, [])
    place = tmp_path / "landed"
    person.git("clone", "-q", "-b", landing["branch"], str(repo), str(place))
    manifest = tomllib.loads((place / "pyproject.toml").read_text())
    assert len(manifest["project"]["dependencies"]) == 8
    gates = [event for event in _events(person, report["run_id"]) if event["kind"] == "gate.finished"]
    assert [gate["data"]["passed"] for gate in gates if gate["data"]["on"] == "landing"] == [True]


def _events(person: Person, run_id: str) -> list[dict[str, Any]]:
    """What was journalled."""
    folder = next(path for path in person.home.rglob(run_id) if (path / "plan.json").exists())
    found = read_events(journal_path(folder))
    return [{"kind": event.kind.value, "data": event.data} for event in found]
