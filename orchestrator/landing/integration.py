"""Puts workers' work on top of a tip, in memory: as merges, squashed, or commit by commit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from orchestrator.git.attributes import lay_attributes
from orchestrator.git.chain import Link, trees_of, write_chain
from orchestrator.git.history import commit_tree
from orchestrator.git.merging import Changes, Merge, changes_since, lines_since, merge_all
from orchestrator.git.replaying import commit_again, own_commits
from orchestrator.git.shield import Shield
from orchestrator.landing.manifests import MergeRules, Regeneration, advice, regenerations, resolve_known
from orchestrator.landing.plan import Candidate, Extension, Held, History, Step, Tip
from orchestrator.safe_text import safe_text

#: How agents sign what they had a part in; others have no address of their own.
_CO_AUTHORS = {"claude": "Claude <noreply@anthropic.com>", "codex": "Codex <noreply@openai.com>"}
_TITLE = 100


def merge_step(shield: Shield, base: str, ours: str, theirs: str, rules: MergeRules) -> Merge:
    """Merge two commits. What knows better than git how a file is merged belongs here."""
    (merge,) = merge_all(shield, [(ours, theirs)])
    return resolve_known(shield, merge, base=base, ours=ours, theirs=theirs, rules=rules)


@dataclass(slots=True, kw_only=True)
class Integration:
    """Knows how one run's work is put together. Everything it makes lies in the scratch shield."""

    shield: Shield
    base: str
    run_id: str
    author: str
    history: History
    rules: MergeRules = field(default_factory=MergeRules)
    _changes: dict[str, Changes] = field(default_factory=dict)
    _lines: dict[str, frozenset[str]] = field(default_factory=dict)

    def tip_at(self, commit: str, landed: Sequence[str]) -> Tip:
        """Return the tip at `commit`, in which the commits `landed` are, in whatever form."""
        (tree,) = trees_of(self.shield, [commit])
        whole = commit
        if self.history != "merge" and landed:
            whole = self._commit(tree, (commit, *landed), "What has landed\n")
        return Tip(commit=commit, tree=tree, whole=whole)

    def learn(self, candidates: Iterable[Candidate]) -> None:
        """Find out what they changed, all at once. Those not built on the base are merged one by one."""
        commits = [candidate.commit for candidate in candidates]
        lines = lines_since(self.shield, self.base, commits)
        self._lines = {commit: line for commit, line in lines.items() if line is not None}
        self._changes = changes_since(self.shield, self.base, list(self._lines))
        folders = {str(folder) for each in self._changes.values() for folder in _folders(each.edits)}
        lay_attributes(self.shield, self.base, folders)

    def extend(self, tip: Tip, candidates: Sequence[Candidate]) -> Extension:
        """Put `candidates` on top of `tip`, one after the other. What conflicts is left out, and said."""
        steps: list[Step] = []
        held: list[Held] = []
        waiting: list[Candidate] = []  # their paths are apart from all that comes before
        footprint = self._footprint(tip)
        for candidate in candidates:
            if footprint and self._is_apart(footprint, candidate):
                waiting.append(candidate)
                continue
            steps += self._together(steps[-1].tip if steps else tip, waiting)
            waiting = []
            made = self._alone(steps[-1].tip if steps else tip, candidate)
            if isinstance(made, Held):
                held.append(made)
            else:
                steps.append(made)
                footprint = self._footprint(made.tip)
        steps += self._together(steps[-1].tip if steps else tip, waiting)
        return Extension(steps=tuple(steps), held=tuple(held))

    def join(self, tip: Tip, commit: str, message: str) -> Tip | Merge:
        """Merge a commit that is no worker's, such as that of a branch which moved, into the tip."""
        merge = self._merge(tip.whole, commit)
        if merge.conflicts:
            return merge
        made = self._commit(merge.tree, (tip.commit, commit), message)
        whole = made if tip.whole == tip.commit else self._commit(merge.tree, (tip.whole, made), message)
        return Tip(commit=made, tree=merge.tree, whole=whole, stale=self._stale(tip, merge))

    def merge_onto(self, tip: Tip, candidate: Candidate) -> Merge:
        """Merge one worker's work into the tip, and commit nothing."""
        return self._merge(tip.whole, candidate.commit)

    def unresolved(self, tip: Tip, candidate: Candidate, tree: str) -> str:
        """Commit a tree with conflict markers, for an agent to begin from; it never lands."""
        message = f"What {candidate.worker_id} conflicts with\n\nRun: {self.run_id}\n"
        return self._commit(tree, (tip.whole, candidate.commit), message)

    def resolved(self, tip: Tip, candidate: Candidate, merge: Merge, commit: str) -> Step:
        """Put work on top of the tip with the tree that `commit` has made of their conflicting `merge`."""
        (tree,) = trees_of(self.shield, [commit])
        made = self._merged(tip, candidate, tree, squash=True)
        return Step(candidate=candidate, tip=replace(made, stale=self._stale(tip, merge)))

    def with_tree(self, tip: Tip, tree: str, message: str) -> Tip:
        """Commit another tree on top of the tip; nothing in it is stale."""
        if tree == tip.tree:
            return replace(tip, stale=())
        made = self._commit(tree, (tip.commit,), message)
        whole = made if tip.whole == tip.commit else self._commit(tree, (tip.whole, made), message)
        return Tip(commit=made, tree=tree, whole=whole)

    def _stale(self, tip: Tip, merge: Merge) -> tuple[Regeneration, ...]:
        return tuple(dict.fromkeys([*tip.stale, *regenerations(merge, self.rules)]))

    def _footprint(self, tip: Tip) -> _Footprint | None:
        line = lines_since(self.shield, self.base, [tip.whole])[tip.whole]
        if line is None or self.history == "rebase":
            return None
        footprint = _Footprint()
        footprint.add(changes_since(self.shield, self.base, [tip.commit])[tip.commit], line)
        return footprint

    def _is_apart(self, footprint: _Footprint, candidate: Candidate) -> bool:
        """Whether nothing can conflict; if so it counts as part of the footprint from now on."""
        changes, line = self._changes.get(candidate.commit), self._lines.get(candidate.commit)
        if changes is None or line is None or not footprint.is_apart(changes, line):
            return False
        footprint.add(changes, line)
        return True

    def _together(self, tip: Tip, candidates: Sequence[Candidate]) -> list[Step]:
        """Commit work whose paths are apart: no file is merged, so one process makes all commits."""
        merges = [self._link(candidate, merge=True) for candidate in candidates]
        wholes = write_chain(self.shield, tip.whole, merges, author=self.author)
        commits = wholes
        if self.history != "merge":
            plain = [self._link(candidate, merge=False) for candidate in candidates]
            commits = write_chain(self.shield, tip.commit, plain, author=self.author)
        trees = trees_of(self.shield, commits)
        return [
            Step(candidate=candidate, tip=Tip(commit=commit, tree=tree, whole=whole, stale=tip.stale))
            for candidate, commit, tree, whole in zip(candidates, commits, trees, wholes, strict=True)
        ]

    def _link(self, candidate: Candidate, *, merge: bool) -> Link:
        return Link(
            message=message_of(candidate, self.run_id),
            edits=self._changes[candidate.commit].edits,
            merges=(candidate.commit,) if merge else (),
        )

    def _alone(self, tip: Tip, candidate: Candidate) -> Step | Held:
        merge = self._merge(tip.whole, candidate.commit)
        if merge.conflicts:
            return _conflict(candidate, merge)
        made = self._merged(tip, candidate, merge.tree)
        return Step(candidate=candidate, tip=replace(made, stale=self._stale(tip, merge)))

    def _merged(self, tip: Tip, candidate: Candidate, tree: str, *, squash: bool = False) -> Tip:
        """Commit a merged tree in the form that the history is to have."""
        message = message_of(candidate, self.run_id)
        if self.history == "merge":
            commit = self._commit(tree, (tip.commit, candidate.commit), message)
            return Tip(commit=commit, tree=tree, whole=commit)
        replayed = None if self.history == "squash" or squash else self._replay(tip, candidate)
        if replayed is not None:
            commit, tree = replayed
        else:
            commit = tip.commit if tree == tip.tree else self._commit(tree, (tip.commit,), message)
        return Tip(commit=commit, tree=tree, whole=self._commit(tree, (tip.whole, candidate.commit), message))

    def _replay(self, tip: Tip, candidate: Candidate) -> tuple[str, str] | None:
        """Put the worker's own commits on the tip one by one; None when that cannot be done cleanly."""
        commit, tree = tip.commit, tip.tree
        for original, parents in own_commits(self.shield, candidate.commit, known=(tip.whole, self.base)):
            if len(parents) != 1:
                return None
            if parents == (commit,):
                commit = original
                (tree,) = trees_of(self.shield, [commit])
                continue
            # A commit of the same tree whose parent is the original's: their merge is a cherry-pick.
            ours = self._commit(tree, parents, "What has landed\n")
            merge = merge_step(self.shield, parents[0], ours, original, self.rules)
            if merge.conflicts:
                return None
            if merge.tree != tree:
                tree = merge.tree
                commit = commit_again(self.shield, original, tree, commit, committer=self.author)
        return commit, tree

    def _merge(self, ours: str, theirs: str) -> Merge:
        return merge_step(self.shield, self.base, ours, theirs, self.rules)

    def _commit(self, tree: str, parents: Sequence[str], message: str) -> str:
        return commit_tree(self.shield, tree, parents, author=self.author, message=message.rstrip("\n"))


