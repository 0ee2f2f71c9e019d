"""The review packet as Markdown; what agents and repositories wrote can neither format nor link anything."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orchestrator.report.words import duration, one_line
from orchestrator.safe_text import safe_text

FILES_SHOWN = 200
DENIALS_SHOWN = 50
TEXT_CHARACTERS = 6000
_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~&$@]|:(?=/))")


def render_review(packet: Mapping[str, Any]) -> str:
    """Return the whole packet as Markdown."""
    base = f"base {code(packet['base_ref'])} ({code((packet['base_commit'] or '')[:12])})"
    lines = [
        f"# Review of run {code(packet['run_id'])}",
        "",
        f"{plain(packet['status'])} · {code(packet['repo'])} · {base}",
        "",
        *_overview(packet["workers"]),
        *_section("The combined tree", list(_combined(packet))),
    ]
    for worker in packet["workers"]:
        lines += ["", *_worker(worker)]
    return "\n".join(lines) + "\n"


def plain(text: object) -> str:
    """One line of foreign text, as text: Markdown and HTML in it mean nothing."""
    return _SPECIAL.sub(r"\\\1", one_line(str(text)))


def code(text: object) -> str:
    """One line of foreign text as a code span."""
    shown = one_line(str(text)) or "-"
    fence = "`" * (_longest_run(shown) + 1)
    space = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{space}{shown}{space}{fence}"


def block(text: str) -> list[str]:
    """Foreign text of several lines, as it is; its end is left out when it is long."""
    shown = safe_text(text).strip("\n")
    if len(shown) > TEXT_CHARACTERS:
        shown = shown[:TEXT_CHARACTERS] + "…"
    fence = "`" * max(3, _longest_run(shown) + 1)
    return [f"{fence}text", *shown.split("\n"), fence]


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)


def _overview(workers: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "| # | worker | ended | files | lines | look first | gate | denied |"
    yield "|---|---|---|---|---|---|---|---|"
    for number, worker in enumerate(workers, start=1):
        changes = worker["changes"]
        risky = sum(bool(change["risks"]) for change in changes)
        cells = (
            *(str(number), _cell(code(worker["worker_id"])), plain(standing(worker))),
            *(str(len(changes)), lines_changed(changes), str(risky or ""), gate_word(worker["verify"])),
            str(len(worker["denied"]) or ""),
        )
        yield f"| {' | '.join(cells)} |"


def standing(worker: Mapping[str, Any]) -> str:
    """How a worker's work stands, in a word: `landed`, `held`, or how it ended."""
    return str(worker["landed"]).partition(":")[0] or str(worker["status"])


def _combined(packet: Mapping[str, Any]) -> Iterator[str]:
    landing = packet["landing"]
    if landing.get("commit"):
        yield f"- branch: {code(landing['branch'])} at {code(landing['commit'])}"
    for gate in packet["gates"]:
        on = "the base" if gate["on"] == "base" else ", ".join(map(code, gate["workers"]))
        said = "" if gate["passed"] else f": {plain(gate['reason'] or '')}"
        yield f"- gate on {on}: **{gate_word(gate)}**{' (as before)' if gate['cached'] else ''}{said}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def lines_changed(changes: Sequence[Mapping[str, Any]]) -> str:
    """Write how many lines came and went."""
    return f"+{sum(c['added'] or 0 for c in changes)} -{sum(c['removed'] or 0 for c in changes)}"


def gate_word(verify: Mapping[str, Any] | None) -> str:
    """Say in a word what came of a worker's checks."""
    if verify is None:
        return "none"
    passed = "flaky" if verify.get("flaky") else "passed"
    return passed if verify["passed"] else "failed"


def _worker(worker: Mapping[str, Any]) -> Iterator[str]:
    yield f"## {code(worker['worker_id'])} {plain(worker['name'])}"
    yield ""
    yield from _facts(worker)
    yield from _section("Asked", block(worker["prompt"]) if worker["prompt"] else _command(worker))
    yield from _section("Changed", list(_changes(worker)))
    yield from _section("Gate", list(_gate(worker["verify"])))
    yield from _section("Denied", list(_denied(worker["denied"])))
    yield from _section("Conflicts", list(_conflicts(worker)))
    yield from _section("Its last words", block(worker["output"]) if worker["output"] else [])


