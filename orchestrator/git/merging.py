"""Merges in memory: many pairs of commits by one process, each with its conflicts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orchestrator.errors import GitError
from orchestrator.git.shield import Shield


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """One thing that git cannot merge by itself."""

    kind: str  #: git's word for it, such as `contents` or `modify/delete`
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """What becomes of two commits put together."""

    tree: str  #: holds conflict markers where there are conflicts
    conflicts: tuple[Conflict, ...]

    @property
    def files(self) -> tuple[str, ...]:
        """Every file in conflict, sorted."""
        return tuple(sorted({name for conflict in self.conflicts for name in conflict.files}))


def merge_all(shield: Shield, pairs: Sequence[tuple[str, str]]) -> list[Merge]:
    """Merge each pair of commits, three-way over their merge base. Raises GitError.

    `merge-tree --stdin` needs git 2.39; its older form with three arguments overlooks renames.
    """
    if not pairs:
        return []
    asked = "".join(f"{ours} {theirs}\n" for ours, theirs in pairs).encode("ascii")
    output = shield.run(
        ["merge-tree", "--stdin", "--messages", "--write-tree", "--allow-unrelated-histories"], input=asked
    ).stdout
    fields = iter(output.split(b"\0"))
    merges = [_read_merge(fields) for _ in pairs]
    if list(fields) != [b""]:
        raise GitError("git merge-tree said more than was asked", hint="is this git older than 2.39?")
    return merges


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """The paths in which a commit differs from another."""

    kept: frozenset[str]  #: there after it: added, or changed
    removed: frozenset[str]
    adds: bool  #: whether some were added


def changes_since(shield: Shield, base: str, commits: Sequence[str]) -> dict[str, Changes]:
    """Return what each of `commits` changed, renames as a removal and an addition."""
    asked = "".join(f"{commit} {base}\n" for commit in dict.fromkeys(commits)).encode("ascii")
    argv = ["diff-tree", "--stdin", "-r", "-z", "--name-status", "--no-renames"]
    fields = iter(shield.run(argv, input=asked).stdout.split(b"\0"))
    found: dict[str, list[tuple[bytes, str]]] = {commit: [] for commit in commits}
    commit = ""
    for field in fields:
        if len(field) == 1:
            found[commit].append((field, os.fsdecode(next(fields))))
        elif field:
            commit = field.decode("ascii")
    return {commit: _changes(entries) for commit, entries in found.items()}


def _changes(entries: Sequence[tuple[bytes, str]]) -> Changes:
    return Changes(
        kept=frozenset(path for status, path in entries if status != b"D"),
        removed=frozenset(path for status, path in entries if status == b"D"),
        adds=any(status == b"A" for status, _ in entries),
    )


def share_an_ancestor(shield: Shield, base: str, commits: Sequence[str]) -> bool:
    """Whether all of `commits` were built on `base`."""
    output = shield.run(["merge-base", "--octopus", base, *commits], check=False)
    return output.stdout.decode("ascii").strip() == base


def _read_merge(fields: Iterator[bytes]) -> Merge:
    """Read `status tree (mode oid stage TAB path)* "" (count path* kind message)* ""`."""
    try:
        status, tree = next(fields), next(fields)
        staged = set()
        if status == b"0":
            while entry := next(fields):
                staged.add(os.fsdecode(entry.partition(b"\t")[2]))
        else:
            next(fields)
        told = list(_read_messages(fields))
    except (StopIteration, ValueError) as err:
        raise GitError("git merge-tree broke off its answer", hint="is this git older than 2.39?") from err
    conflicts = tuple(conflict for conflict in told if conflict is not None)
    named = {name for conflict in conflicts for name in conflict.files}
    if left := staged - named:
        conflicts += (Conflict(kind="contents", files=tuple(sorted(left))),)
    return Merge(tree=tree.decode("ascii"), conflicts=conflicts if status == b"0" else ())


def _read_messages(fields: Iterator[bytes]) -> Iterator[Conflict | None]:
    while count := next(fields, b""):
        files = tuple(os.fsdecode(next(fields)) for _ in range(int(count)))
        kind = next(fields).decode("utf-8", "replace")
        next(fields)  # the message, for people
        if kind.startswith("CONFLICT ("):
            yield Conflict(kind=kind.removeprefix("CONFLICT (").removesuffix(")"), files=files)
        else:
            yield None
