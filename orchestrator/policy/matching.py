"""Decides whether a rule speaks of a finding: closely for what it allows, widely for what it refuses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from orchestrator.model.request import Tool
from orchestrator.policy.finding import Finding, Place
from orchestrator.policy.rules import CommandPattern, Rule

#: Options of git in front of its subcommand that take the next word as their value.
_GLOBAL_VALUES = {"git": frozenset(("-C", "-c", "--git-dir", "--work-tree", "--namespace", "--exec-path"))}


def matches(rule: Rule, finding: Finding, *, wide: bool) -> bool:
    """Whether `rule` is about `finding`. `wide` is for rules that refuse or ask: in doubt they match."""
    if finding.tool not in rule.tools:
        return False
    if finding.tool is Tool.SHELL:
        return not rule.commands or any(_command(pattern, finding, wide=wide) for pattern in rule.commands)
    if finding.tool is Tool.NETWORK:
        return not rule.hosts or any(_host(pattern, finding.host) for pattern in rule.hosts)
    if finding.tool in (Tool.READ, Tool.WRITE, Tool.DELETE):
        return not rule.paths or any(_path(rule, place, wide=wide) for place in finding.places)
    return True


def matches_place(rule: Rule, place: Place) -> bool:
    """Whether a rule that refuses or asks is about a path that a command touches."""
    return place.tool in rule.tools and (not rule.paths or _path(rule, place, wide=True))


def _path(rule: Rule, place: Place, *, wide: bool) -> bool:
    for pattern in rule.paths:
        if _glob(pattern, wide).fullmatch(place.path):
            return True
        fixed = re.split(r"[*?]", pattern)[0].rstrip("/")
        above = place.path == "." or f"{fixed}/".casefold().startswith(f"{place.path}/".casefold())
        if wide and place.tool is not Tool.READ and above:
            return True  # what removes or replaces a folder does so to all that lies in it
    return False


@lru_cache(maxsize=1024)
def _glob(pattern: str, wide: bool) -> re.Pattern[str]:
    """`*` and `?` stay inside one name; `x/**` is `x` and all below it."""
    parts = re.split(r"(/\*\*$|^\*\*/|/\*\*/|\*\*|\*|\?)", pattern.rstrip("/"))
    known = {"/**": "(?:/.*)?", "**/": "(?:.*/)?", "/**/": "/(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile(
        "".join(known.get(part) or re.escape(part) for part in parts), re.IGNORECASE if wide else 0
    )


def _host(pattern: str, host: str | None) -> bool:
    if host is None:
        return False
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern


def _command(pattern: CommandPattern, finding: Finding, *, wide: bool) -> bool:
    lines = {finding.argv, finding.whole_argv} if wide else {finding.argv}
    return any(line and _line(pattern, line, wide=wide) for line in lines)


def _line(pattern: CommandPattern, argv: Sequence[str], *, wide: bool) -> bool:
    name = argv[0].rpartition("/")[2] if wide and "/" not in pattern.program else argv[0]
    if pattern.program not in ("*", name):
        return False
    words = _after_globals(name, argv[1:]) if wide else argv[1:]
    count = len(pattern.subcommands)
    first = [word for word in words if not word.startswith("-")][:count] if wide else list(words[:count])
    if first != list(pattern.subcommands):
        return False
    return all(_has(words, option, wide=wide) for option in pattern.required) and not any(
        _has(words, option, wide=not wide) for option in pattern.forbidden
    )


def _after_globals(program: str, words: Sequence[str]) -> Sequence[str]:
    values = _GLOBAL_VALUES.get(program, frozenset())
    at = 0
    while at < len(words) and words[at].startswith("-"):
        at += 2 if words[at] in values else 1
    return words[at:]


def _has(words: Sequence[str], option: str, *, wide: bool) -> bool:
    """Whether an option is among the words; `wide` also takes abbreviations, clusters and attached values."""
    if not wide:
        return any(word == option or word.startswith(f"{option}=") for word in words)
    if option.startswith("--"):
        names = (word.partition("=")[0] for word in words if word.startswith("--") and len(word) > 2)
        return any(option.startswith(name) or name.startswith(option) for name in names)
    letters = (word[1:] for word in words if word.startswith("-") and not word.startswith("--"))
    return any(option[1:] in word if len(option) == 2 else word.startswith(option[1:]) for word in letters)
