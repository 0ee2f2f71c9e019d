"""The decisions of a run in its report, and the rules suggested from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from report_events import HOSTILE, begun, ended, event, hostile_run, worked

from orchestrator.journal.state import RunState, fold
from orchestrator.model.event import Event, EventKind
from orchestrator.model.request import PermissionRequest, Tool, Verdict
from orchestrator.policy import load_policy
from orchestrator.report.build import build_report
from orchestrator.report.decisions import decisions, suggested_rules
from orchestrator.report.page import render_page
from orchestrator.report.text import render_text

ADA = "ada (pid 7)"


def asked(
    number: int, verdict: str, *, rule: str = "unattended.no_rule", second: float = 1, **request: Any
) -> list[Event]:
    """A request that the policy left to people, and Ada's answer after two seconds."""
    name = {"request_id": str(number)}
    return [
        event(EventKind.PERMISSION_REQUESTED, second, "a", **name, **({"tool": "shell"} | request)),
        event(EventKind.PERMISSION_DECIDED, second, "a", **name, verdict="ask", rule=rule, question=number),
        event(
            EventKind.PERMISSION_DECIDED,
            second + 2,
            "a",
            **name,
            verdict=verdict,
            level="CAUTION",
            rule="person",
            reason="r",
            by=ADA,
        ),
    ]


def run_with(*events: Event) -> RunState:
    first, *rest = worked("a", 0.0, 9.0)
    return fold([begun(["a"]), first, *events, *rest, ended(9.5)])


def judged(snippet: str, tmp_path: Path, request: PermissionRequest) -> tuple[Verdict, str]:
    """What the policy says with the suggested rules, where everything else is asked."""
    rules = tmp_path / "policy.yaml"
    rules.write_text(f"version: 1\nextends: unattended\n{snippet}\ndefault: ask\n")
    decision = load_policy(rules).judge(request, tmp_path)
    return decision.verdict, decision.rule


def test_every_decision_is_listed_in_order() -> None:
    policy = {"verdict": "allow", "level": "SAFE", "rule": "unattended.workspace_file", "reason": "ok"}
    state = run_with(
        *asked(1, "deny", second=3, command="curl x"),
        event(EventKind.PERMISSION_REQUESTED, 2, "a", request_id="w", tool="write", path="f"),
        event(EventKind.PERMISSION_DECIDED, 2, "a", request_id="w", **policy),
    )
    first, second = build_report(state)["decisions"]
    assert (first["worker_id"], first["tool"], first["what"], first["verdict"]) == (
        "a",
        "write",
        "f",
        "allow",
    )
    assert (first["rule"], first["by"], first["asked"]) == ("unattended.workspace_file", None, False)
    assert (second["what"], second["verdict"], second["rule"], second["by"]) == (
        "curl x",
        "deny",
        "person",
        ADA,
    )
    assert (second["level"], second["asked_rule"], second["waited_seconds"]) == (
        "CAUTION",
        "unattended.no_rule",
        2.0,
    )
    assert second["at"] == "2026-11-23T19:30:10+00:00"
    text = render_text(build_report(state))
    assert "Decisions: 2, of them 1 allowed by the policy" in text
    assert "denied      1 x shell curl x" in text
    page = render_page(state)
    assert "Decisions of people" in page
    assert ADA in page


def test_a_question_without_an_answer_is_listed_as_such() -> None:
    [one] = decisions(run_with(*asked(1, "allow", command="x")[:2]))
    assert (one["verdict"], one["at"], one["asked"]) == (None, None, True)


def test_without_requests_nothing_is_said() -> None:
    report = build_report(run_with())
    assert (report["decisions"], report["suggested_rules"]) == ([], None)
    assert "Decisions" not in render_text(report)


def test_a_hostile_request_reaches_no_terminal() -> None:
    state = fold(hostile_run())
    assert not set("\x1b\u202e") & set(render_text(build_report(state)))
    twice = [*asked(1, "allow", command=HOSTILE), *asked(2, "allow", command=HOSTILE)]
    assert build_report(run_with(*twice))["suggested_rules"] is None
    paths = [*asked(1, "allow", path=f"x\u202e{HOSTILE[5:9]}", tool="write")] * 2
    again = suggested_rules(decisions(run_with(*paths)))
    assert again is None or again.isascii()


@pytest.mark.parametrize(
    ("request_", "other"),
    [
        ({"tool": "shell", "command": "npm install left-pad"}, {"tool": "shell", "command": "npm publish x"}),
        (
            {"tool": "shell", "command": "terraform plan -lock=false"},
            {"tool": "shell", "command": "terraform apply"},
        ),
        (
            {"tool": "network", "arguments": {"host": "docs.python.org"}},
            {"tool": "network", "arguments": {"host": "example.org"}},
        ),
    ],
)
@pytest.mark.parametrize("verdict", ["allow", "deny"])
def test_the_suggested_rule_spares_the_question_and_no_other(
    tmp_path: Path, request_: dict[str, Any], other: dict[str, Any], verdict: str
) -> None:
    made = decisions(run_with(*asked(1, verdict, **request_), *asked(2, verdict, **request_)))
    snippet = suggested_rules(made)
    assert snippet is not None

    def ask(about: dict[str, Any]) -> tuple[Verdict, str]:
        return judged(snippet, tmp_path, PermissionRequest(id="1", **{**about, "tool": Tool(about["tool"])}))

    said, rule = ask(request_)
    assert (said, rule.partition("-")[0]) == (Verdict(verdict), verdict)
    assert ask(other)[0] is Verdict.ASK


def test_what_was_asked_once_or_answered_both_ways_stays_a_question() -> None:
    once = asked(1, "allow", command="make docs")
    both = [*asked(2, "allow", command="make all"), *asked(3, "deny", command="make all")]
    assert suggested_rules(decisions(run_with(*once, *both))) is None


def test_a_question_of_the_persons_own_rule_is_told_as_such() -> None:
    """An allow rule would change nothing: ask rules count first."""
    events = [
        *asked(1, "allow", rule="pushes", command="git push"),
        *asked(2, "allow", rule="pushes", command="git push"),
    ]
    snippet = suggested_rules(decisions(run_with(*events)))
    assert snippet is not None
    assert "asked by your rule pushes" in snippet
    assert yaml.safe_load(snippet) is None


@pytest.mark.parametrize("command", ["a; b", "echo $HOME", "x > y", "'unclosed", "a\nb", "`id`", ""])
def test_what_no_rule_can_say_exactly_is_not_suggested(command: str) -> None:
    events = [*asked(1, "allow", command=command), *asked(2, "allow", command=command)]
    assert suggested_rules(decisions(run_with(*events))) is None
