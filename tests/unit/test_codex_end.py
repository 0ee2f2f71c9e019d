"""Each way in which Codex says that a turn failed has its own kind of end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestrator.agents.codex_end import judge, kind_of, retry_at
from orchestrator.model.outcome import TurnEnd
from orchestrator.model.result import Status

NOW = datetime(2026, 11, 23, 23, 27, tzinfo=UTC)
SINCE_429 = {
    "message": "Reconnecting... 2/5",
    "additionalDetails": "exceeded retry limit, last status: 429 Too Many Requests",
}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"codexErrorInfo": "contextWindowExceeded"}, TurnEnd.CONTEXT),
        ({"codexErrorInfo": "sessionBudgetExceeded"}, TurnEnd.BUDGET),
        ({"codexErrorInfo": "usageLimitExceeded"}, TurnEnd.RATE_LIMITED),
        (
            {"codexErrorInfo": "usageLimitExceeded", "message": "Quota exceeded. Check your plan"},
            TurnEnd.BUDGET,
        ),
        ({"codexErrorInfo": "rateLimitExceeded"}, TurnEnd.RATE_LIMITED),
        ({"codexErrorInfo": "unauthorized"}, TurnEnd.AUTH),
        ({"codexErrorInfo": {"httpConnectionFailed": {"httpStatusCode": 401}}}, TurnEnd.AUTH),
        ({"codexErrorInfo": {"responseStreamDisconnected": {"httpStatusCode": 403}}}, TurnEnd.AUTH),
        (
            {"codexErrorInfo": {"responseTooManyFailedAttempts": {"httpStatusCode": 429}}},
            TurnEnd.RATE_LIMITED,
        ),
        ({"codexErrorInfo": {"responseStreamDisconnected": {"httpStatusCode": None}}}, TurnEnd.MODEL),
        ({"codexErrorInfo": "serverOverloaded"}, TurnEnd.MODEL),
        ({"codexErrorInfo": "badRequest"}, TurnEnd.MODEL),
        ({"codexErrorInfo": "cyberPolicy"}, TurnEnd.REFUSED),
        ({"codexErrorInfo": "sandboxError"}, TurnEnd.CRASHED),
        ({"codexErrorInfo": "other", "message": "unexpected status 401 Unauthorized"}, TurnEnd.AUTH),
        (SINCE_429, TurnEnd.RATE_LIMITED),
        ({"codexErrorInfo": ["no", "such"]}, TurnEnd.MODEL),
        ({}, TurnEnd.MODEL),
    ],
)
def test_each_error_has_its_kind(error: dict[str, Any], kind: TurnEnd) -> None:
    assert kind_of(error) is kind


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("try again in 20s", timedelta(seconds=20)),
        ("Please try again in 1.5s.", timedelta(seconds=1.5)),
        ("try again in 2 days 3 hours 4 minutes.", timedelta(days=2, hours=3, minutes=4)),
        ("try again in 350ms", timedelta(milliseconds=350)),
        ("try again later", None),
        ("try again at Foo 99th, 2026 12:26 AM.", None),
    ],
)
def test_a_span_is_read(text: str, after: timedelta | None) -> None:
    assert retry_at(text, NOW) == (NOW + after if after is not None else None)


def test_a_time_of_day_is_local_and_never_too_early() -> None:
    local = (NOW + timedelta(hours=5)).astimezone()
    texts = [f"try again at {local:%b} {local.day}th, {local:%Y} {local:%I:%M %p}."]
    if local.date() == NOW.astimezone().date():
        texts.append(f"or try again at {local:%I:%M %p}.")
    for text in texts:
        assert retry_at(text, NOW) == NOW + timedelta(hours=5, minutes=1)


def test_a_time_of_day_without_a_date_is_the_next_one() -> None:
    local = (NOW - timedelta(hours=1)).astimezone()
    found = retry_at(f"try again at {local:%I:%M %p}.", NOW)
    assert found is not None
    assert found > NOW


def test_a_turn_is_judged_by_its_status() -> None:
    def status(turn: dict[str, Any], refused: list[str]) -> tuple[Status, str | None]:
        outcome = judge(turn, output="", refused=refused, now=NOW)
        return outcome.status, outcome.error_kind

    assert status({"status": "completed"}, []) == (Status.SUCCEEDED, None)
    assert status({"status": "completed"}, ["x"]) == (Status.REJECTED, TurnEnd.DENIED)
    assert status({"status": "interrupted"}, []) == (Status.FAILED, TurnEnd.INTERRUPTED)
    assert status({"status": "failed", "error": None}, []) == (Status.FAILED, TurnEnd.MODEL)
    assert status({"status": "inProgress"}, []) == (Status.FAILED, TurnEnd.PROTOCOL)
    assert status({}, []) == (Status.FAILED, TurnEnd.PROTOCOL)
