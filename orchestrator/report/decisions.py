"""Every decision of a run, and the rules that would have spared the questions asked often."""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from orchestrator.journal.state import RunState
from orchestrator.journal.worker_state import PermissionState, WorkerState

#: Asked at least so often, a rule is worth its lines.
OFTEN = 2
_WHAT_CHARACTERS = 4000
_PROGRAM = re.compile(r"[A-Za-z0-9_.+/-]+")
_PLAIN_COMMAND = re.compile(r"[A-Za-z0-9_.+/=:,@%' -]+")
_PLAIN_PATH = re.compile(r"[^~*?\[{\x00-\x1f][^*?\[{\x00-\x1f]*")
_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")


def decisions(state: RunState) -> list[dict[str, Any]]:
    """Return every permission request of the run with what came of it, in the order they were made."""
    entries = [
        (entry, _decision(worker, entry))
        for worker in state.workers.values()
        for entry in worker.permissions.values()
    ]
    started = state.started_at
    entries.sort(key=lambda pair: (pair[0].asked_at or started) if started else 0)
    return [document for _, document in entries]


def _decision(worker: WorkerState, entry: PermissionState) -> dict[str, Any]:
    decision = entry.decision or {}
    waited = None
    if entry.question and entry.asked_at and entry.decided_at:
        waited = round((entry.decided_at - entry.asked_at).total_seconds(), 3)
    return {
        "worker_id": worker.id,
        "attempt": entry.attempt,
        "tool": entry.request.get("tool"),
        "what": what_of(entry.request)[:_WHAT_CHARACTERS],
        "verdict": decision.get("verdict"),  # None: the run ended before there was one
        "level": decision.get("level") or (entry.question or {}).get("level"),
        "rule": decision.get("rule"),
        "reason": decision.get("reason"),
        "by": decision.get("by"),
        "at": entry.decided_at.isoformat() if entry.decided_at else None,
        "asked": bool(entry.question),
        "asked_rule": (entry.question or {}).get("rule"),
        "waited_seconds": waited,
    }


def what_of(request: Mapping[str, Any]) -> str:
    """What a request is about, as one text."""
    if subject := request.get("command") or request.get("path"):
        return str(subject)
    arguments = request.get("arguments") or {}
    return json.dumps(arguments, sort_keys=True) if arguments else ""


@dataclass(frozen=True, slots=True)
class _Often:
    tool: str
    what: str
    count: int
    verdicts: frozenset[str]
    rules: frozenset[str]


def suggested_rules(made: Sequence[Mapping[str, Any]]) -> str | None:
    """Return rules, in the policy's own format, for what people were asked often; None without any."""
    groups: dict[str, list[str]] = {"deny": [], "allow": []}
    remarks: list[str] = []
    ids: Counter[str] = Counter()
    for often in _asked_often(made):
        if len(often.verdicts) != 1:
            continue  # people were of two minds: it stays a question
        [verdict] = often.verdicts
        own = sorted(rule for rule in often.rules if not _is_default(rule))
        condition = _condition(often, verdict)
        if condition is None:
            continue
        if verdict == "allow" and own:
            remarks.append(
                f"# {often.count} x asked by your rule {own[0]}, which counts before any allow rule:"
            )
            remarks.append(f"#   {_quoted(often.what)}; narrow that rule to spare the question")
            continue
        rule_id = f"{verdict}-{_slug(often.what)}"
        ids[rule_id] += 1
        number = f"-{ids[rule_id]}" if ids[rule_id] > 1 else ""
        groups[verdict].append(
            f"  - {{id: {rule_id}{number}, tools: [{often.tool}], {condition}}}  # {often.count} x asked"
        )
    lines = [line for name, rules in groups.items() if rules for line in (f"{name}:", *rules)]
    return "\n".join([*lines, *remarks]) or None


def _asked_often(made: Sequence[Mapping[str, Any]]) -> Iterator[_Often]:
    same: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for one in made:
        if one["rule"] == "person":
            same.setdefault((str(one["tool"]), one["what"]), []).append(one)
    for (tool, what), entries in sorted(same.items(), key=lambda item: -len(item[1])):
        if len(entries) >= OFTEN:
            yield _Often(
                tool=tool,
                what=what,
                count=len(entries),
                verdicts=frozenset(str(entry["verdict"]) for entry in entries),
                rules=frozenset(str(entry["asked_rule"]) for entry in entries if entry["asked_rule"]),
            )


def _is_default(rule: str) -> bool:
    """Whether the question came from `default: ask`, not from a rule that a person wrote."""
    return rule == "default" or rule.startswith("unattended.")


def _condition(often: _Often, verdict: str) -> str | None:
    """Say the request as a condition of a rule, never wider than one program, path or host."""
    match often.tool:
        case "shell":
            return _command(often.what, verdict)
        case "read" | "write" | "delete":
            plain = _PLAIN_PATH.fullmatch(often.what) and ".." not in often.what.split("/")
            return f"paths: [{_quoted(often.what)}]" if plain else None
        case "network":
            host = _host(often.what)
            return f"hosts: [{_quoted(host)}]" if host else None
    return None


def _command(line: str, verdict: str) -> str | None:
    try:
        words = shlex.split(line) if _PLAIN_COMMAND.fullmatch(line) else []
    except ValueError:
        words = []
    if not words or not _PROGRAM.fullmatch(words[0]) or "" in words:
        return None
    # Rules that refuse look past options to find the first words.
    first = words[1:] if verdict == "allow" else [word for word in words[1:] if not word.startswith("-")]
    listed = f", subcommands: [{', '.join(map(_quoted, first))}]" if first else ""
    return f"commands: [{{program: {_quoted(words[0])}{listed}}}]"


def _host(what: str) -> str | None:
    try:
        arguments = json.loads(what)
        host = arguments.get("host") or urlsplit(str(arguments.get("url") or "")).hostname
    except (ValueError, AttributeError):
        return None
    return host if isinstance(host, str) and _HOST.fullmatch(host) else None


def _quoted(text: str) -> str:
    """A YAML scalar; JSON in ASCII is one, and holds nothing that could steer a terminal."""
    return json.dumps(text)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40].rstrip("-") or "request"
