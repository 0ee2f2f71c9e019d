"""Manifests that are merged by key: which files these are, and their merge as text."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import PurePosixPath

from orchestrator.landing.json_text import comments_of, merged_text, parse_json, value_of
from orchestrator.landing.three_way import ClashError, Members, Plan, Side, Value, planned, three_way
from orchestrator.landing.toml_text import merged_toml, toml_comments, toml_value

_JSON = (
    "package.json",
    "composer.json",
    "bower.json",
    "lerna.json",
    "nx.json",
    "project.json",
    "angular.json",
)
#: JSON in which comments and trailing commas are allowed.
_JSON_WITH_COMMENTS = (
    *("tsconfig.json", "tsconfig.*.json", "jsconfig.json", "deno.json", "deno.jsonc", "turbo.json"),
    *(".eslintrc.json", "biome.json", "biome.jsonc"),
)
_TOML = ("pyproject.toml", "Cargo.toml", "Pipfile", "ruff.toml", "uv.toml", "rust-toolchain.toml")
_LARGEST = 4 * 1024 * 1024


def is_manifest(path: str) -> bool:
    """Whether the file at `path` is merged by key."""
    return _is_one_of(path, (*_JSON, *_JSON_WITH_COMMENTS, *_TOML))


def merge_manifest(path: str, base: bytes | None, ours: bytes, theirs: bytes) -> bytes | None:
    """Merge a manifest by key; None where it stays a conflict. Without a base, both sides added it.

    It stays one where both changed one key in two ways, where a side cannot be read (or names a key
    twice), and where a comment would be lost.
    """
    if max(len(ours), len(theirs), len(base or b"")) > _LARGEST:
        return None
    merge = _merge_toml if _is_one_of(path, _TOML) else _merge_json
    comments = _is_one_of(path, _JSON_WITH_COMMENTS)
    try:
        texts = [None if data is None else data.decode("utf-8") for data in (base, ours, theirs)]
        before, here, there = texts
        assert here is not None and there is not None
        return merge(before, here, there, comments).encode("utf-8")
    except (ValueError, RecursionError, ClashError):
        return None


def can_merge_manifest(path: str, base: bytes | None, ours: bytes, theirs: bytes) -> bool:
    """Whether `merge_manifest` will merge it. Nothing is written where no comment can get lost."""
    if max(len(ours), len(theirs), len(base or b"")) > _LARGEST:
        return False
    form = next(form for form in (_TOML, _JSON_WITH_COMMENTS, _JSON) if _is_one_of(path, form))
    try:
        before, here, there = (
            None if data is None else _meaning(data.decode("utf-8"), form) for data in (base, ours, theirs)
        )
        assert here is not None and there is not None
        three_way(before.value if before else None, here.value, there.value)
    except (ValueError, RecursionError, ClashError):
        return False
    remarks = {side.comments for side in (before, here, there) if side}
    is_clear = remarks == {()} if form is _JSON_WITH_COMMENTS else len(remarks) == 1
    return is_clear or merge_manifest(path, base, ours, theirs) is not None


@dataclass(frozen=True, slots=True)
class _Meaning:
    value: Value
    comments: tuple[str, ...]


@lru_cache(maxsize=256)
def _meaning(text: str, form: tuple[str, ...]) -> _Meaning:
    """Read a document; the same side is compared with many others."""
    if form is _TOML:
        return _Meaning(toml_value(text), tuple(toml_comments(text)))
    comments = form is _JSON_WITH_COMMENTS
    value = value_of(parse_json(text, comments=comments))
    return _Meaning(value, tuple(comments_of(text)) if comments else ())


def _is_one_of(path: str, names: tuple[str, ...]) -> bool:
    return any(fnmatchcase(PurePosixPath(path).name, name) for name in names)


def _merge_json(base: str | None, ours: str, theirs: str, comments: bool) -> str:
    here, there = parse_json(ours, comments=comments), parse_json(theirs, comments=comments)
    before = None if base is None else value_of(parse_json(base, comments=comments))
    plan = three_way(before, value_of(here), value_of(there))
    merged = merged_text(ours, here, there, plan)
    _check(value_of(parse_json(merged, comments=comments)), planned(plan, value_of(here), value_of(there)))
    if comments:
        _check_comments(*(comments_of(text) for text in (base or "", ours, theirs, merged)))
    return merged


def _merge_toml(base: str | None, ours: str, theirs: str, _comments: bool) -> str:
    here, there = toml_value(ours), toml_value(theirs)
    plan: Plan = three_way(None if base is None else toml_value(base), here, there)
    if isinstance(plan, Side):
        return ours if plan is Side.OURS else theirs
    assert isinstance(plan, Members)
    merged = merged_toml(ours, theirs, plan)
    _check(toml_value(merged), planned(plan, here, there))
    _check_comments(*(toml_comments(text) for text in (base or "", ours, theirs, merged)))
    return merged


def _check(merged: Value, wanted: Value) -> None:
    """What is written must say what was planned, whatever way it was written in."""
    if merged != wanted:
        raise ValueError("the merged text does not say what was planned")


def _check_comments(base: list[str], ours: list[str], theirs: list[str], merged: list[str]) -> None:
    """No comment may be lost but one that a side removed itself."""
    before, here, there = Counter(base), Counter(ours), Counter(theirs)
    added = [
        Counter({text: count for text, count in side.items() if count > before[text]})
        for side in (here, there)
    ]
    if ((here & there) | added[0] | added[1]) - Counter(merged):
        raise ValueError("a comment would be lost")
