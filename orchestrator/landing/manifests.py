"""Conflicts that have a right answer: manifests by key, lists by union, lock files made anew."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from orchestrator.config import OrchestratorConfig
from orchestrator.git.merging import Conflict, Merge, Resolution, Version, changes_since, merge_all
from orchestrator.git.replacing import read_objects, replace_blobs, write_blob
from orchestrator.git.shield import Shield
from orchestrator.landing.structured import can_merge_manifest, is_manifest, merge_manifest
from orchestrator.model.known_files import LOCK_FILES

#: Git's words for two contents at one path.
_KINDS = ("contents", "add/add", "binary")
_FILES = ("100644", "100755")


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeRules:
    """What the task file says about files that always collide."""

    union: tuple[str, ...] = ()  #: names or globs
    lock_files: Mapping[str, str] = field(default_factory=dict)  #: name or glob: the command that makes it


@dataclass(frozen=True, slots=True)
class Answer:
    """What a file in conflict has to hold, and why."""

    by: str  #: as in `Resolution`
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Regeneration:
    """A lock file that has to be made anew in the combined tree before its gate."""

    path: str
    command: str  #: for the shell, in the file's folder

    @property
    def folder(self) -> str:
        """Where to run the command, relative to the root."""
        return str(PurePosixPath(self.path).parent)


def rules_of(config: OrchestratorConfig) -> MergeRules:
    """Return the rules that a run was given."""
    return MergeRules(union=config.union, lock_files=config.lock_files)


def resolve_known(
    shield: Shield, merge: Merge, *, base: str, ours: str, theirs: str, rules: MergeRules
) -> Merge:
    """Return the merge of commits `ours` and `theirs` with a new tree and fewer conflicts. Raises GitError.

    What is written goes to the shield's objects. See `regenerations` for the lock files.
    """
    answers = _answers(shield, merge, rules)
    blobs = {path: write_blob(shield, answer.content) for path, answer in answers.items()}
    locks = _silently_merged_locks(shield, merge, base=base, ours=ours, theirs=theirs, rules=rules)
    resolved = _without(merge, answers)
    return replace(
        resolved,
        tree=replace_blobs(shield, merge.tree, blobs | locks),
        resolved=(*resolved.resolved, *(Resolution(path=path, by="lock file") for path in locks)),
    )


def regenerations(merge: Merge, rules: MergeRules) -> tuple[Regeneration, ...]:
    """Return the lock files that the merge took from ours, with the commands that make them anew."""
    locks = sorted({found.path for found in merge.resolved if found.by == "lock file"})
    return tuple(
        Regeneration(path=path, command=command)
        for path in locks
        if (command := _lock_command(path, rules)) is not None
    )


def advice(files: Sequence[str]) -> str | None:
    """Say what in the task file would have spared a conflict in these files."""
    if locks := [path for path in files if PurePosixPath(path).name in LOCK_FILES]:
        return f"`lock_files` has no command that makes {PurePosixPath(locks[0]).name} anew"
    if changelogs := [path for path in files if PurePosixPath(path).name.lower().startswith("change")]:
        return f"`union` can keep both sides' lines of {PurePosixPath(changelogs[0]).name}"
    return None


def settle_known(shield: Shield, ours: str, theirs: str, *, rules: MergeRules) -> str | None:
    """Return the merged tree of two commits if nothing stays in conflict. Lock files are those of `ours`."""
    (merge,) = merge_all(shield, [(ours, theirs)])
    settled = resolve_known(shield, merge, base=ours, ours=ours, theirs=theirs, rules=rules)
    return None if settled.conflicts else settled.tree


def foresee(
    shield: Shield, cases: Sequence[tuple[str, Mapping[int, Version]]], rules: MergeRules
) -> list[str]:
    """Say for each file in conflict by what it will be resolved; empty where it will not be.

    Each content is looked at once, and no text is written where the answer is clear without.
    """
    ways = [_way(path, rules) if _are_plain_files(stages) else "" for path, stages in cases]
    wanted = (stages for way, (_, stages) in zip(ways, cases, strict=True) if way in ("union", "manifest"))
    contents = read_objects(shield, [side.object_id for stages in wanted for side in stages.values()])
    known: dict[tuple[str, ...], bool] = {}

    def holds(way: str, path: str, stages: Mapping[int, Version]) -> bool:
        key = (way, path, *(stages[number].object_id if number in stages else "" for number in (1, 2, 3)))
        if key not in known:
            base, ours, theirs = (contents.get(object_id) for object_id in key[2:])
            assert ours is not None and theirs is not None
            known[key] = (
                not any(b"\0" in side for side in (base or b"", ours, theirs))
                if way == "union"
                else can_merge_manifest(path, base, ours, theirs)
            )
        return known[key]

    return [
        way if way in ("", "lock file") or holds(way, path, stages) else ""
        for way, (path, stages) in zip(ways, cases, strict=True)
    ]


def _answer(shield: Shield, path: str, stages: Mapping[int, Version], rules: MergeRules) -> Answer | None:
    """Return the right content of a file whose content both sides changed; None where no rule has one."""
    way = _way(path, rules) if _are_plain_files(stages) else ""
    if not way:
        return None
    sides = [stages.get(number) for number in (1, 2, 3)]
    contents = read_objects(shield, [side.object_id for side in sides if side])
    base, ours, theirs = (contents[side.object_id] if side else None for side in sides)
    assert ours is not None and theirs is not None
    if way == "lock file":
        return Answer(way, ours)
    if way == "union":
        merged = _union(shield, base or b"", ours, theirs)
    else:
        merged = merge_manifest(path, base, ours, theirs)
    return None if merged is None else Answer(way, merged)


def _way(path: str, rules: MergeRules) -> str:
    """By what rule a file at `path` is merged, as in `Resolution`; empty: as text, by git."""
    if _lock_command(path, rules) is not None:
        return "lock file"
    if _is_named(path, rules.union):
        return "union"
    return "manifest" if is_manifest(path) else ""


def is_about_content(conflict: Conflict) -> bool:
    """Whether the conflict is no more than two contents at one path."""
    return conflict.kind in _KINDS and len(conflict.files) == 1


def _are_plain_files(stages: Mapping[int, Version]) -> bool:
    """Whether both sides have a file there, of one mode, and the base has none or a file as well."""
    return (
        {2, 3} <= stages.keys()
        and stages[2].mode == stages[3].mode
        and all(side.mode in _FILES for side in stages.values())
    )


def _answers(shield: Shield, merge: Merge, rules: MergeRules) -> dict[str, Answer]:
    """Find, for each file in conflict that has one, the right content."""
    found = {}
    for path, stages in merge.stages.items():
        about = [conflict for conflict in merge.conflicts if path in conflict.files]
        if all(map(is_about_content, about)) and (answer := _answer(shield, path, stages, rules)):
            found[path] = answer
    return found


def _without(merge: Merge, answers: Mapping[str, Answer]) -> Merge:
    left = (conflict for conflict in merge.conflicts if not set(conflict.files) <= answers.keys())
    return replace(
        merge,
        conflicts=tuple(left),
        stages={path: stages for path, stages in merge.stages.items() if path not in answers},
        resolved=(*merge.resolved, *(Resolution(path=path, by=each.by) for path, each in answers.items())),
    )


def _silently_merged_locks(
    shield: Shield, merge: Merge, *, base: str, ours: str, theirs: str, rules: MergeRules
) -> dict[str, str]:
    """Find lock files that both changed and git merged as text, which is never right; return our blobs."""
    if not rules.lock_files:
        return {}
    common = shield.run(["merge-base", ours, theirs], check=False).stdout.decode("ascii").strip() or base
    changed = changes_since(shield, common, [ours, theirs])
    here, there = (changed[commit].edits for commit in (ours, theirs))
    return {
        path: mine.object_id
        for path in sorted(here.keys() & there.keys() - set(merge.files))
        if (mine := here[path].after) and there[path].after not in (None, mine)
        if _lock_command(path, rules) is not None
    }


def _union(shield: Shield, base: bytes, ours: bytes, theirs: bytes) -> bytes | None:
    """Keep both sides' lines, ours first; None where git takes the content for binary."""
    with tempfile.TemporaryDirectory(prefix="orchestrator-union-") as folder:
        paths = [Path(folder, name) for name in ("ours", "base", "theirs")]
        for path, content in zip(paths, (ours, base, theirs), strict=True):
            path.write_bytes(content)
        output = shield.run(["merge-file", "-p", "--union", *map(str, paths)], check=False)
    return output.stdout if output.exit_code == 0 else None


def _lock_command(path: str, rules: MergeRules) -> str | None:
    return next((command for name, command in rules.lock_files.items() if _is_named(path, (name,))), None)


def _is_named(path: str, names: Sequence[str]) -> bool:
    """A name without a slash stands for such files in every folder."""
    return any(fnmatchcase(path if "/" in name else PurePosixPath(path).name, name) for name in names)
