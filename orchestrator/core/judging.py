"""What a judge of variants is asked, and what counts as its answer. Nothing that it says is trusted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.attempt.spec import AttemptReport
from orchestrator.model.result import Status
from orchestrator.model.task import Task
from orchestrator.safe_text import safe_text

#: Of each candidate's diff, so many characters are shown.
DIFF_SHOWN = 100_000
#: Of what a judge says, so many characters are kept.
_WHY_SHOWN = 500
#: A judge without a time limit of its own gets this many seconds.
JUDGE_S = 600.0
_ASKED = 'Print exactly one JSON object, and nothing else: {"winner": "<id>", "why": "<text>"}'


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of asking: a winner, or why there is none."""

    winner: str | None
    said: str


def question(task: Task, candidates: Sequence[Mapping[str, Any]], diffs: Mapping[str, str]) -> str:
    """Return the JSON document that the judge gets on its standard input."""
    keys = ("files", "diff_lines", "conflicts", "gate_s")
    shown = [
        {
            "id": one["worker_id"],
            **{key: one[key] for key in keys},
            "diff": diffs[one["worker_id"]][:DIFF_SHOWN],
            "diff_truncated": len(diffs[one["worker_id"]]) > DIFF_SHOWN,
        }
        for one in candidates
    ]
    about = {"id": task.id, "prompt": task.prompt}
    return json.dumps({"asked": _ASKED, "task": about, "candidates": shown})


def read_verdict(report: AttemptReport, candidates: Sequence[str]) -> Verdict:
    """Take the judge's answer, if it is one."""
    outcome = report.outcome
    if outcome.status is not Status.SUCCEEDED:
        return Verdict(None, safe_text(f"the judge failed: {outcome.error_message or outcome.status}"))
    try:
        answer = json.loads(outcome.output)
    except (ValueError, RecursionError):
        return Verdict(None, "the judge's answer is not one JSON object")
    if not isinstance(answer, dict) or answer.keys() != {"winner", "why"}:
        return Verdict(None, "the judge's answer has not the two keys `winner` and `why`")
    winner, why = answer["winner"], answer["why"]
    if not isinstance(winner, str) or not isinstance(why, str):
        return Verdict(None, "the judge's answer has something else than text in it")
    if winner not in candidates:
        return Verdict(None, "the judge chose what is no candidate")
    return Verdict(winner, safe_text(why)[:_WHY_SHOWN])