@dataclass(slots=True)
class _Footprint:
    """What a tip changed since the base."""

    paths: set[str] = field(default_factory=set)
    folders: set[PurePosixPath] = field(default_factory=set)
    line: set[str] = field(default_factory=set)  #: its commits
    removes: bool = False
    adds: bool = False

    def is_apart(self, changes: Changes, line: frozenset[str]) -> bool:
        """Whether git would put the two together without looking into a file, or moving one."""
        paths = changes.edits.keys()
        return (
            self.paths.isdisjoint(paths)
            and self.line.isdisjoint(line)
            and not any(PurePosixPath(path) in self.folders for path in paths)
            and self.paths.isdisjoint(map(str, _folders(paths)))
            and not (changes.removed and self.adds)
            and not (changes.adds and self.removes)
        )

    def add(self, changes: Changes, line: frozenset[str]) -> None:
        self.paths |= changes.edits.keys()
        self.folders |= _folders(changes.edits)
        self.line |= line
        self.removes = self.removes or bool(changes.removed)
        self.adds = self.adds or changes.adds


def message_of(candidate: Candidate, run_id: str) -> str:
    """The message of the commit that lands a worker's work."""
    title = " ".join(safe_text(candidate.name).split())[:_TITLE] or candidate.worker_id
    trailers = [f"Task: {candidate.worker_id}", f"Run: {run_id}"]
    if co_author := next(
        (who for name, who in _CO_AUTHORS.items() if candidate.agent.startswith(name)), None
    ):
        trailers.append(f"Co-authored-by: {co_author}")
    return "\n".join([title, "", *trailers, ""])


def _conflict(candidate: Candidate, merge: Merge) -> Held:
    said = "; ".join(f"{', '.join(each.files[:5])} ({each.kind})" for each in merge.conflicts[:5])
    more = f" and {len(merge.conflicts) - 5} more" if len(merge.conflicts) > 5 else ""
    hint = advice(merge.files)
    reason = f"it conflicts with what has landed: {said}{more}{f' ({hint})' if hint else ''}"
    return Held(worker_id=candidate.worker_id, kind="conflict", reason=reason, files=merge.files)


def _folders(paths: Iterable[str]) -> set[PurePosixPath]:
    return {folder for path in paths for folder in PurePosixPath(path).parents}
