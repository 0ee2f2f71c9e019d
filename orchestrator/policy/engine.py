"""The policy: what a request is found to be, then the first rule about it: deny, ask, allow, or the default.

A request is judged in parts (each simple command, each path); the strictest answer counts. What is
PROHIBITED is denied before any rule is looked at, and what is not understood can never be allowed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from orchestrator.model.request import Decision, Level, PermissionRequest, Tool, Verdict
from orchestrator.policy.finding import LEVELS, Finding, Refused
from orchestrator.policy.matching import matches, matches_place
from orchestrator.policy.paths import Ground, ground_of, judge_path
from orchestrator.policy.rules import Rule, RuleFile, read_rules
from orchestrator.policy.shell import judge_shell

_STRICTNESS = (Verdict.ALLOW, Verdict.ASK, Verdict.DENY)
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")
_UNATTENDED = RuleFile(version=1, extends="unattended")


def load_policy(path: Path | str | None) -> RulePolicy:
    """Read a rule file, or take the built-in unattended policy. Raises InputError with every fault."""
    if path is None:
        return RulePolicy(_UNATTENDED)
    return RulePolicy(read_rules(Path(path)), source=Path(path).name)


class _Answer(NamedTuple):
    verdict: Verdict
    level: Level
    rule: str
    reason: str


class RulePolicy:
    """Judges requests by a set of rules. Holds no state; the same request gets the same answer."""

    def __init__(self, rules: RuleFile, *, source: str = "the policy") -> None:
        self._rules, self._source = rules, source

    def judge(self, request: PermissionRequest, workspace: Path) -> Decision:
        """Answer at once. Whatever cannot be understood is refused."""
        try:
            answers = [self._answer(finding) for finding in _findings(request, workspace)]
        except Refused as refusal:
            return _decision(
                _Answer(Verdict.DENY, refusal.level, f"unattended.{refusal.rule}", refusal.reason)
            )
        except (OSError, ValueError, TypeError, AttributeError, LookupError, RecursionError) as err:
            reason = f"the request could not be understood: {err}"
            return _decision(_Answer(Verdict.DENY, Level.PROHIBITED, "unattended.fault", reason))
        return _decision(max(answers, key=_strictness))

    def _answer(self, finding: Finding) -> _Answer:
        if finding.level is Level.PROHIBITED:
            return _built_in(finding, Verdict.DENY)
        for rules, verdict in ((self._rules.deny, Verdict.DENY), (self._rules.ask, Verdict.ASK)):
            for rule in rules:
                if matches(rule, finding, wide=True) or any(matches_place(rule, at) for at in finding.places):
                    return self._by_rule(rule, finding, verdict)
        if finding.understood:
            for rule in self._rules.allow:
                if matches(rule, finding, wide=False):
                    return self._by_rule(rule, finding, Verdict.ALLOW)
        if finding.allowed and self._rules.extends:
            return _built_in(finding, Verdict.ALLOW)
        if finding.allowed:
            reason = f"no rule of {self._source} allows this"
            return _Answer(Verdict(self._rules.default), finding.level, "default", reason)
        return _built_in(finding, Verdict(self._rules.default))

    def _by_rule(self, rule: Rule, finding: Finding, verdict: Verdict) -> _Answer:
        said = {
            Verdict.DENY: "refuses this",
            Verdict.ASK: "wants a person to decide",
            Verdict.ALLOW: "allows this",
        }
        return _Answer(
            verdict, finding.level, rule.id, rule.reason or f"the rule `{rule.id}` {said[verdict]}"
        )


def _strictness(answer: _Answer) -> tuple[int, int]:
    return _STRICTNESS.index(answer.verdict), LEVELS.index(answer.level)


def _built_in(finding: Finding, verdict: Verdict) -> _Answer:
    return _Answer(verdict, finding.level, f"unattended.{finding.rule}", finding.reason)


def _decision(answer: _Answer) -> Decision:
    return Decision(verdict=answer.verdict, level=answer.level, rule=answer.rule, reason=answer.reason)


def _findings(request: PermissionRequest, workspace: Path) -> Sequence[Finding]:
    match request.tool:
        case Tool.SHELL:
            if not isinstance(request.command, str) or not request.command.strip():
                raise Refused("the request names no command", rule="no_command")
            return judge_shell(request.command, _ground(request, workspace))
        case Tool.READ | Tool.WRITE | Tool.DELETE:
            if not request.path:
                raise Refused("the request names no path", rule="no_path")
            return [judge_path(request.tool, request.path, _ground(request, workspace))]
        case Tool.NETWORK:
            return [_network(request)]
    return [_not_allowed(request.tool)]


def _ground(request: PermissionRequest, workspace: Path) -> Ground:
    """Paths are relative to `cwd` where the agent says in which folder its shell stands."""
    folder = request.arguments.get("cwd")
    if folder is not None and not isinstance(folder, str):
        raise Refused("the working folder of the request is no text", rule="not_understood")
    return ground_of(workspace, folder)


def _network(request: PermissionRequest) -> Finding:
    url = request.arguments.get("url")
    host = request.arguments.get("host")
    if isinstance(url, str):
        parts = urlsplit(url)
        plain = (
            parts.scheme in ("http", "https")
            and url.isascii()
            and "@" not in parts.netloc
            and "\\" not in url
        )
        host = parts.hostname if plain else None
    if not isinstance(host, str) or not _HOST.fullmatch(host):
        raise Refused("the request names no plain http(s) address", rule="not_understood")
    return _not_allowed(Tool.NETWORK, host=host)


def _not_allowed(tool: Tool, host: str | None = None) -> Finding:
    reason = f"no rule allows {tool.value} when nobody watches; do without it, or say what you needed"
    return Finding(allowed=False, level=Level.DANGEROUS, rule="no_rule", reason=reason, tool=tool, host=host)
