"""Judges how a turn of Codex ended, by what its app-server says."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from orchestrator.model.outcome import Outcome, TurnEnd
from orchestrator.model.result import Status

#: Codex's own words for what went wrong, `codexErrorInfo`.
KIND_BY_WORD = {
    "contextWindowExceeded": TurnEnd.CONTEXT,
    "sessionBudgetExceeded": TurnEnd.BUDGET,
    "usageLimitExceeded": TurnEnd.RATE_LIMITED,
    "rateLimitExceeded": TurnEnd.RATE_LIMITED,
    "cyberPolicy": TurnEnd.REFUSED,
    "misalignmentPolicyViolation": TurnEnd.REFUSED,
    "inferenceHookDenied": TurnEnd.REFUSED,
    "tooManyDenials": TurnEnd.DENIED,
    "unauthorized": TurnEnd.AUTH,
    "sandboxError": TurnEnd.CRASHED,
}
_BY_STATUS = {401: TurnEnd.AUTH, 403: TurnEnd.AUTH, 429: TurnEnd.RATE_LIMITED}
#: Where Codex keeps only the text of what the model's server said.
_BY_TEXT = (
    (re.compile(r"Quota exceeded|insufficient_quota"), TurnEnd.BUDGET),
    (
        re.compile(r"status: 429|\b429 Too Many Requests|rate limit exceeded", re.IGNORECASE),
        TurnEnd.RATE_LIMITED,
    ),
    (re.compile(r"reason: content_filter"), TurnEnd.REFUSED),
    (re.compile(r"\b401 Unauthorized|\b403 Forbidden"), TurnEnd.AUTH),
)
_AT = re.compile(r"try again at (?:(\w{3}) (\d{1,2})\w{2}, (\d{4}) )?(\d{1,2}:\d{2} [AP]M)")
_IN = re.compile(r"try again in ((?:\d+(?:\.\d+)? ?[a-z]+[, and]*)+)")
_SPAN = re.compile(r"(\d+(?:\.\d+)?) ?(d|h|ms|m|s)")
_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_SHOWN = 600

Fault = Mapping[str, Any]


def judge(turn: Mapping[str, Any], *, output: str, refused: Sequence[str], now: datetime) -> Outcome:
    """Judge a finished turn; `refused` is what it was denied."""
    status = turn.get("status")
    if status == "failed":
        error = turn.get("error")
        return failed(error if isinstance(error, dict) else {}, output=output, now=now)
    if status == "interrupted":
        return ended(TurnEnd.INTERRUPTED, "Codex's turn was cut off", output)
    if status != "completed":
        return ended(TurnEnd.PROTOCOL, f"Codex ended its turn as {status!r}, which is not known", output)
    if refused:
        return Outcome(
            status=Status.REJECTED,
            output=output,
            error_kind=TurnEnd.DENIED.value,
            error_message=f"refused: {'; '.join(refused)}",
        )
    return Outcome(status=Status.SUCCEEDED, output=output)


def failed(error: Fault, *, output: str, now: datetime, said: str = "Codex gave up") -> Outcome:
    """Judge an error of the model's server, or of Codex."""
    kind = kind_of(error)
    text = " ".join(str(error[key]) for key in ("message", "additionalDetails") if error.get(key))
    return Outcome(
        status=Status.REJECTED if kind is TurnEnd.DENIED else Status.FAILED,
        output=output,
        error_kind=kind.value,
        error_message=f"{said}: {text[:_SHOWN] or 'it does not say why'}",
        retry_at=retry_at(text, now) if kind is TurnEnd.RATE_LIMITED else None,
    )


def kind_of(error: Fault) -> TurnEnd:
    """Say which kind of end an error is."""
    text = f"{error.get('message')} {error.get('additionalDetails')}"
    word, status = _word_and_status(error.get("codexErrorInfo"))
    if _BY_TEXT[0][0].search(text):
        return _BY_TEXT[0][1]
    if word in KIND_BY_WORD:
        return KIND_BY_WORD[word]
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return next((kind for pattern, kind in _BY_TEXT if pattern.search(text)), TurnEnd.MODEL)


def _word_and_status(info: Any) -> tuple[str, int]:
    if isinstance(info, str):
        return info, 0
    if isinstance(info, dict) and len(info) == 1:
        ((word, more),) = info.items()
        status = more.get("httpStatusCode") if isinstance(more, dict) else None
        return str(word), status if isinstance(status, int) else 0
    return "", 0


def retry_at(text: str, now: datetime) -> datetime | None:
    """Read from Codex's words when a limit is over; it tells a time of day by the local clock, in minutes."""
    found = _IN.search(text)
    if found:
        spans = _SPAN.findall(found[1])
        return now + timedelta(seconds=sum(float(number) * _SECONDS[unit] for number, unit in spans))
    at = _AT.search(text)
    return _local(at, now) if at else None


def _local(at: re.Match[str], now: datetime) -> datetime | None:
    here = now.astimezone()
    month, day, year, time = at.groups()
    date = f"{month} {day} {year}" if month else here.strftime("%b %d %Y")
    try:
        told = datetime.strptime(f"{date} {time}", "%b %d %Y %I:%M %p").astimezone() + timedelta(minutes=1)
    except ValueError:
        return None
    if not month and told < here:
        told += timedelta(days=1)
    return told.astimezone(now.tzinfo)


def ended(kind: TurnEnd, message: str, output: str) -> Outcome:
    """Return an end that is no success."""
    return Outcome(status=Status.FAILED, output=output, error_kind=kind.value, error_message=message)
