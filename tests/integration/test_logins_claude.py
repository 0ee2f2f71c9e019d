"""The real Claude Code finds the user's login from a worker's own settings folder, sandboxed or not."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from orchestrator.agents.logins import CLAUDE
from orchestrator.conformance.script import Step
from orchestrator.model.outcome import TurnEnd
from orchestrator.model.result import Status
from tests.integration.agent_fixtures import agent_task, real_agents
from tests.integration.run_fixtures import make_repository, run
from tests.integration.sandbox_fixtures import needs_bubblewrap


@pytest.mark.parametrize("sandbox", ["off", pytest.param("on", marks=needs_bubblewrap)])
@pytest.mark.parametrize("logged_in", [True, False])
def test_a_login_in_a_file_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sandbox: str, logged_in: bool
) -> None:
    with real_agents(tmp_path, "claude") as model:
        for name in (*CLAUDE.keys, CLAUDE.variable):
            monkeypatch.delenv(name, raising=False)
        own = Path(os.environ["HOME"], ".claude", ".credentials.json")
        own.parent.mkdir(parents=True)
        if logged_in:
            tokens = {"accessToken": "access", "refreshToken": "refresh"}
            more = {"expiresAt": int(time.time() + 9e4) * 1000, "scopes": ["user:inference"]}
            own.write_text(json.dumps({"claudeAiOauth": {**tokens, **more, "subscriptionType": "max"}}))
        before = own.read_text() if logged_in else None
        model.scripts["hello"] = [Step(say="Done.")]
        [result] = run(
            make_repository(tmp_path / "repo"), [agent_task("one", "claude", "hello")], sandbox=sandbox
        )
        after = own.read_text() if own.exists() else None
    assert after == before
    if logged_in:
        assert (result.status, result.output) == (Status.SUCCEEDED, "Done."), result.error_message
    else:
        assert (result.status, result.error_kind) == (Status.FAILED, TurnEnd.AUTH), result.error_message
