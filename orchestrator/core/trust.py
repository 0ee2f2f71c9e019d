"""Whether a run may start although the repository holds content that gets itself executed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from orchestrator.errors import InputError
from orchestrator.git.repository import Repository
from orchestrator.ports import Agent
from orchestrator.workspaces.active_content import ActiveContent, active_content
from orchestrator.workspaces.approved_content import approve, is_approved

#: They obey no settings of the repository: what they run is in the task.
_DEAF = frozenset({"command", "demo"})
_SHOWN = 20


def require_trust(
    repo: Repository | None, commit: str | None, agents: Iterable[Agent], *, trusted: bool
) -> tuple[str, ...]:
    """Return warnings. Raises InputError when somebody has to look at the repository first.

    `trusted` says that somebody did; that is remembered for exactly this content.
    """
    found = active_content(repo, commit or repo.head) if repo is not None else ()
    if repo is None or is_approved(found):
        return ()
    if trusted:
        approve(found, repo=repo.root)
        return ()
    if all(agent.name in _DEAF for agent in agents):
        return (f"the repository holds content that agents or git would execute: {_names(found)}",)
    raise InputError(
        f"the repository holds content that agents or git would execute, and nobody has approved it:\n"
        f"{_lines(found)}",
        hint="look at it; then `orchestrator run --trust-content …` approves it, until it changes",
    )


def _names(found: Sequence[ActiveContent]) -> str:
    return ", ".join(item.name for item in found[:3]) + (f" and {len(found) - 3} more" if found[3:] else "")


def _lines(found: Sequence[ActiveContent]) -> str:
    lines = [f"  {item.name} ({item.runner})" for item in found[:_SHOWN]]
    return "\n".join([*lines, *([f"  … and {len(found) - _SHOWN} more"] if found[_SHOWN:] else [])])
