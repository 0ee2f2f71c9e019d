"""Hints on what git does not see: branches that merge cleanly and may still not fit each other.

They are guesses by rules that a reader can check, and are marked as hints wherever they are shown.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from io import BytesIO
from itertools import combinations
from pathlib import PurePosixPath
from typing import Any

from orchestrator.git.merging import Edit, changes_since, lines_since
from orchestrator.git.shield import Shield
from orchestrator.landing.dependencies import is_manifest, versions
from orchestrator.landing.symbols import Symbol, family, language_of, parser_fault, symbols

__all__ = ["Hint", "find_hints", "parser_fault"]

#: Bytes; a larger source file is not parsed.
_LARGEST = 1 << 20
#: Versions of files that are looked into; a parse takes some milliseconds.
_MOST = 800
_MIGRATION = re.compile(r"(?:^|/)(?:migrations?|migrate|versions)/(?:.*/)?([0-9]{1,14})[_.-][^/]+$")
_GENERATED = re.compile(
    r"(?:^|/)(?:package-lock\.json|npm-shrinkwrap\.json|yarn\.lock|pnpm-lock\.yaml|bun\.lockb?|poetry\.lock"
    r"|uv\.lock|pdm\.lock|Pipfile\.lock|Cargo\.lock|composer\.lock|Gemfile\.lock|go\.sum|flake\.lock"
    r"|[^/]*\.generated\.[^/]+|[^/]*\.min\.(?:js|css)|[^/]*_pb2(?:_grpc)?\.pyi?|[^/]*\.pb\.go)$"
    r"|(?:^|/)dist/"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """One thing worth a look before two branches are put together."""

    kind: str  #: `symbol`, `caller`, `dependency`, `migration` or `generated`
    a: str
    b: str
    files: tuple[str, ...]
    what: str  #: the name of the symbol, package or file
    text: str

    def to_json(self) -> dict[str, Any]:
        """Return it as the report's `conflicts.hints` has it."""
        return {**asdict(self), "files": list(self.files)}


@dataclass(frozen=True, slots=True)
class _Definition:
    file: str
    family: str
    symbol: Symbol


@dataclass(frozen=True, slots=True)
class _Work:
    """What one branch changed, as far as hints go."""

    edits: Mapping[str, Edit]
    changed: Mapping[tuple[str, str], _Definition]  #: by file and name; as they are now
    touched: Mapping[tuple[str, str], _Definition]  #: of these, what was there before
    versions: Mapping[tuple[str, str], str]  #: by manifest and package, where it is not as it was


def find_hints(shield: Shield, base: str, commits: Mapping[str, str]) -> list[Hint]:
    """Return hints for every two of `commits`, by worker, that were built on `base`. Raises GitError."""
    lines = lines_since(shield, base, list(commits.values()))
    placed = {name: commit for name, commit in commits.items() if lines[commit] is not None}
    if len(placed) < 2:
        return []
    changes = changes_since(shield, base, list(placed.values()))
    edits = {name: changes[commit].edits for name, commit in placed.items()}
    content = _contents(shield, list(edits.values()))
    parsed: dict[tuple[str, str], dict[str, Symbol]] = {}
    works = {name: _work(of_one, content, parsed) for name, of_one in edits.items()}
    found: list[Hint] = []
    for a, b in combinations(placed, 2):
        line_a, line_b = lines[placed[a]], lines[placed[b]]
        if line_a is not None and line_b is not None and (line_a <= line_b or line_b <= line_a):
            continue  # one builds on the other
        found += _between(a, works[a], b, works[b])
    return found


def _contents(shield: Shield, edits: Collection[Mapping[str, Edit]]) -> dict[str, bytes]:
    """The content of the versions that are looked into, by object; files of several branches come first."""
    touched = Counter(path for of_one in edits for path in of_one)
    wanted: dict[str, int] = {}
    for of_one in edits:
        for path, edit in of_one.items():
            if is_manifest(path) or language_of(path):
                for version in (edit.before, edit.after):
                    if version is not None and version.mode.startswith("100"):
                        wanted[version.object_id] = max(touched[path], wanted.get(version.object_id, 0))
    names = sorted(wanted, key=lambda name: (-wanted[name], name))[:_MOST]
    if not names:
        return {}
    sizes = shield.run(["cat-file", "--batch-check"], input=_lines(names)).stdout.splitlines()
    small = [
        name for name, line in zip(names, sizes, strict=True) if int(line.rsplit(b" ", 1)[1]) <= _LARGEST
    ]
    answer = BytesIO(shield.run(["cat-file", "--batch"], input=_lines(small)).stdout)
    found = {}
    for name in small:
        found[name] = answer.read(int(answer.readline().rsplit(b" ", 1)[1]))
        answer.read(1)
    return found


def _lines(names: Iterable[str]) -> bytes:
    return "".join(f"{name}\n" for name in names).encode("ascii")


