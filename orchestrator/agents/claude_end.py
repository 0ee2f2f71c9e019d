"""Judges how a turn of Claude Code ended, by what its results say, and adds up what it used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from orchestrator.model.outcome import Outcome, TurnEnd
from orchestrator.model.result import Status, Usage

Result = Mapping[str, Any]

#: How a turn may stop that came to its own end. Anything else was cut off.
_DONE = (None, "end_turn", "stop_sequence")
_BY_SUBTYPE = {"error_max_turns": TurnEnd.TURNS, "error_max_budget_usd": TurnEnd.BUDGET}
_BY_REASON = {
    "aborted_tools": TurnEnd.INTERRUPTED,
    "aborted_streaming": TurnEnd.INTERRUPTED,
    "prompt_too_long": TurnEnd.CONTEXT,
    "max_turns": TurnEnd.TURNS,
    "budget_exhausted": TurnEnd.BUDGET,
}
#: Its own word for what the model's server answered, in the message that stands for the answer.
_BY_ERROR = {
    "authentication_failed": TurnEnd.AUTH,
    "oauth_org_not_allowed": TurnEnd.AUTH,
    "billing_error": TurnEnd.BUDGET,
    "rate_limit": TurnEnd.RATE_LIMITED,
    "max_output_tokens": TurnEnd.CONTEXT,
}
_BY_STATUS = {401: TurnEnd.AUTH, 403: TurnEnd.AUTH, 413: TurnEnd.CONTEXT, 429: TurnEnd.RATE_LIMITED}
_BY_STOP = {
    "refusal": TurnEnd.REFUSED,
    "max_tokens": TurnEnd.CONTEXT,
    "model_context_window_exceeded": TurnEnd.CONTEXT,
}
_SHOWN = 500


def judge(result: Result, *, error: str | None, refused: Sequence[str], retry_at: datetime | None) -> Outcome:
    """Judge the end of a turn by its last result.

    `error` is the program's own word for what went wrong with the model, `refused` what it was denied,
    `retry_at` when the limit that it was told of is over.
    """
    output = result.get("result") if isinstance(result.get("result"), str) else ""
    kind = _kind(result, error)
    if kind is not None:
        return Outcome(
            status=Status.FAILED,
            output=output or "",
            error_kind=kind.value,
            error_message=_message(result, kind),
            retry_at=retry_at if kind is TurnEnd.RATE_LIMITED else None,
        )
    if refused:
        return Outcome(
            status=Status.REJECTED,
            output=output or "",
            error_kind=TurnEnd.DENIED.value,
            error_message=f"refused: {'; '.join(refused)}",
        )
    return Outcome(status=Status.SUCCEEDED, output=output or "")


def _kind(result: Result, error: str | None) -> TurnEnd | None:
    """Why the turn is not simply done; None when it is."""
    stop, reason = result.get("stop_reason"), result.get("terminal_reason")
    for table, key in ((_BY_SUBTYPE, result.get("subtype")), (_BY_REASON, reason), (_BY_STOP, stop)):
        if isinstance(key, str) and key in table:
            return table[key]
    if result.get("is_error") is False and result.get("subtype") == "success":
        if not result.get("num_turns"):
            return TurnEnd.PROTOCOL
        return None if stop in _DONE and reason in {None, "completed"} else TurnEnd.INTERRUPTED
    word = error or result.get("api_error")
    if isinstance(word, str) and word in _BY_ERROR:
        return _BY_ERROR[word]
    status = result.get("api_error_status")
    return _BY_STATUS.get(status, TurnEnd.MODEL) if isinstance(status, int) else TurnEnd.MODEL


def _message(result: Result, kind: TurnEnd) -> str:
    if kind is TurnEnd.INTERRUPTED:
        how = result.get("terminal_reason") or result.get("stop_reason")
        return f"Claude Code's turn was cut off ({how})"
    if kind is TurnEnd.PROTOCOL:
        return "Claude Code ended its turn without asking the model anything"
    errors = result.get("errors")
    said = "; ".join(map(str, errors)) if isinstance(errors, list) and errors else result.get("result")
    status = result.get("api_error_status")
    told = f" (HTTP {status})" if isinstance(status, int) else ""
    return f"Claude Code: {str(said or kind.value).strip()[:_SHOWN]}{told}"


def reset_time(event: Mapping[str, Any]) -> datetime | None:
    """When the limit of a `rate_limit_event` is over; None when it is not reached."""
    told = event.get("rate_limit_info")
    if not isinstance(told, Mapping) or told.get("status") != "rejected":
        return None
    stamp = told.get("resetsAt")
    try:
        return datetime.fromtimestamp(stamp, UTC) if isinstance(stamp, int | float) else None
    except (OverflowError, OSError, ValueError):
        return None


def usage_of(results: Sequence[Result], *, resumed: bool) -> Usage:
    """Add up the results of one attempt. A resumed session's own totals hold earlier attempts too."""
    if not results:
        return Usage()
    parts = [part for result in results for part in _models(result)]
    if all("model_usage_since_last_result" in result for result in results):
        read = ("inputTokens", "cacheReadInputTokens", "cacheCreationInputTokens")
        return Usage(
            input_tokens=sum(_whole(part.get(key)) for part in parts for key in read),
            output_tokens=sum(_whole(part.get("outputTokens")) for part in parts),
            cost_usd=sum(_number(part.get("costUSD")) for part in parts),
            turns=_turns(results),
        )
    plain = [used for result in results if isinstance(used := result.get("usage"), Mapping)]
    read = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    total = results[-1].get("total_cost_usd")
    return Usage(
        input_tokens=sum(_whole(part.get(key)) for part in plain for key in read) if plain else None,
        output_tokens=sum(_whole(part.get("output_tokens")) for part in plain) if plain else None,
        cost_usd=_number(total) if total is not None and not resumed else None,
        turns=_turns(results),
    )


def _models(result: Result) -> list[Mapping[str, Any]]:
    told = result.get("model_usage_since_last_result")
    return [part for part in told.values() if isinstance(part, Mapping)] if isinstance(told, Mapping) else []


def _turns(results: Sequence[Result]) -> int:
    return sum(_whole(result.get("num_turns")) for result in results)


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
