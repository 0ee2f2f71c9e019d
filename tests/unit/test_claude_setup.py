"""What of the user's environment Claude Code is given."""

from __future__ import annotations

from orchestrator.agents.claude_setup import variables


def test_keys_of_a_cloud_pass_only_when_claude_uses_that_cloud() -> None:
    user = {"AWS_SECRET_ACCESS_KEY": "x", "GOOGLE_APPLICATION_CREDENTIALS": "y"}

    assert not {*user} & {*variables(user)}
    assert "AWS_SECRET_ACCESS_KEY" in variables({**user, "CLAUDE_CODE_USE_BEDROCK": "1"})
    assert "GOOGLE_APPLICATION_CREDENTIALS" not in variables({**user, "CLAUDE_CODE_USE_BEDROCK": "1"})
    assert "GOOGLE_APPLICATION_CREDENTIALS" in variables({**user, "CLAUDE_CODE_USE_VERTEX": "1"})


def test_the_model_s_own_key_and_endpoint_pass() -> None:
    assert {"ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "CLAUDE_CODE_OAUTH_TOKEN"} <= {*variables({})}