def _work(
    edits: Mapping[str, Edit],
    content: Mapping[str, bytes],
    parsed: dict[tuple[str, str], dict[str, Symbol]],
) -> _Work:
    changed: dict[tuple[str, str], _Definition] = {}
    touched: dict[tuple[str, str], _Definition] = {}
    asked: dict[tuple[str, str], str] = {}
    for path, edit in edits.items():
        before, after = (
            content.get(version.object_id) if version else b"" for version in (edit.before, edit.after)
        )
        if before is None or after is None:
            continue
        if is_manifest(path):
            old, new = versions(path, before), versions(path, after)
            asked |= {(path, name): version for name, version in new.items() if old.get(name) != version}
        if ending := language_of(path):
            old_ones = _parsed(edit.before.object_id if edit.before else "", before, ending, parsed)
            new_ones = _parsed(edit.after.object_id if edit.after else "", after, ending, parsed)
            for name in old_ones.keys() | new_ones.keys():
                was, now = old_ones.get(name), new_ones.get(name)
                symbol = now or was
                if symbol is None or (was and now and was.text == now.text):
                    continue
                definition = _Definition(path, family(ending), symbol)
                if now:
                    changed[path, name] = definition
                if was:
                    touched[path, name] = definition
    return _Work(edits, changed, touched, asked)


def _parsed(
    object_id: str, source: bytes, ending: str, parsed: dict[tuple[str, str], dict[str, Symbol]]
) -> dict[str, Symbol]:
    if not source:
        return {}
    key = object_id, ending
    if key not in parsed:
        parsed[key] = symbols(source, ending)
    return parsed[key]


def _between(a: str, ours: _Work, b: str, theirs: _Work) -> Iterator[Hint]:
    yield from _same_symbols(a, ours, b, theirs)
    yield from _callers(a, ours, b, theirs)
    yield from _callers(b, theirs, a, ours)
    yield from _dependencies(a, ours, b, theirs)
    yield from _migrations(a, ours, b, theirs)
    yield from _generated(a, ours, b, theirs)


def _same_symbols(a: str, ours: _Work, b: str, theirs: _Work) -> Iterator[Hint]:
    mine = {**ours.touched, **ours.changed}
    other = {**theirs.touched, **theirs.changed}
    for file, name in sorted(mine.keys() & other.keys()):
        if mine[file, name].symbol.text == other[file, name].symbol.text:
            continue
        text = f"{a} and {b} both change {name} in {file}"
        yield Hint(kind="symbol", a=a, b=b, files=(file,), what=name, text=text)


def _callers(a: str, ours: _Work, b: str, theirs: _Work) -> Iterator[Hint]:
    """`a` changed a function that was there before; `b` changed what calls it."""
    functions = {
        (one.family, one.symbol.last_name): one for one in ours.touched.values() if one.symbol.is_function
    }
    for (file, name), caller in sorted(theirs.changed.items()):
        for called in sorted(caller.symbol.calls):
            one = functions.get((caller.family, called))
            if one is None or (one.file, one.symbol.name) == (file, name):
                continue
            text = f"{a} changes {one.symbol.name} in {one.file}; {b} changes its caller {name} in {file}"
            files = tuple(dict.fromkeys((one.file, file)))
            yield Hint(kind="caller", a=a, b=b, files=files, what=one.symbol.name, text=text)


def _dependencies(a: str, ours: _Work, b: str, theirs: _Work) -> Iterator[Hint]:
    for file, name in sorted(ours.versions.keys() & theirs.versions.keys()):
        mine, other = ours.versions[file, name], theirs.versions[file, name]
        if mine != other:
            text = f"{name} in {file}: {a} asks for {mine or 'any'}, {b} for {other or 'any'}"
            yield Hint(kind="dependency", a=a, b=b, files=(file,), what=name, text=text)


def _migrations(a: str, ours: _Work, b: str, theirs: _Work) -> Iterator[Hint]:
    mine, other = _numbered(ours), _numbered(theirs)
    for place, number in sorted(mine.keys() & other.keys()):
        files = (mine[place, number], other[place, number])
        if files[0] != files[1]:
            text = f"two migrations {number}: {files[0]} of {a}, {files[1]} of {b}"
            yield Hint(kind="migration", a=a, b=b, files=files, what=number, text=text)


def _numbered(work: _Work) -> dict[tuple[str, str], str]:
    """Migrations that were added, by folder and number."""
    added = [path for path, edit in work.edits.items() if edit.before is None]
    found = {path: match[1] for path in added if (match := _MIGRATION.search(path))}
    return {(str(PurePosixPath(path).parent), number): path for path, number in found.items()}


def _generated(a: str, ours: _Work, b: str, theirs: _Work) -> Iterator[Hint]:
    for file in sorted(ours.edits.keys() & theirs.edits.keys()):
        if _GENERATED.search(file) and ours.edits[file].after != theirs.edits[file].after:
            text = f"{a} and {b} both change {file}, which is generated: make it anew after the merge"
            yield Hint(kind="generated", a=a, b=b, files=(file,), what=file, text=text)
