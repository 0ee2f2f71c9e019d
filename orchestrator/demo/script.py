"""The demo agent's script: where it comes from, and what it is when nobody wrote one."""

# pathlib would cost a fifth of the start-up.
# ruff: noqa: PTH123
from __future__ import annotations

import json
import re
import sys

#: True for type checkers only. `typing` costs a fifth of the start-up.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Step = tuple[str, Any]

_BLOCK = re.compile(r"^```demo[ \t]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
_SUM = re.compile(r"(\d+)\s*([-+*x\u00d7/])\s*(\d+)")
_OPTIONS = ("--prompt-file", "--script", "--file")


class ScriptError(Exception):
    """The demo agent was called wrongly."""


def read(arguments: list[str]) -> tuple[str, list[Step]]:
    """Return the prompt, and the steps to take."""
    options, words = _split(arguments)
    prompt = _prompt(options["--prompt-file"], words)
    for path in options["--script"]:
        return prompt, _steps(_text(path))
    if found := _BLOCK.search(prompt):
        return prompt, _steps(found[1])
    return prompt, _unscripted(prompt, options["--file"])


def _split(arguments: list[str]) -> tuple[dict[str, list[str]], list[str]]:
    options: dict[str, list[str]] = {name: [] for name in _OPTIONS}
    rest = list(arguments)
    while rest and rest[0] in _OPTIONS:
        if len(rest) < 2:
            raise ScriptError(f"{rest[0]} needs a value")
        options[rest[0]].append(rest[1])
        del rest[:2]
    return options, rest


def _prompt(files: list[str], words: list[str]) -> str:
    if files:
        return _text(files[0])
    if words:
        return " ".join(words)
    return sys.stdin.readline() if sys.stdin.isatty() else sys.stdin.read()


def _text(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def _steps(text: str) -> list[Step]:
    try:
        steps = json.loads(text)
    except ValueError as err:
        raise ScriptError(f"the script is not JSON: {err}") from err
    if not isinstance(steps, list):
        raise ScriptError("the script is not a list of steps")
    return [_step(step) for step in steps]


def _step(step: Any) -> Step:
    if isinstance(step, str):
        return step, None
    if isinstance(step, dict) and len(step) == 1:
        return next(iter(step.items()))
    raise ScriptError(f"a step is a name, or an object with one key: {step!r}")


def _unscripted(prompt: str, files: list[str]) -> list[Step]:
    task = prompt.strip().split("\n")[0]
    steps: list[Step] = [("work", {"seconds": 0.3, "lines": [f"The task: {task}"]})]
    steps += [("write", {"path": path, "text": _placeholder(path, task)}) for path in files]
    if found := _SUM.search(prompt):
        steps.append(("say", f"{found[0]} = {_answer(*found.groups())}"))
    return steps


def _answer(left: str, sign: str, right: str) -> str:
    one, other = int(left), int(right)
    if sign == "/":
        return f"{one / other:g}" if other else "undefined"
    return str({"+": one + other, "-": one - other}.get(sign, one * other))


def _placeholder(path: str, task: str) -> str:
    if path.endswith((".py", ".sh", ".toml", ".yml", ".yaml", ".cfg")) or ("/" in path and "." not in path):
        return f"# {task}\n"
    return f"{task}\n"
