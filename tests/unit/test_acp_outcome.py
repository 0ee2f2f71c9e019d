"""Every end of an ACP agent's turn is told apart from every other."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.agents.acp_outcome import judge_error, judge_stop, usage_of
from orchestrator.agents.acp_rpc import RpcError
from orchestrator.model.outcome import TurnEnd
from orchestrator.model.result import Status, Usage


@pytest.mark.parametrize(
    ("code", "message", "data", "kind"),
    [
        (429, "Rate limit exceeded. Try again later.", None, TurnEnd.RATE_LIMITED),
        (-32603, "Internal error", {"details": "429 Too Many Requests"}, TurnEnd.RATE_LIMITED),
        (500, "You exceeded your current quota", None, TurnEnd.RATE_LIMITED),
        (401, "no", None, TurnEnd.AUTH),
        (-32000, "Authentication required", None, TurnEnd.AUTH),
        (-32603, "Internal error", {"details": "401 Unauthorized"}, TurnEnd.AUTH),
        (400, "API key not valid. Please pass a valid API key.", None, TurnEnd.AUTH),
        (-32603, "prompt is too long", None, TurnEnd.CONTEXT),
        (503, "overloaded", None, TurnEnd.MODEL),
        (-32603, "stream disconnected before completion", None, TurnEnd.MODEL),
        (-32602, "Session not found", None, TurnEnd.PROTOCOL),
        (-32601, '"Method not found": session/prompt', None, TurnEnd.PROTOCOL),
    ],
)
def test_errors(code: int, message: str, data: Any, kind: TurnEnd) -> None:
    outcome = judge_error(RpcError(code, message, data), doing="the turn failed")
    assert (outcome.status, outcome.error_kind) == (Status.FAILED, kind.value)
    assert message in str(outcome.error_message)


@pytest.mark.parametrize(
    ("message", "known"),
    [
        ("429: Please retry in 20.5s.", True),
        ('429 {"retryDelay": "30s"}', True),
        ("429, retry-after: 7", True),
        ("429, retry later", False),
        ("429, retry in 99999999999999 s", False),
    ],
)
def test_the_end_of_a_limit(message: str, known: bool) -> None:
    assert (judge_error(RpcError(429, message), doing="x").retry_at is not None) == known


def test_a_denied_request_keeps_an_end_from_being_a_success() -> None:
    outcome = judge_stop("end_turn", ["write `x`: no"], output="done", did_something=True)
    assert (outcome.status, outcome.error_kind) == (Status.REJECTED, "permission_denied")


def test_a_denied_request_does_not_hide_another_end() -> None:
    outcome = judge_stop("max_tokens", ["write `x`: no"], output="", did_something=True)
    assert outcome.error_kind == "context_exhausted"


@pytest.mark.parametrize(
    ("answer", "usage"),
    [
        ({"usage": {"inputTokens": 3, "outputTokens": 4}}, Usage(input_tokens=3, output_tokens=4)),
        (
            {"_meta": {"quota": {"token_count": {"input_tokens": 3, "output_tokens": 4}}}},
            Usage(input_tokens=3, output_tokens=4),
        ),
        ({"usage": {"inputTokens": -3, "outputTokens": True}}, Usage()),
        ({"usage": "odd", "_meta": {"quota": []}}, Usage()),
        ({}, Usage()),
    ],
)
def test_figures_are_never_invented(answer: dict[str, Any], usage: Usage) -> None:
    assert usage_of(answer, None) == usage
