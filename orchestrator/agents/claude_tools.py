"""What Claude Code's tools are to us: which of its calls have to be asked about, and as what."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.model.request import PermissionRequest, Tool

#: Taken away from the model: they ask a person who is not there, leave the workspace or the permission mode
#: (plan mode ends in automatic approval), wake the session up later, or talk to the user's other sessions.
WITHHELD = (
    *("AskUserQuestion", "EnterPlanMode", "ExitPlanMode", "EnterWorktree", "ExitWorktree"),
    *("CronCreate", "CronDelete", "CronList", "ScheduleWakeup", "ListAgents", "SendMessage"),
    *("Workflow", "ReportFindings"),
)
#: Change nothing by themselves; what a subagent does is asked about when it does it.
_HARMLESS = frozenset(
    (
        *("Task", "Agent", "Skill", "ToolSearch", "TodoWrite", "TodoRead"),
        *("TaskCreate", "TaskGet", "TaskList", "TaskUpdate", "TaskOutput", "TaskStop"),
        *("BashOutput", "KillShell", "KillBash", "AgentOutputTool"),
    )
)
_KINDS = {
    **dict.fromkeys(("Read", "Glob", "Grep", "LS", "NotebookRead"), Tool.READ),
    **dict.fromkeys(("Write", "Edit", "MultiEdit", "NotebookEdit"), Tool.WRITE),
    **dict.fromkeys(("Bash", "Monitor"), Tool.SHELL),
    **dict.fromkeys(("WebFetch", "WebSearch"), Tool.NETWORK),
}
_PATH_KEYS = ("file_path", "notebook_path", "path")
#: Longer texts of a call are shortened in the journal; the call itself is answered as it came.
_KEPT = 2000

Arguments = Mapping[str, Any]


def has_to_be_asked(name: str, given: Arguments, cwd: str, workspace: Path) -> bool:
    """Whether the policy must hear of a call that Claude Code might let pass by itself.

    Reading outside the workspace is left to Claude Code: it asks, except for files of its own, such as
    the long output of an earlier call.
    """
    if name in _HARMLESS:
        return False
    if _KINDS.get(name) is not Tool.READ:
        return True
    place = posixpath.normpath(posixpath.join(cwd, _path(name, given) or ""))
    roots = {str(workspace), os.path.realpath(workspace)}
    return any(place == root or place.startswith(f"{root}/") for root in roots)


def permission_request(request_id: str, name: str, given: Arguments, cwd: str | None) -> PermissionRequest:
    """Say what a call would do. `cwd` is where Claude Code's shell stands, as far as it told."""
    tool = Tool.MCP if name.startswith("mcp__") else _KINDS.get(name, Tool.OTHER)
    known = {"name": name, "input": _shortened(given), **({"cwd": cwd} if cwd else {})}
    if tool is Tool.NETWORK and "url" in given:
        known["url"] = given["url"]
    return PermissionRequest(
        id=request_id,
        tool=tool,
        path=_path(name, given) if tool in {Tool.READ, Tool.WRITE} else None,
        command=_text(given.get("command")) if tool is Tool.SHELL else None,
        arguments=known,
    )


def describe_call(name: str, given: Arguments) -> str:
    """Say in a line what a call is about, for people."""
    for key in ("command", *_PATH_KEYS, "pattern", "url", "query", "description"):
        if found := _text(given.get(key)):
            return f"{name}: {found}"
    return name


def _path(name: str, given: Arguments) -> str | None:
    found = next((text for key in _PATH_KEYS if (text := _text(given.get(key)))), None)
    if name == "Glob" and (pattern := _text(given.get("pattern"))):
        return posixpath.join(found or ".", pattern)
    return found or ("." if name in {"Grep", "LS"} else None)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _shortened(value: Any) -> Any:
    if isinstance(value, str) and len(value) > _KEPT:
        return f"{value[:_KEPT]}… ({len(value)} characters)"
    if isinstance(value, Mapping):
        return {str(key): _shortened(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_shortened(item) for item in value[:_KEPT]]
    return value
