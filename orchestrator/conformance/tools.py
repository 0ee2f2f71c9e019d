"""Which tool of a client does what a step says: each client has its own names and arguments."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.conformance.script import Step


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a client's tool; `arguments` is text for a tool that takes text."""

    name: str
    arguments: Mapping[str, Any] | str


#: A model that hears "still running" asks again; a script cannot, so on a busy machine Codex has to wait.
_PATIENCE_MS = 30_000
_PATIENTLY = f'// @exec: {{"yield_time_ms": {_PATIENCE_MS}}}\n'

_Arguments = Callable[..., Mapping[str, Any] | str]


def _added(path: str, content: str) -> str:
    lines = "".join(f"+{line}\n" for line in content.splitlines())
    return f"*** Begin Patch\n*** Add File: {path}\n{lines}*** End Patch\n"


def _changed(path: str, old: str, new: str) -> str:
    before = "".join(f"-{line}\n" for line in old.splitlines())
    after = "".join(f"+{line}\n" for line in new.splitlines())
    return f"*** Begin Patch\n*** Update File: {path}\n@@\n{before}{after}*** End Patch\n"


def _code(tool: str, argument: Mapping[str, Any] | str) -> str:
    """Codex gives newer models one tool, which runs JavaScript that calls the others."""
    return f"text(await tools.{tool}({json.dumps(argument)}));"


def _by_shell(patch: str) -> str:
    return f"apply_patch <<'END_OF_PATCH'\n{patch}END_OF_PATCH\n"


# The first tool that the client offers is used, so what is particular stands before what is common.
_WRITERS: Sequence[tuple[str, _Arguments]] = (
    ("Write", lambda path, content: {"file_path": path, "content": content}),
    ("write_file", lambda path, content: {"file_path": path, "content": content}),
    ("write", lambda path, content: {"filePath": path, "content": content}),
    ("apply_patch", _added),
    ("exec", lambda path, content: _code("apply_patch", _added(path, content))),
    ("exec_command", lambda path, content: {"cmd": _by_shell(_added(path, content))}),
    ("shell_command", lambda path, content: {"command": _by_shell(_added(path, content))}),
)
_EDITORS: Sequence[tuple[str, _Arguments]] = (
    ("Edit", lambda path, old, new: {"file_path": path, "old_string": old, "new_string": new}),
    (
        "replace",
        lambda path, old, new: {
            "file_path": path,
            "instruction": "scripted",
            "old_string": old,
            "new_string": new,
        },
    ),
    ("edit", lambda path, old, new: {"filePath": path, "oldString": old, "newString": new}),
    ("apply_patch", _changed),
    ("exec", lambda path, old, new: _code("apply_patch", _changed(path, old, new))),
    ("exec_command", lambda path, old, new: {"cmd": _by_shell(_changed(path, old, new))}),
    ("shell_command", lambda path, old, new: {"command": _by_shell(_changed(path, old, new))}),
)
_READERS: Sequence[tuple[str, _Arguments]] = (
    ("Read", lambda path: {"file_path": path}),
    ("read_file", lambda path: {"file_path": path}),
    ("read", lambda path: {"filePath": path}),
)
_SHELLS: Sequence[tuple[str, _Arguments]] = (
    ("Bash", lambda line: {"command": line, "description": "scripted"}),
    (
        "run_shell_command",
        lambda line: {"command": line, "description": "scripted", "is_background": False},
    ),
    ("bash", lambda line: {"command": line, "description": "scripted"}),
    ("exec", lambda line: _PATIENTLY + _code("exec_command", {"cmd": line, "yield_time_ms": _PATIENCE_MS})),
    ("exec_command", lambda line: {"cmd": line, "yield_time_ms": _PATIENCE_MS}),
    ("shell_command", lambda line: {"command": line}),
    ("shell", lambda line: {"command": ["bash", "-lc", line]}),
)


def calls_of(step: Step, tools: Mapping[str, str]) -> list[Call]:
    """The calls that do what the step says; empty when the client offers no tool for it."""
    found = [*_own_calls(step, tools)]
    for other in step.also:
        found += calls_of(other, tools)
    return found


def _own_calls(step: Step, tools: Mapping[str, str]) -> list[Call]:
    wanted: list[Call | None] = []
    if step.write:
        wanted.append(_first(_WRITERS, tools, *step.write) or _first(_SHELLS, tools, _printed(*step.write)))
    if step.edit:
        wanted.append(_first(_EDITORS, tools, *step.edit))
    if step.read:
        shown = f"cat {shlex.quote(step.read)}"
        wanted.append(_first(_READERS, tools, step.read) or _first(_SHELLS, tools, shown))
    if step.shell:
        wanted.append(_first(_SHELLS, tools, step.shell))
    if step.tool and step.tool[0] in tools:
        wanted.append(Call(*step.tool))
    return [call for call in wanted if call]


def _first(choices: Sequence[tuple[str, _Arguments]], tools: Mapping[str, str], *values: str) -> Call | None:
    return next((Call(name, arguments(*values)) for name, arguments in choices if name in tools), None)


def _printed(path: str, content: str) -> str:
    return f"printf %s {shlex.quote(content)} > {shlex.quote(path)}"
