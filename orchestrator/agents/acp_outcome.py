"""Judges how an ACP agent's turn ended: the stop reason it gave, or the error in its place."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestrator.agents.acp_rpc import AUTH_REQUIRED, INTERNAL, RpcError
from orchestrator.model.outcome import Outcome, TurnEnd
from orchestrator.model.result import Status, Usage

_ENDS = {
    "max_tokens": (TurnEnd.CONTEXT, "the agent stopped: the model's limit of tokens was reached"),
    "max_turn_requests": (TurnEnd.TURNS, "the agent stopped: its limit of requests to the model was reached"),
    "refusal": (TurnEnd.REFUSED, "the model refused to go on"),
    "cancelled": (TurnEnd.INTERRUPTED, "the agent's turn was cut off"),
}
_LIMITED = re.compile(r"\b429\b|rate.?limit|quota|resource.?exhausted|too many requests", re.IGNORECASE)
_UNKNOWN_LOGIN = re.compile(
    r"\b40[13]\b|unauthori[sz]ed|authenticat|api.?key (?:is |not )|invalid.{0,8}api.?key|permission.?denied"
    r"|logged.?in|/login",
    re.IGNORECASE,
)
_CONTEXT = re.compile(r"context (?:window|length)|too many tokens|prompt is too long", re.IGNORECASE)
_RETRY = re.compile(r"retry[_ -]?(?:in|after|delay)\W{1,6}(\d{1,7}(?!\d)(?:\.\d+)?)", re.IGNORECASE)
_SHOWN = 500


def failed(kind: TurnEnd, message: str, **more: Any) -> Outcome:
    """Return the end of a turn that failed."""
    return Outcome(status=Status.FAILED, error_kind=kind.value, error_message=message, **more)


def judge_stop(reason: object, refused: Sequence[str], *, output: str, did_something: bool) -> Outcome:
    """Judge a turn that came to an end of its own."""
    if refused and reason in {"end_turn", "cancelled"}:
        return Outcome(
            status=Status.REJECTED,
            error_kind=TurnEnd.DENIED.value,
            error_message=f"refused: {'; '.join(refused)}",
            output=output,
        )
    if reason == "end_turn":
        if not did_something:
            return failed(TurnEnd.NO_RESPONSE, "the agent ended its turn and had said and done nothing")
        return Outcome(status=Status.SUCCEEDED, output=output)
    if isinstance(reason, str) and reason in _ENDS:
        kind, message = _ENDS[reason]
        return failed(kind, message, output=output)
    return failed(
        TurnEnd.PROTOCOL, f"the agent's turn ended for an unknown reason: {reason!r:.80}", output=output
    )


def judge_error(err: RpcError, *, doing: str) -> Outcome:
    """Judge an error that the agent answered with instead."""
    detail = json.dumps(err.data, default=str, ensure_ascii=False) if err.data else ""
    said = f"{err.message} {detail}".strip()
    message = f"{doing}: {said[:_SHOWN]} (code {err.code})"
    if err.code == 429 or _LIMITED.search(said):
        return failed(TurnEnd.RATE_LIMITED, message, retry_at=_retry_at(said))
    if err.code in {AUTH_REQUIRED, 401, 403} or _UNKNOWN_LOGIN.search(said):
        return failed(TurnEnd.AUTH, message)
    if _CONTEXT.search(said):
        return failed(TurnEnd.CONTEXT, message)
    if err.code >= 0 or err.code == INTERNAL:
        return failed(TurnEnd.MODEL, message)
    return failed(TurnEnd.PROTOCOL, message)


def _retry_at(said: str) -> datetime | None:
    found = _RETRY.search(said)
    return datetime.now(UTC) + timedelta(seconds=float(found[1])) if found else None


def usage_of(answer: Mapping[str, Any], cost_usd: float | None) -> Usage:
    """Read the turn's figures out of the answer to the prompt; None where it has none."""
    meta = _part(_part(_part(answer, "_meta"), "quota"), "token_count")
    plain = _part(answer, "usage")
    return Usage(
        input_tokens=_count(plain.get("inputTokens"), meta.get("input_tokens")),
        output_tokens=_count(plain.get("outputTokens"), meta.get("output_tokens")),
        cost_usd=cost_usd,
    )


def _part(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    return found if isinstance(found, Mapping) else {}


def _count(*values: object) -> int | None:
    for value in values:
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
    return None
