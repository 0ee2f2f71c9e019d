"""The tripwire: notices what changes in the user's own repository and checkout while workers run.

Nobody can tell afterwards which process made a change. So a change counts against every worker whose
agent was alive between the last look and the one that found it; looks are taken at each agent's start and
end. What changes while no agent runs counts against nobody.
"""

from __future__ import annotations

import difflib
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.git.process import run_git
from orchestrator.git.repository import Repository
from orchestrator.safe_text import decode
from orchestrator.workspaces.fingerprint import CheckoutState, checkout_state, git_state, read_file

_NAMED = 4  #: so many names a message holds; the evidence has all changes
_EVIDENCE_LINES = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing that is not as it was. `path` is as the user would find it; None: it is not there."""

    path: str
    before: bytes | None
    after: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """What changed during one worker, and who else may have done it."""

    changes: tuple[Change, ...]
    others: tuple[str, ...]

    @property
    def message(self) -> str:
        """Say it in a sentence."""
        changed = _listed([change.path for change in self.changes])
        text = f"{changed} of your repository changed while this worker ran"
        if self.others:
            text += f", and so did {_listed(self.others)}: it cannot be told which of them did it"
        return text

    def evidence(self) -> str:
        """Say what exactly changed, as a diff."""
        return "\n".join(line for change in self.changes for line in _diff(change)) + "\n"


class Tripwire:
    """Watches one repository for a run. Its methods block, and may be called from any thread."""

    def __init__(self, repo: Repository, *, checkout: bool, ours: Path) -> None:
        """`checkout`: look at the user's files too, not only at git's. `ours`: where our worktrees are."""
        self._repo, self._ours, self._with_checkout = repo, ours, checkout
        self._lock = threading.Lock()
        self._looked_at = 0.0
        self._alive: dict[str, dict[str, Change]] = {}
        self._others: dict[str, set[str]] = {}
        self._git: dict[str, bytes] = {}
        self._checkout = CheckoutState()

    def begin(self, worker: str) -> None:
        """Note that the agent of `worker` is about to start."""
        asked = time.monotonic()
        with self._lock:
            self._look(asked)
            self._alive[worker] = {}
            self._others[worker] = set()

    def end(self, worker: str) -> Alarm | None:
        """Note that every process of `worker` is gone; say what changed since it began."""
        asked = time.monotonic()
        with self._lock:
            self._look(asked)
            changes, others = self._alive.pop(worker), self._others.pop(worker)
        if not changes:
            return None
        ordered = sorted(changes.values(), key=lambda change: change.path)
        return Alarm(changes=tuple(ordered), others=tuple(sorted(others)))

    def _look(self, asked: float) -> None:
        """Compare with the last look, unless somebody did since it was `asked` for."""
        if self._looked_at > asked:
            return
        self._looked_at = time.monotonic()
        git = git_state(self._repo, self._ours)
        changes = compare(self._git, git)
        self._git = git
        if self._with_checkout:
            before, self._checkout = self._checkout, checkout_state(self._repo, self._checkout)
            if self._alive:
                changes += self._checkout_changes(before, self._checkout)
        for worker, known in self._alive.items():
            for change in changes:
                first = known.get(change.path, change)
                known[change.path] = Change(path=change.path, before=first.before, after=change.after)
            if changes:
                self._others[worker] |= self._alive.keys() - {worker}

    def _checkout_changes(self, before: CheckoutState, after: CheckoutState) -> list[Change]:
        changes = compare(_by_path(before.index), _by_path(after.index), prefix="the index: ")
        for path in after.differing(before):
            changes.append(
                Change(
                    path=path,
                    before=self._staged(before, path) if path in before.files else None,
                    after=read_file(self._repo.root / path) if path in after.files else None,
                )
            )
        return changes

    def _staged(self, state: CheckoutState, path: str) -> bytes:
        """The content that the index knew: what a file was before, unless it had been edited then."""
        entry = _by_path(state.index).get(path, b"")
        words = entry.split()
        if len(words) < 2 or words[0] == b"160000":
            return b"(content unknown: it was not in the index)"
        argv = ["cat-file", "blob", words[1].decode("ascii")]
        output = run_git(argv, git_dir=self._repo.git_dir, check=False)
        return output.stdout if output.exit_code == 0 else b"(content unknown)"


def compare(before: Mapping[str, bytes], after: Mapping[str, bytes], *, prefix: str = "") -> list[Change]:
    """Return what differs between two states."""
    return [
        Change(path=prefix + path, before=before.get(path), after=after.get(path))
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    ]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _by_path(listing: bytes) -> dict[str, bytes]:
    """Read `git ls-files --stage -z`: path to `mode object stage`."""
    lines = (line.partition(b"\t") for line in listing.split(b"\0") if line)
    return {decode(path): entry for entry, _, path in lines}


def _diff(change: Change) -> Iterable[str]:
    if change.before is None:
        yield f"{change.path} was added"
    elif change.after is None:
        yield f"{change.path} was removed"
    else:
        yield f"{change.path} was changed"
    lines = difflib.unified_diff(
        _lines(change.before), _lines(change.after), "before", "after", lineterm="", n=2
    )
    for number, line in enumerate(lines):
        if number == _EVIDENCE_LINES:
            yield "(cut off here)"
            return
        yield line


def _lines(content: bytes | None) -> Sequence[str]:
    return decode(content or b"").split("\n")[:_EVIDENCE_LINES]
