"""Turns an ACP agent's question about a tool call into permission requests, and a decision into its answer.

Whatever is not understood becomes `Tool.OTHER`, which no policy allows by itself.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.model.request import PermissionRequest, Tool

_FILE_TOOLS = {"read": Tool.READ, "search": Tool.READ, "edit": Tool.WRITE, "delete": Tool.DELETE}
_PATH_KEYS = ("path", "file_path", "filePath", "filepath", "abs_path", "notebook_path")
_FOLDER_KEYS = ("cwd", "workdir", "directory", "dir_path", "working_directory")
#: Longer texts are told by their length and hash.
_SHOWN = 64 * 1024
#: How Gemini CLI says in which folder a command runs; it has no field for that.
_IN_FOLDER = re.compile(r"\[in ([^\]]*)\]")
_HERE = "[current working directory "

Call = Mapping[str, Any]


def permission_requests(
    request_id: str, call: Call, *, command_in_title: bool = False
) -> list[PermissionRequest]:
    """Return what must be allowed, all of it, for this tool call to run."""
    raw = call.get("rawInput")
    raw = raw if isinstance(raw, Mapping) else {}
    kind = call.get("kind")
    arguments = _arguments(call, raw)
    if "command" in raw or kind == "execute":
        return [_shell(request_id, call, raw, arguments, command_in_title=command_in_title)]
    if kind == "fetch" and isinstance(raw.get("url"), str):
        return [
            PermissionRequest(id=request_id, tool=Tool.NETWORK, arguments={**arguments, "url": raw["url"]})
        ]
    tool, paths = _FILE_TOOLS.get(str(kind)), _paths(call, raw)
    if tool is None or not paths:
        return [PermissionRequest(id=request_id, tool=Tool.OTHER, arguments=arguments)]
    return [
        PermissionRequest(
            id=request_id if number == 1 else f"{request_id}.{number}",
            tool=tool,
            path=path,
            arguments=arguments,
        )
        for number, path in enumerate(paths, start=1)
    ]


def _shell(
    request_id: str, call: Call, raw: Call, arguments: dict[str, Any], *, command_in_title: bool
) -> PermissionRequest:
    command = raw.get("command")
    if isinstance(command, list) and command and all(isinstance(word, str) for word in command):
        command = shlex.join(command)
    elif command is None and command_in_title:
        command = call.get("title")
        arguments |= _titled_folder(call)
    if not isinstance(command, str) or not command.strip():
        return PermissionRequest(id=request_id, tool=Tool.OTHER, arguments=arguments)
    folders = [raw[key] for key in _FOLDER_KEYS if raw.get(key)]
    if folders:
        # More than one is not understood; what is no text is refused by the policy.
        arguments["cwd"] = folders[0] if len(set(map(str, folders))) == 1 else folders
    return PermissionRequest(id=request_id, tool=Tool.SHELL, command=command, arguments=arguments)


def _titled_folder(call: Call) -> dict[str, Any]:
    text = "".join(content_texts(call.get("content")))
    if text.startswith(_HERE) or not text.startswith("[in "):
        return {}
    found = _IN_FOLDER.match(text)
    # Another bracket may belong to the folder's name: a list is no folder, and is refused.
    return {"cwd": found[1] if found and text.count("]") == 1 else [text]}


def _arguments(call: Call, raw: Call) -> dict[str, Any]:
    told = {
        "title": call.get("title"),
        "kind": call.get("kind"),
        "input": {str(key): _short(value) for key, value in raw.items()},
        "changes": [
            {"path": str(diff.get("path")), "text": _short(diff.get("newText"))} for diff in _diffs(call)
        ],
    }
    return {key: value for key, value in told.items() if value}


def _short(value: object) -> object:
    text = value if isinstance(value, str) else repr(value)
    if len(text) <= _SHOWN:
        return value
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"({len(text)} characters, sha256 {digest})"


def _paths(call: Call, raw: Call) -> list[str]:
    """Return every path the call speaks of, once each."""
    locations = call.get("locations")
    found = [diff.get("path") for diff in _diffs(call)]
    found += [place.get("path") for place in locations or () if isinstance(place, Mapping)]
    found += [raw.get(key) for key in _PATH_KEYS]
    return list(dict.fromkeys(path for path in found if isinstance(path, str) and path))


def call_subject(call: Call) -> str | None:
    """Return what a call is about, for people: its command, or its first path."""
    raw = call.get("rawInput")
    raw = raw if isinstance(raw, Mapping) else {}
    command = raw.get("command")
    if isinstance(command, str):
        return command
    return next(iter(_paths(call, raw)), None)


def _diffs(call: Call) -> list[Call]:
    content = call.get("content")
    items = content if isinstance(content, list) else []
    return [item for item in items if isinstance(item, Mapping) and item.get("type") == "diff"]


def written_texts(call: Call) -> dict[str, str]:
    """Return what the call would leave in which file, where it says so in full."""
    return {
        diff["path"]: diff["newText"]
        for diff in _diffs(call)
        if isinstance(diff.get("path"), str) and isinstance(diff.get("newText"), str)
    }


def content_texts(content: object) -> list[str]:
    """Return the texts in a content block, or in a list of them."""
    if isinstance(content, list):
        return [text for item in content for text in content_texts(item)]
    if not isinstance(content, Mapping):
        return []
    if content.get("type") == "text" and isinstance(content.get("text"), str):
        return [content["text"]]
    return content_texts(content["content"]) if content.get("type") == "content" else []


def option_of(options: object, kind: str) -> str | None:
    """Return the id of the option of this kind: `allow_once` or `reject_once`, never one for ever."""
    items: Sequence[object] = options if isinstance(options, list) else []
    for option in items:
        if isinstance(option, Mapping) and option.get("kind") == kind:
            chosen = option.get("optionId")
            return chosen if isinstance(chosen, str) else None
    return None
