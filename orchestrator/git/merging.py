"""Merges in memory: many pairs of commits by one process, each with its conflicts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.errors import GitError
from orchestrator.git.hunks import Hunk
from orchestrator.git.shield import Shield

#: In a scratch shield: a folder that holds the attributes that count, and nothing else.
ATTRIBUTES = "attributes"
SUBMODULE = "160000"


@dataclass(frozen=True, slots=True)
class Version:
    """One state of a file: its mode and its content."""

    mode: str
    object_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """One thing that git cannot merge by itself."""

    kind: str  #: git's word for it, such as `contents` or `modify/delete`; also `mode`, `submodule`
    files: tuple[str, ...]
    hunks: tuple[Hunk, ...] = ()  #: where in the files, for text, when it was asked for
    resolved_by: str = ""  #: how landing resolves it by itself, as in `Resolution`; empty: it does not


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """A file that git would have left in conflict, or merged in a way that is wrong for it."""

    path: str
    by: str  #: `manifest`, `union` or `lock file`


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """What becomes of two commits put together."""

    tree: str  #: holds conflict markers where there are conflicts
    conflicts: tuple[Conflict, ...]
    #: For each file in conflict: its states in the merge base (1), in ours (2) and in theirs (3).
    stages: Mapping[str, Mapping[int, Version]] = field(default_factory=dict)
    resolved: tuple[Resolution, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """Every file in conflict, sorted."""
        return tuple(sorted({name for conflict in self.conflicts for name in conflict.files}))


def merge_all(shield: Shield, pairs: Sequence[tuple[str, str]]) -> list[Merge]:
    """Merge each pair of commits, three-way over their merge base. Raises GitError.

    `merge-tree --stdin` needs git 2.39; its older form with three arguments overlooks renames. Attributes
    are those of the shield, and of the files that `lay_attributes` laid; not those of some checkout.
    """
    if not pairs:
        return []
    asked = "".join(f"{ours} {theirs}\n" for ours, theirs in pairs).encode("ascii")
    output = shield.run(
        ["merge-tree", "--stdin", "--messages", "--write-tree", "--allow-unrelated-histories"],
        work_tree=attributes_folder(shield),
        input=asked,
    ).stdout
    fields = iter(output.split(b"\0"))
    merges = [_read_merge(fields) for _ in pairs]
    if list(fields) != [b""]:
        raise GitError("git merge-tree said more than was asked", hint="is this git older than 2.39?")
    return merges


def attributes_folder(shield: Shield) -> Path:
    """Return the folder in which git looks for attributes during a merge."""
    folder = shield.git_dir / ATTRIBUTES
    folder.mkdir(exist_ok=True)
    return folder


@dataclass(frozen=True, slots=True)
class Edit:
    """What a commit made of one path; None: it is not there."""

    before: Version | None
    after: Version | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """The paths in which a commit differs from another."""

    edits: Mapping[str, Edit]
    removed: frozenset[str]
    adds: bool  #: whether some were added


def changes_since(shield: Shield, base: str, commits: Sequence[str]) -> dict[str, Changes]:
    """Return what each of `commits` changed, renames as a removal and an addition."""
    asked = "".join(f"{commit} {base}\n" for commit in dict.fromkeys(commits)).encode("ascii")
    argv = ["diff-tree", "--stdin", "-r", "-z", "--raw", "--no-abbrev", "--no-renames"]
    fields = iter(shield.run(argv, input=asked).stdout.split(b"\0"))
    found: dict[str, dict[str, Edit]] = {commit: {} for commit in commits}
    commit = ""
    for header in fields:
        if header.startswith(b":"):
            found[commit][os.fsdecode(next(fields))] = _edit(header)
        elif header:
            commit = header.decode("ascii")
    return {commit: _changes(edits) for commit, edits in found.items()}


def _edit(header: bytes) -> Edit:
    """Read `:mode mode object object status`; a mode of zeros is of a file that is not there."""
    old_mode, new_mode, old, new, _ = header[1:].decode("ascii").split(" ")
    return Edit(_version(old_mode, old), _version(new_mode, new))


def _version(mode: str, object_id: str) -> Version | None:
    return Version(mode, object_id) if int(mode, 8) else None


def _changes(edits: Mapping[str, Edit]) -> Changes:
    return Changes(
        edits=edits,
        removed=frozenset(path for path, edit in edits.items() if edit.after is None),
        adds=any(edit.before is None for edit in edits.values()),
    )


def lines_since(shield: Shield, base: str, commits: Sequence[str]) -> dict[str, frozenset[str] | None]:
    """Return for each of `commits` those it has beyond `base`; None when it was not built on `base`.

    Two lines of work that share none of these have `base` as their one merge base.
    """
    wanted = list(dict.fromkeys(commits))
    argv = ["rev-list", "--parents", "--topo-order", "--stdin"]
    asked = "".join(f"{name}\n" for name in (*wanted, f"^{base}")).encode("ascii")
    listed = [line.split() for line in shield.run(argv, input=asked).stdout.decode("ascii").splitlines()]
    parents = {commit: tuple(rest) for commit, *rest in listed}
    return {commit: _line(commit, base, parents) for commit in wanted}


def _line(commit: str, base: str, parents: Mapping[str, Sequence[str]]) -> frozenset[str] | None:
    found: set[str] = set()
    on_base = commit == base
    waiting = [commit]
    while waiting:
        name = waiting.pop()
        if name in found or name not in parents:
            continue
        found.add(name)
        on_base = on_base or base in parents[name]
        waiting += parents[name]
    return frozenset(found) if on_base else None


def _read_merge(fields: Iterator[bytes]) -> Merge:
    """Read `status tree (mode oid stage TAB path)* "" (count path* kind message)* ""`."""
    try:
        status, tree = next(fields), next(fields)
        stages: dict[str, dict[int, Version]] = {}
        if status == b"0":
            while entry := next(fields):
                facts, _, path = entry.partition(b"\t")
                mode, object_id, stage = facts.decode("ascii").split(" ")
                stages.setdefault(os.fsdecode(path), {})[int(stage)] = Version(mode, object_id)
        else:
            next(fields)
        told = [conflict for conflict in _read_messages(fields) if conflict is not None]
    except (StopIteration, ValueError) as err:
        raise GitError("git merge-tree broke off its answer", hint="is this git older than 2.39?") from err
    conflicts = tuple(dict.fromkeys(_named(conflict, stages) for conflict in told))
    named = {name for conflict in conflicts for name in conflict.files}
    left = sorted(stages.keys() - named)
    conflicts += tuple(_named(Conflict(kind="contents", files=(name,)), stages) for name in left)
    return Merge(tree=tree.decode("ascii"), conflicts=conflicts if status == b"0" else (), stages=stages)


def _named(conflict: Conflict, stages: Mapping[str, Mapping[int, Version]]) -> Conflict:
    """One word each where git has several, or none: for submodules, and for modes that differ."""
    sides = [stages.get(name, {}) for name in conflict.files]
    if any(version.mode == SUBMODULE for side in sides for version in side.values()):
        kind = (
            "submodule" if conflict.kind.startswith(("submodule", "contents", "add/add")) else conflict.kind
        )
        return Conflict(kind=kind, files=conflict.files)
    if conflict.kind == "contents" and all(map(_only_modes_differ, sides)):
        return Conflict(kind="mode", files=conflict.files)
    return conflict


def _only_modes_differ(stages: Mapping[int, Version]) -> bool:
    ours, theirs = stages.get(2), stages.get(3)
    if ours is None or theirs is None:
        return False
    return ours.mode != theirs.mode and ours.object_id == theirs.object_id


def _read_messages(fields: Iterator[bytes]) -> Iterator[Conflict | None]:
    while (count := next(fields, b"")).isdigit():  # advice on submodules may stand in the place of the end
        files = tuple(os.fsdecode(next(fields)) for _ in range(int(count)))
        kind = next(fields).decode("utf-8", "replace")
        next(fields)  # the message, for people
        if kind.startswith("CONFLICT ("):
            yield Conflict(kind=kind.removeprefix("CONFLICT (").removesuffix(")"), files=files)
        else:
            yield None
