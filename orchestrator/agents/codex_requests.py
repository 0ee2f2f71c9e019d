"""What Codex's app-server asks of us: as permission requests, and as answers in its own form."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from orchestrator.model.request import PermissionRequest, Tool

Params = Mapping[str, Any]

COMMAND = "item/commandExecution/requestApproval"
FILE_CHANGE = "item/fileChange/requestApproval"
APPROVALS = (COMMAND, FILE_CHANGE)
#: What is refused without asking: nothing may widen what a worker may do, and nobody is there to be asked.
REFUSALS: Mapping[str, Mapping[str, Any]] = {
    "item/permissions/requestApproval": {"permissions": {}, "scope": "turn"},
    "item/tool/requestUserInput": {"answers": {}},
    "mcpServer/elicitation/request": {"action": "decline"},
    "item/tool/call": {
        "success": False,
        "contentItems": [{"type": "inputText", "text": "there is no such tool in this session"}],
    },
    "applyPatchApproval": {"decision": {"denied": {"rejection": "this way of asking is not known"}}},
    "execCommandApproval": {"decision": {"denied": {"rejection": "this way of asking is not known"}}},
}
#: What an unknown request is answered, as JSON-RPC words it.
NO_SUCH_METHOD = -32601
#: How much of a change is recorded with the question.
_DIFF_SHOWN = 10_000
_KINDS = {"add": Tool.WRITE, "update": Tool.WRITE, "delete": Tool.DELETE}


def permission_requests(
    method: str, request_id: Any, params: Params, item: Params | None, workspace: Path
) -> Sequence[PermissionRequest]:
    """Return what has to be allowed, each part of it, before an approval may be given."""
    name = json.dumps(request_id)
    if method == COMMAND:
        return [_command(name, params)]
    changes = item.get("changes") if item else None
    found = [
        request
        for number, change in enumerate(changes if isinstance(changes, list) else ())
        for request in _change(f"{name}.{number}", change, workspace)
    ]
    if params.get("grantRoot") is not None or not found:
        return [PermissionRequest(id=name, tool=Tool.OTHER, arguments=dict(params))]
    return found


def _command(name: str, params: Params) -> PermissionRequest:
    network = params.get("networkApprovalContext")
    if isinstance(network, dict):
        return PermissionRequest(id=name, tool=Tool.NETWORK, arguments=dict(network))
    command, kind = params.get("command"), params.get("kind", "command")
    if not isinstance(command, str) or kind != "command":
        return PermissionRequest(id=name, tool=Tool.OTHER, arguments=dict(params))
    arguments = {key: params[key] for key in ("cwd", "reason") if params.get(key) is not None}
    return PermissionRequest(id=name, tool=Tool.SHELL, command=command, arguments=arguments)


def _change(name: str, change: Any, workspace: Path) -> Sequence[PermissionRequest]:
    path, kind = (change.get("path"), change.get("kind")) if isinstance(change, dict) else (None, None)
    word = kind.get("type") if isinstance(kind, dict) else None
    tool = _KINDS.get(word) if isinstance(word, str) else None
    if not isinstance(path, str) or not isinstance(kind, dict) or tool is None:
        return [PermissionRequest(id=name, tool=Tool.OTHER, arguments={"change": change})]
    path = _within(path, workspace)
    arguments = {"diff": str(change.get("diff"))[:_DIFF_SHOWN]}
    target = kind.get("move_path")
    if target is None:
        return [PermissionRequest(id=name, tool=tool, path=path, arguments=arguments)]
    return [
        PermissionRequest(id=f"{name}.from", tool=Tool.DELETE, path=path),
        PermissionRequest(
            id=f"{name}.to", tool=Tool.WRITE, path=_within(str(target), workspace), arguments=arguments
        ),
    ]


def _within(path: str, workspace: Path) -> str:
    """Give a path as policies have it: relative, where it is in the workspace by its name."""
    pure = PurePath(path)
    return str(pure.relative_to(workspace)) if pure.is_relative_to(workspace) else path


def describe(request: PermissionRequest) -> str:
    """Name a request in a few words, for messages."""
    what = request.command or request.path or json.dumps(dict(request.arguments), default=str)[:200]
    return f"{request.tool.value} `{what}`"
