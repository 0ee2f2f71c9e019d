"""Takes away what stands in front of a command: variables, `timeout`, `env`, `uv run` and the like."""

from __future__ import annotations

import re
from collections.abc import Sequence

from orchestrator.policy.finding import Refused, names
from orchestrator.policy.programs_runners import JS_TOOLS, PYTHON_TOOLS
from orchestrator.policy.shell_lex import Word

_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\+?=(.*)", re.DOTALL)
_VALUE = re.compile(r"[A-Za-z0-9_.:@%+,-]*")
#: Variables that no program takes for code, a configuration or a place to load from.
_VARIABLES = names(
    "CI NODE_ENV NO_COLOR FORCE_COLOR CLICOLOR PYTHONUNBUFFERED PYTHONDONTWRITEBYTECODE"
    " PYTHONHASHSEED"
    " RUST_BACKTRACE LC_ALL LANG TZ COLUMNS TERM DEBUG CGO_ENABLED"
)
_DURATION = re.compile(r"[0-9]+(?:\.[0-9]+)?[smh]?")
_SIGNAL = re.compile(r"(?:-s|-k|--signal|--kill-after)")
_MOST = 8


def unwrap(words: Sequence[Word]) -> Sequence[Word]:
    """Return the command that `words` run in the end. Raises Refused for a wrapper that hides it."""
    for _ in range(_MOST):
        rest = _unwrap_once(words)
        if rest is words:
            return _plain_program(words)
        if not rest:
            raise Refused("nothing is run", rule="not_understood")
        words = rest
    raise Refused("too many commands inside each other", rule="not_understood")


def _unwrap_once(words: Sequence[Word]) -> Sequence[Word]:
    first = words[0].text
    if _ASSIGNMENT.fullmatch(first):
        _check_variable(words[0])
        return words[1:]
    if first in ("env", "time", "command"):
        if (
            len(words) > 1
            and words[1].text.startswith("-")
            and not (first == "command" and words[1].text == "-v")
        ):
            raise Refused(f"`{first} {words[1].text}`")
        return _command_v(words) if first == "command" else words[1:]
    if first in ("timeout", "nice"):
        return _after_timeout(words) if first == "timeout" else _after_nice(words)
    if first in ("uv", "poetry", "pipenv", "hatch") and [word.text for word in words[1:2]] == ["run"]:
        if len(words) > 2 and words[2].text.rpartition("/")[2] in PYTHON_TOOLS:
            return words[2:]
        raise Refused(f"`{first} run` is only allowed with a known test or check tool")
    if first == "bundle" and [word.text for word in words[1:3]] == ["exec", "rspec"]:
        return words[2:]
    return words


def _check_variable(word: Word) -> None:
    match = _ASSIGNMENT.fullmatch(word.text)
    assert match
    name, value = match.groups()
    here = name == "PYTHONPATH" and value in (".", "src", "./src", ".:src", "src:.", "lib", "tests")
    if not here and (name not in _VARIABLES or not _VALUE.fullmatch(value) or "+=" in word.text):
        raise Refused(f"the variable {name} can change what the command does", rule="variable")


def _command_v(words: Sequence[Word]) -> Sequence[Word]:
    if [word.text for word in words[1:2]] == ["-v"]:
        return [Word("which"), *words[2:]]
    return words[1:]


def _after_timeout(words: Sequence[Word]) -> Sequence[Word]:
    at = 1
    while at + 1 < len(words) and _SIGNAL.fullmatch(words[at].text):
        at += 2
    if at >= len(words) or not _DURATION.fullmatch(words[at].text):
        raise Refused("`timeout` with other options than a duration, -s and -k")
    return words[at + 1 :]


def _after_nice(words: Sequence[Word]) -> Sequence[Word]:
    if [word.text for word in words[1:2]] == ["-n"]:
        if len(words) < 3 or not words[2].text.isdigit():
            raise Refused("`nice` with an unusual number")
        return words[3:]
    return words[1:]


def _plain_program(words: Sequence[Word]) -> Sequence[Word]:
    """Name the program without the folders where it usually lies."""
    name = words[0].text
    folder, slash, base = name.rpartition("/")
    if not slash:
        return words
    inside = folder.removeprefix("./")
    if folder in ("/usr/bin", "/bin"):
        known = True
    elif inside in (".venv/bin", "venv/bin"):
        known = base in PYTHON_TOOLS
    elif inside == "node_modules/.bin":
        known = base in JS_TOOLS
    else:
        known = name in ("./gradlew", "./mvnw")
        base = {"gradlew": "gradle", "mvnw": "mvn"}.get(base, base)
    if not known:
        raise Refused(f"`{name}` is not among the programs that are known", rule="unknown_program")
    return [Word(base), *words[1:]]
