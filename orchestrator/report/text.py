"""The report of a run as plain text for a terminal 80 columns wide."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.report.conflict_text import (
    file_lines,
    head_line,
    hint_lines,
    order_lines,
    prediction_lines,
    target_lines,
)
from orchestrator.report.words import duration, one_line, stamp

_WIDTH = 80
_ID_WIDTH = 30
_ERROR_LINES = 8
_DECISION_LINES = 20
_REASONS = {"quota": "limits of accounts", "start_interval": "the start interval", "budget": "the budget"}


def render_text(report: Mapping[str, Any]) -> str:
    """Return `build_report`'s document as text."""
    parts = [_head(report), _table([*report["results"], *report["pending"]])]
    parts += [_trouble(entry) for entry in report["results"] if not entry["success"]]
    parts += [_variants(entry) for entry in report["results"] if entry["variants"]]
    parts += _conflicts(report["conflicts"])
    parts += _landing(report)
    parts += _decisions(report)
    return "\n\n".join(parts) + "\n"


def _head(report: Mapping[str, Any]) -> str:
    results = report["results"]
    total = len(results) + len(report["pending"])
    base = f"{one_line(report['base_ref'] or '')} {one_line(report['base_commit'] or '')[:12]}".strip()
    others = [f"{count} {status}" for status, count in report["counts"].items() if count]
    busy = f"{report['speedup']:.1f} busy on average ({duration(report['sum_seconds'])} in slots)"
    rows = [
        ("repository", one_line(report["repo"])),
        ("base", base),
        ("boundary", f"{one_line(report['isolation'])}, {one_line(report['boundary'])}".strip(", ")),
        ("tasks", ", ".join([f"{len(results)} of {total} ended", *others])),
        (
            "time",
            f"{duration(report['wall_seconds'])} in all, longest task {duration(report['max_seconds'])}",
        ),
        ("parallel", f"{busy}, up to {report['max_overlap']} at once"),
        ("usage", _usage([entry["usage"] for entry in results])),
        ("budget", _budget(report.get("budget"))),
        ("waited", _waits([*results, *report["pending"]])),
        ("no changes", _named(results, "no_changes")),
    ]
    lines = [f"Run {one_line(report['run_id'])}: {one_line(report['status'])}"]
    lines += [f"  {name:<11} {value}" for name, value in rows if value]
    return "\n".join(lines)


def _budget(told: Mapping[str, Any] | None) -> str:
    """Say what is gone of the run's budget; what was not told counts as it was configured."""
    if not told:
        return ""
    parts = []
    if told.get("cost_usd") is not None:
        digits = 2 if told["cost_usd"] >= 1 else 4
        parts.append(f"{told['spent_usd']:.{digits}f} of {told['cost_usd']:.{digits}f} USD")
    if told.get("tokens") is not None:
        parts.append(f"{told['spent_tokens']:,.0f} of {told['tokens']:,.0f} tokens")
    return f"{' and '.join(parts)} spent" if parts else ""


def _waits(entries: Sequence[Mapping[str, Any]]) -> str:
    """Add up what workers waited for that could have started."""
    sums: Counter[str] = Counter()
    for entry in entries:
        sums.update(entry.get("waits") or {})
    return ", ".join(f"{duration(seconds)} for {_REASONS.get(why, why)}" for why, seconds in sums.items())


def _named(entries: Sequence[Mapping[str, Any]], note: str) -> str:
    """Name the tasks that have this note."""
    names = [one_line(entry["worker_id"]) for entry in entries if note in (entry.get("notes") or ())]
    return f"{', '.join(names)}: succeeded, and changed no file" if names else ""


def _usage(told: Sequence[Mapping[str, Any]]) -> str:
    """Add up what agents told of their usage; empty when none told anything."""
    words = {"input_tokens": "{:,} tokens in", "output_tokens": "{:,} out", "turns": "{:,} turns"}
    parts = []
    for key, text in {**words, "cost_usd": "{:.2f} USD"}.items():
        figures = [usage[key] for usage in told if usage.get(key) is not None]
        if figures:
            by = "" if len(figures) == len(told) else f" ({len(figures)} of {len(told)} tell)"
            parts.append(text.format(sum(figures)) + by)
    return ", ".join(parts)


