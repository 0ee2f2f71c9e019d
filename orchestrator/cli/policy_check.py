"""Judges requests that a person wrote, and shows the answers."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from orchestrator.cli.output import paint, write
from orchestrator.errors import InputError
from orchestrator.model.request import Decision, Level, PermissionRequest, Tool, Verdict
from orchestrator.policy import RulePolicy, load_policy
from orchestrator.safe_text import safe_text

_LONGEST_LINE = 1024 * 1024
_COLOURS = {Verdict.ALLOW: "green", Verdict.ASK: "yellow", Verdict.DENY: "red"}
_KEYS = frozenset(("id", "tool", "path", "command", "arguments", "cwd", "url", "host"))


def check_command(line: str, policy_file: Path | None, workspace: Path, *, as_json: bool) -> int:
    """Judge one shell command; show what was decided."""
    policy = _policy(policy_file, workspace)
    request = PermissionRequest(id="1", tool=Tool.SHELL, command=line)
    _show(policy.judge(request, workspace), as_json=as_json)
    return 0


def check_lines(lines: IO[bytes], policy_file: Path | None, workspace: Path, *, as_json: bool) -> int:
    """Judge one request a line as they come; return 2 when any line was none."""
    policy = _policy(policy_file, workspace)
    code = 0
    while line := lines.readline(_LONGEST_LINE + 1):
        if len(line) <= _LONGEST_LINE and not line.strip():
            continue
        try:
            decision = policy.judge(_read(line), workspace)
        except InputError as err:
            code = InputError.exit_code
            decision = Decision(
                verdict=Verdict.DENY, level=Level.PROHIBITED, rule="malformed_request", reason=err.message
            )
            while not line.endswith(b"\n") and line:
                line = lines.readline(_LONGEST_LINE)
        _show(decision, as_json=as_json)
    return code


def _policy(policy_file: Path | None, workspace: Path) -> RulePolicy:
    if not workspace.is_dir():
        raise InputError(f"there is no folder {workspace}", hint="give the workspace with --workspace")
    return load_policy(policy_file)


def _read(line: bytes) -> PermissionRequest:
    """Read one request. Raises InputError, saying what is wrong with it."""
    if len(line) > _LONGEST_LINE:
        raise InputError(f"the line is longer than {_LONGEST_LINE} bytes")
    try:
        data = json.loads(line.decode())
    except (ValueError, RecursionError) as err:
        raise InputError(f"the line is no JSON: {err}") from err
    if not isinstance(data, dict):
        raise InputError("the line is no JSON object")
    if unknown := sorted(set(data) - _KEYS):
        raise InputError(f"unknown keys: {', '.join(unknown)}")
    if data.get("tool") not in list(Tool):
        raise InputError(f"`tool`: expected one of {', '.join(Tool)}")
    tool = Tool(data["tool"])
    needed = {"shell": "command", "read": "path", "write": "path", "delete": "path"}.get(tool.value)
    if needed and not isinstance(data.get(needed), str):
        raise InputError(f"`{needed}`: expected text, for the tool `{tool.value}`")
    return PermissionRequest(
        id=str(data.get("id", "1")),
        tool=tool,
        path=data.get("path"),
        command=data.get("command"),
        arguments=_arguments(data),
    )


def _arguments(data: Mapping[str, Any]) -> dict[str, Any]:
    given = data.get("arguments", {})
    if not isinstance(given, dict):
        raise InputError("`arguments`: expected an object")
    return {**given, **{key: data[key] for key in ("cwd", "url", "host") if key in data}}


def _show(decision: Decision, *, as_json: bool) -> None:
    if as_json:
        document = {
            "decision": decision.verdict.value,
            "level": decision.level.value,
            "rule": decision.rule,
            "reason": decision.reason,
        }
        write(json.dumps(document))
    else:
        verdict = paint(decision.verdict.value, _COLOURS[decision.verdict])
        reason = " ".join(safe_text(decision.reason).split())
        write(f"{verdict}  {decision.level.value}  {decision.rule}  {reason}")
    sys.stdout.flush()
