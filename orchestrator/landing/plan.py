"""What a landing is about: the branches that are to land, where they stand, and what became of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from orchestrator.errors import OrchestratorError
from orchestrator.landing.manifests import Regeneration

History = Literal["merge", "squash", "rebase"]


class LandingError(OrchestratorError):
    """The landing cannot go on."""

    exit_code = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """The work of one worker that succeeded."""

    worker_id: str
    name: str
    agent: str
    branch: str
    commit: str
    needs: tuple[str, ...] = ()
    prompt: str = ""
    verify: tuple[str, ...] = ()  #: checks of its own, besides those of the run


@dataclass(frozen=True, slots=True, kw_only=True)
class Tip:
    """Where the integration branch is, or would be."""

    commit: str
    tree: str
    #: A commit with the same tree that has all that was landed among its ancestors: for merging. With
    #: a history of merges it is the commit itself.
    whole: str
    stale: tuple[Regeneration, ...] = ()  #: lock files of the tree that have to be made anew


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One worker's work on top of what was there before."""

    candidate: Candidate
    tip: Tip


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Work that is set aside."""

    worker_id: str
    kind: Literal["conflict", "gate", "need", "missing", "stopped"]
    reason: str
    files: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it for journal and report."""
        return {
            "worker_id": self.worker_id,
            "kind": self.kind,
            "reason": self.reason,
            "files": list(self.files),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """What came of putting some work on top of a tip."""

    steps: tuple[Step, ...] = ()
    held: tuple[Held, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a gate said of one tree."""

    passed: bool
    reason: str | None = None  #: why it did not
    flaky: bool = False
    certificate: str | None = None
    unusable: bool = False  #: a command of it could not even be started


@dataclass(slots=True, kw_only=True)
class LandingResult:
    """How a landing ended."""

    branch: str
    commit: str | None = None
    landed: list[str] = field(default_factory=list)
    held: dict[str, Held] = field(default_factory=dict)
    resolved: list[Mapping[str, Any]] = field(default_factory=list)  #: conflicts that agents resolved
    empty: list[str] = field(default_factory=list)  #: succeeded without a change: nothing to land
    stopped: str | None = None  #: what ended it before its time
    interrupted: bool = False  #: a person did
    into: Mapping[str, Any] | None = None
    pull_requests: list[Mapping[str, Any]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def complete(self) -> bool:
        """Whether everything that was asked for was done."""
        refused = self.into is not None and not self.into.get("moved")
        return not (self.held or self.stopped or refused)

    def to_json(self) -> dict[str, Any]:
        """Return it as the report's `landing`."""
        return {
            "branch": self.branch,
            "commit": self.commit,
            "landed": list(self.landed),
            "held": [held.to_json() for held in self.held.values()],
            "resolved": [dict(each) for each in self.resolved],
            "empty": list(self.empty),
            "stopped": self.stopped,
            "into": dict(self.into) if self.into else None,
            "pull_requests": [dict(each) for each in self.pull_requests],
            "seconds": round(self.seconds, 3),
        }