def _table(entries: Sequence[Mapping[str, Any]]) -> str:
    width = min(_ID_WIDTH, max([4, *(len(entry["worker_id"]) for entry in entries)]))
    lines = [f"  {'TASK':<{width}}  {'STATUS':<12} {'TIME':>8} {'WAITED':>8} {'TRIES':>5} {'FILES':>5}"]
    for entry in entries:
        name = one_line(entry["worker_id"])
        name = name if len(name) <= width else name[: width - 1] + "…"
        lines.append(f"  {name:<{width}}  {_figures(entry)}")
    return "\n".join(line.rstrip() for line in lines)


def _figures(entry: Mapping[str, Any]) -> str:
    if "status" not in entry:
        return f"{entry['phase']:<12}"
    return (
        f"{entry['status']:<12} {duration(entry['duration']):>8} {duration(entry['queue_wait']):>8} "
        f"{entry['attempts']:>5} {len(entry['files_changed']):>5}"
    )


def _variants(entry: Mapping[str, Any]) -> str:
    """Say which variant of a task was chosen, and what became of each."""
    lines = [f"Variants of {one_line(entry['worker_id'])}"]
    for variant in entry["variants"]:
        mark = "*" if variant["chosen"] else " "
        facts = [variant["status"]]
        if variant["diff_lines"] is not None:
            facts.append("1 line" if variant["diff_lines"] == 1 else f"{variant['diff_lines']} lines")
        if variant["conflicts"]:
            facts.append(f"in conflict with {variant['conflicts']}")
        if variant["gate_s"] is not None:
            facts.append(f"gate {variant['gate_s']:.1f} s")
        by = " ".join(one_line(name) for name in (variant["agent"], variant["model"]) if name)
        line = f"  {mark} {one_line(variant['worker_id'])} ({by}): {one_line(', '.join(facts))}"
        lines.append(_clip(line, _WIDTH - 1))
        if variant["chosen"]:
            lines += textwrap.wrap(
                f"chosen: {one_line(variant['why'])}",
                _WIDTH,
                initial_indent="      ",
                subsequent_indent="      ",
            )
        if variant["salvaged"]:
            lines.append(f"      kept as {one_line(variant['salvaged'])}")
    return "\n".join(lines)


def _conflicts(found: Mapping[str, Any]) -> list[str]:
    """Say which branches git cannot merge by itself, file by file, and the order with the fewest of them."""
    width, order = _WIDTH - 1, found["order"]
    parts = []
    if found["pairs"]:
        lines = [head_line(found), *file_lines(found["pairs"], order, width)]
        parts.append([*lines, *order_lines(found, width)])
    parts += [target_lines(found, order, width), prediction_lines(found)]
    parts.append(hint_lines(found.get("hints") or (), width))
    return ["\n".join(part) for part in parts if part]


def _landing(report: Mapping[str, Any]) -> list[str]:
    landing = report["landing"]
    gates = report.get("gates", [])
    base = [gate for gate in gates if gate["on"] == "base" and not gate["passed"]]
    parts = []
    if base:
        parts.append(_wrapped(f"The base commit fails its own gate: {one_line(base[-1]['reason'] or '')}"))
    if landing["branch"]:
        parts.append("\n".join(["Landing", *(f"  {line}" for line in landing_lines(landing, gates))]))
    return parts


def _resolved_line(each: Mapping[str, Any]) -> str:
    files = ", ".join(map(one_line, each["files"][:5]))
    rounds = "1 round" if each["round"] == 1 else f"{each['round']} rounds"
    who = f"{one_line(each['worker_id'])}: by its agent {one_line(each['agent'])}"
    return f"resolved  {who} in {rounds} ({files})"