def _section(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield from ("", f"### {title}", "", *lines)


def _facts(worker: Mapping[str, Any]) -> Iterator[str]:
    ended = f"{plain(worker['status'])} after {duration(worker['duration'] or 0.0)}"
    attempts = "1 attempt" if worker["attempts"] == 1 else f"{worker['attempts']} attempts"
    yield f"- ended: {ended}, {attempts}, agent {code(worker['agent'])}"
    if worker["landed"]:
        yield f"- landing: {plain(worker['landed'])}"
    if worker["error_message"]:
        yield f"- error: {code(worker['error_kind'])} {plain(worker['error_message'])}"
    if worker["needs"]:
        yield f"- builds on: {', '.join(map(code, worker['needs']))}"
    for title in ("branch", "commit", "log_path", "transcript_path"):
        if worker[title]:
            yield f"- {title.removesuffix('_path')}: {code(worker[title])}"
    for one in worker["variants"]:
        chosen = "chosen" if one["chosen"] else "not chosen"
        yield f"- variant {code(one['worker_id'])} by {code(one['agent'])}: {chosen}, {plain(one['why'])}"
    if worker["salvaged"]:
        yield f"- salvaged: {code(worker['salvaged'].get('ref'))}"


def _command(worker: Mapping[str, Any]) -> list[str]:
    return [code(" ".join(worker["command"]))] if worker["command"] else []


def _changes(worker: Mapping[str, Any]) -> Iterator[str]:
    if worker["changes_unknown"]:
        yield f"Cannot be told: {plain(worker['changes_unknown'])}."
    changes = worker["changes"]
    if not changes:
        return
    yield "| file | lines | look at it because |"
    yield "|---|---|---|"
    for change in changes[:FILES_SHOWN]:
        moved = f"{code(change['old_path'])} → " if change["old_path"] else ""
        lines = "-" if change["added"] is None else f"+{change['added']} -{change['removed']}"
        reasons = [f"**{plain(reason)}**" for reason in change["risks"]]
        if change["undeclared"]:
            reasons.append("not declared by the task")
        yield f"| {_cell(moved + code(change['path']))} | {lines} | {', '.join(reasons)} |"
    if len(changes) > FILES_SHOWN:
        yield ""
        yield f"… and {len(changes) - FILES_SHOWN} more files, none of them riskier."


def _gate(verify: Mapping[str, Any] | None) -> Iterator[str]:
    if verify is None:
        yield "No checks ran."
        return
    if verify.get("flaky"):
        yield "- **flaky**: it failed before it passed on the same tree"
    for check in verify["commands"]:
        ended = "timed out" if check["exit_code"] is None else f"exit {check['exit_code']}"
        took = duration(check["duration"])
        yield f"- {ended}, {took}: {code(check['command'])}, log {code(check['log_path'])}"


def _denied(denied: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for made in denied[:DENIALS_SHOWN]:
        yield (
            f"- {plain(made['tool'])} {code(str(made['what'])[:500])}: rule {code(made['rule'])}, "
            f"{plain(str(made['reason'] or 'no reason given')[:500])}"
        )
    if len(denied) > DENIALS_SHOWN:
        yield f"- … and {len(denied) - DENIALS_SHOWN} more"


def _conflicts(worker: Mapping[str, Any]) -> Iterator[str]:
    for pair in worker["conflicts"]:
        files = ", ".join(code(name) for name in pair.get("files", ()))
        yield f"- with {code(other_of(pair, worker['worker_id']))}: {files}"
    for pair in worker["resolved"]:
        other = code(other_of(pair, worker["worker_id"]))
        yield f"- with {other}: {code(pair.get('file'))}, resolved by {plain(pair.get('resolved_by'))}"
    for hint in worker["hints"]:
        other = code(other_of(hint, worker["worker_id"]))
        yield f"- hint, with {other}: {plain(hint_text(hint))}"


def hint_text(hint: Mapping[str, Any]) -> str:
    """What a hint says."""
    said = hint.get("text") or hint.get("message") or hint.get("detail")
    return ": ".join(str(part) for part in (hint.get("kind"), said) if part)


def other_of(pair: Mapping[str, Any], worker_id: str) -> str:
    """The other worker of a pair."""
    return str(pair["b"] if pair["a"] == worker_id else pair["a"])
