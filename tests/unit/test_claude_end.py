"""Each end of a turn of Claude Code, as recorded from version 2.1.330, is its own outcome."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from orchestrator.agents.claude_end import judge, reset_time, usage_of
from orchestrator.model.outcome import Outcome, TurnEnd
from orchestrator.model.result import Status

_RECORDED = Path(__file__).resolve().parents[1] / "transcripts" / "claude" / "endings.jsonl"
ENDINGS: dict[str, dict[str, Any]] = {
    ending["ending"]: ending for ending in map(json.loads, _RECORDED.read_text().splitlines())
}


def judged(name: str, *, refused: tuple[str, ...] = ()) -> Outcome:
    ending = ENDINGS[name]
    limit = {"rate_limit_info": ending["rate_limit_info"]}
    return judge(ending["result"], error=ending["error"], refused=refused, retry_at=reset_time(limit))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("interrupted", TurnEnd.INTERRUPTED),
        ("paused", TurnEnd.INTERRUPTED),
        ("refused", TurnEnd.REFUSED),
        ("prompt too long", TurnEnd.CONTEXT),
        ("context window reached", TurnEnd.CONTEXT),
        ("output limit reached", TurnEnd.CONTEXT),
        ("budget exhausted", TurnEnd.BUDGET),
        ("no credit", TurnEnd.BUDGET),
        ("turns exhausted", TurnEnd.TURNS),
        ("rate limited", TurnEnd.RATE_LIMITED),
        ("usage limit reached", TurnEnd.RATE_LIMITED),
        ("key refused", TurnEnd.AUTH),
        ("login revoked", TurnEnd.AUTH),
        ("not logged in", TurnEnd.AUTH),
        ("overloaded", TurnEnd.MODEL),
        ("server failed", TurnEnd.MODEL),
        ("no such model", TurnEnd.MODEL),
        ("server gone", TurnEnd.MODEL),
        ("no such session", TurnEnd.MODEL),
    ],
)
def test_what_is_not_done_is_a_failure_of_its_kind(name: str, kind: TurnEnd) -> None:
    outcome = judged(name)

    assert (outcome.status, outcome.error_kind) == (Status.FAILED, kind)
    assert outcome.error_message is not None
    assert outcome.error_message.startswith("Claude Code")


def test_every_recorded_ending_is_judged_here() -> None:
    judged_here = {mark.args[1][n][0] for mark in _marks() for n in range(len(mark.args[1]))}

    assert judged_here | {"done", "denied"} == set(ENDINGS)


def _marks() -> list[Any]:
    return [
        mark
        for mark in test_what_is_not_done_is_a_failure_of_its_kind.pytestmark  # type: ignore[attr-defined]
        if mark.name == "parametrize"
    ]


def test_done_is_success_and_something_refused_is_not() -> None:
    assert judged("done").status is Status.SUCCEEDED
    assert judged("done").output == "All done."
    denied = judged("denied", refused=("Write `hello.txt`: no",))
    assert (denied.status, denied.error_kind) == (Status.REJECTED, TurnEnd.DENIED)
    assert denied.error_message == "refused: Write `hello.txt`: no"


def test_success_is_claimed_with_status_zero_by_ends_that_are_none() -> None:
    claimed = {name for name, ending in ENDINGS.items() if ending["exit_status"] == 0}

    assert claimed == {"done", "denied", "interrupted", "paused"}


def test_the_reset_time_is_kept_for_a_limit_only() -> None:
    told = ENDINGS["usage limit reached"]["rate_limit_info"]["resetsAt"]

    assert judged("usage limit reached").retry_at == datetime.fromtimestamp(told, UTC)
    assert judged("rate limited").retry_at is None
    assert judged("key refused").retry_at is None


@pytest.mark.parametrize("stamp", [None, "soon", 1e300, -1e300, float("nan")])
def test_a_reset_time_that_is_none_is_left_out(stamp: object) -> None:
    assert reset_time({"rate_limit_info": {"status": "rejected", "resetsAt": stamp}}) is None


def test_a_limit_that_is_not_reached_has_no_reset_time() -> None:
    assert reset_time({"rate_limit_info": {"status": "allowed_warning", "resetsAt": 1.0}}) is None
    assert reset_time({"rate_limit_info": None}) is None


def test_a_turn_in_which_the_model_was_not_asked_is_no_success() -> None:
    result = {"subtype": "success", "is_error": False, "num_turns": 0, "result": "/help is not available"}

    assert judge(result, error=None, refused=(), retry_at=None).error_kind == TurnEnd.PROTOCOL


@pytest.mark.parametrize("result", [{}, {"subtype": 1, "terminal_reason": [], "stop_reason": {}}])
def test_a_result_that_says_nothing_is_no_success(result: dict[str, Any]) -> None:
    assert judge(result, error=None, refused=(), retry_at=None).status is Status.FAILED


def test_usage_counts_subagents_and_caches_and_adds_up_over_turns() -> None:
    first = {"inputTokens": 10, "cacheReadInputTokens": 200, "outputTokens": 3, "costUSD": 0.5}
    second = {"inputTokens": 1, "cacheCreationInputTokens": 40, "outputTokens": 4, "costUSD": 0.25}
    results = [
        {"num_turns": 2, "total_cost_usd": 7.5, "model_usage_since_last_result": {"a": first, "b": second}},
        {"num_turns": 1, "total_cost_usd": 8.0, "model_usage_since_last_result": {"a": first}},
    ]

    usage = usage_of(results, resumed=True)

    assert (usage.input_tokens, usage.output_tokens, usage.turns) == (461, 10, 3)
    assert usage.cost_usd == pytest.approx(1.25)


def test_cost_of_a_resumed_session_is_not_invented() -> None:
    result = {"num_turns": 1, "total_cost_usd": 2.0, "usage": {"input_tokens": 5, "output_tokens": 6}}

    assert usage_of([result], resumed=False).cost_usd == 2.0
    resumed = usage_of([result], resumed=True)
    assert (resumed.input_tokens, resumed.output_tokens, resumed.cost_usd) == (5, 6, None)
    assert usage_of([], resumed=False).input_tokens is None