def landing_lines(landing: Mapping[str, Any], gates: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say what has landed, what was set aside and why, and what became of the user's branch."""
    landed = ", ".join(map(one_line, landing["landed"])) or "nothing"
    lines = [f"landed    {landed}"]
    if landing["commit"]:
        lines.append(f"branch    {one_line(landing['branch'])} at {landing['commit'][:12]}")
    lines += [_resolved_line(each) for each in landing.get("resolved") or ()]
    lines += [
        f"held      {one_line(held['worker_id'])}: {one_line(held['reason'])}" for held in landing["held"]
    ]
    if landing.get("empty"):
        lines.append(f"no work   {', '.join(map(one_line, landing['empty']))}")
    ran = [gate for gate in gates if gate["on"] == "landing"]
    if ran:
        flaky = sum(gate["flaky"] for gate in ran)
        cached = sum(gate["cached"] for gate in ran)
        failed = sum(not gate["passed"] for gate in ran)
        facts = [
            f"{len(ran)} {'gate' if len(ran) == 1 else 'gates'}",
            f"{failed} failed",
            f"{cached} certified before",
        ]
        lines.append("gates     " + ", ".join([*facts, *([f"{flaky} flaky"] if flaky else [])]))
    if into := landing.get("into"):
        done = (
            f"fast-forwarded to {into['new'][:12]}"
            if into["moved"]
            else f"not moved: {one_line(into['reason'])}"
        )
        lines.append(f"into      {one_line(into['branch'])}: {done}")
    lines += [
        f"opened    {one_line(each['url'] or each['branch'])}" for each in landing.get("pull_requests") or ()
    ]
    if landing.get("stopped"):
        lines.append(f"stopped   {one_line(landing['stopped'])}")
    return lines


def _wrapped(text: str) -> str:
    return "\n".join(textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False))


def _decisions(report: Mapping[str, Any]) -> list[str]:
    """What people were asked and what was refused, same ones together; the rest as figures."""
    made = report["decisions"]
    if not made:
        return []
    telling = [one for one in made if one["asked"] or one["by"] or one["verdict"] != "allow"]
    groups = Counter((_verdict(one), one["tool"], one["what"], one["by"] or one["rule"]) for one in telling)
    lines = [f"Decisions: {len(made)}, of them {len(made) - len(telling)} allowed by the policy"]
    for (verdict, tool, what, who), count in groups.most_common(_DECISION_LINES):
        line = f"  {verdict:<9} {count:>3} x {one_line(f'{tool} {what}')}"
        lines.append(f"{_clip(line, _WIDTH - 1)}\n{'':18}by {one_line(str(who))}")
    if len(groups) > _DECISION_LINES:
        lines.append(
            f"  and {len(groups) - _DECISION_LINES} more kinds; `orchestrator report --json` has all"
        )
    parts = ["\n".join(lines)]
    if report["suggested_rules"]:
        parts.append(f"Rules for what was asked often:\n\n{report['suggested_rules']}")
    return parts


def _verdict(one: Mapping[str, Any]) -> str:
    return {"allow": "allowed", "deny": "denied"}.get(one["verdict"], "no answer")


def _clip(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _trouble(entry: Mapping[str, Any]) -> str:
    """Say why a task did not succeed, and where to look."""
    kind = one_line(entry["error_kind"] or "")
    why = f" ({kind})" if kind not in {"", entry["status"]} else ""
    lines = [f"{one_line(entry['worker_id'])}: {entry['status']}{why}"]
    message = one_line(entry["error_message"] or "no reason was given")
    lines += textwrap.wrap(
        message,
        _WIDTH,
        initial_indent="  ",
        subsequent_indent="  ",
        max_lines=_ERROR_LINES,
        placeholder=" …",
        break_long_words=False,  # a path must stay whole to be copied
        break_on_hyphens=False,
    )
    if entry.get("retry_at"):
        lines.append(f"  can go on: from {one_line(stamp(entry['retry_at']))}")
    for name in ("log", "transcript"):
        if path := entry.get(f"{name}_path"):
            lines.append(f"  {name}: {one_line(path)}")
    return "\n".join(lines)
