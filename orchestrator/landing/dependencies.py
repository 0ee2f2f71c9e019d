"""Which versions of which packages a manifest asks for."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

_REQUIREMENT = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*([^#;]*)")
_GO = re.compile(r"^\s*(?:require\s+)?([^\s()]+\.[^\s()]+/?[^\s()]*)\s+(v[^\s]+)", re.MULTILINE)
_GEM = re.compile(r"^\s*gem\s+['\"]([^'\"]+)['\"](?:\s*,\s*['\"]([^'\"]+)['\"])?", re.MULTILINE)


def is_manifest(path: str) -> bool:
    """Whether versions can be read from it."""
    return _reader(path) is not None


def versions(path: str, content: bytes) -> dict[str, str]:
    """Return the version that is asked for, by package; nothing when the file is damaged."""
    reader = _reader(path)
    if reader is None:
        return {}
    try:
        return dict(reader(content.decode("utf-8")))
    except (ValueError, AttributeError, TypeError):
        return {}


def _reader(path: str) -> Callable[[str], Iterator[tuple[str, str]]] | None:
    name = PurePosixPath(path).name
    if re.fullmatch(r"requirements.*\.(txt|in)", name):
        return _requirements
    return _READERS.get(name)


def _json(text: str) -> Iterator[tuple[str, str]]:
    document = json.loads(text)
    sections = ("dependencies", "devDependencies", "peerDependencies", "optionalDependencies")
    for section in (*sections, "require", "require-dev"):
        for name, version in (document.get(section) or {}).items():
            yield name, str(version)


def _pyproject(text: str) -> Iterator[tuple[str, str]]:
    document = tomllib.loads(text)
    project = document.get("project", {})
    lists = [project.get("dependencies", []), *project.get("optional-dependencies", {}).values()]
    lists += document.get("dependency-groups", {}).values()
    for listed in lists:
        yield from _requirements("\n".join(item for item in listed if isinstance(item, str)))
    poetry = document.get("tool", {}).get("poetry", {})
    tables = [poetry.get("dependencies", {})]
    tables += [group.get("dependencies", {}) for group in poetry.get("group", {}).values()]
    for table in tables:
        yield from _table(table)


def _cargo(text: str) -> Iterator[tuple[str, str]]:
    document = tomllib.loads(text)
    tables = [document.get(name, {}) for name in ("dependencies", "dev-dependencies", "build-dependencies")]
    for table in (*tables, document.get("workspace", {}).get("dependencies", {})):
        yield from _table(table)


def _table(table: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, wanted in table.items():
        yield name, str(wanted.get("version", wanted) if isinstance(wanted, Mapping) else wanted)


def _requirements(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        if (found := _REQUIREMENT.match(line)) and not line.lstrip().startswith(("-", "#")):
            yield re.sub(r"[-_.]+", "-", found[1]).lower(), found[2].strip()


def _go(text: str) -> Iterator[tuple[str, str]]:
    return ((found[1], found[2]) for found in _GO.finditer(text))


def _gems(text: str) -> Iterator[tuple[str, str]]:
    return ((found[1], found[2] or "") for found in _GEM.finditer(text))


_READERS: dict[str, Callable[[str], Iterator[tuple[str, str]]]] = {
    "package.json": _json,
    "composer.json": _json,
    "pyproject.toml": _pyproject,
    "Cargo.toml": _cargo,
    "go.mod": _go,
    "Gemfile": _gems,
}
