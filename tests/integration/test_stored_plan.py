"""What a run was asked to do can be read back from its folder, without its secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.config import OrchestratorConfig
from orchestrator.errors import JournalError
from orchestrator.journal.stored_plan import load_plan, store_plan
from orchestrator.secrets import Mask
from orchestrator.taskfile import task_from_mapping

SECRET = "hunter2-hunter2-hunter2"


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    config = OrchestratorConfig(
        repo=tmp_path,
        timeout="5m",
        network=["example.org"],
        agents={"mine": {"command": ["x"]}},
        env={"A": "b"},
    )
    tasks = (
        task_from_mapping("w1", {"prompt": "do it", "env": {"B": "c"}, "verify": ["true"], "files": ["a"]}),
        task_from_mapping("w2", {"command": ["true"], "needs": ["w1"], "timeout": "3s"}),
    )
    store_plan(tmp_path, config, tasks, base_commit="1" * 40, mask=str)
    plan = load_plan(tmp_path)
    assert (plan.config, plan.tasks, plan.base_commit) == (config, tasks, "1" * 40)
    assert plan.withheld == ()


def test_secrets_stay_out_and_their_places_are_known(tmp_path: Path) -> None:
    config = OrchestratorConfig(env={"API_KEY": SECRET})
    task = task_from_mapping("w1", {"prompt": f"use {SECRET}", "env": {"TOKEN": SECRET}})
    store_plan(tmp_path, config, [task], base_commit=None, mask=Mask([SECRET]).text)
    assert SECRET not in (tmp_path / "plan.json").read_text()
    assert load_plan(tmp_path).withheld == ("env.API_KEY", "tasks.w1.prompt", "tasks.w1.env.TOKEN")


@pytest.mark.parametrize("content", [None, "", "{}", '{"config": 3}'])
def test_a_missing_or_damaged_one_is_said(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "plan.json").write_text(content)
    with pytest.raises(JournalError, match=r"plan\.json"):
        load_plan(tmp_path)
