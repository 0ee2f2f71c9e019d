"""Chooses among the variants of a task: the gate filters, a comparison picks, the rest is salvaged."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator.attempt.spec import AttemptReport
from orchestrator.core.judging import Verdict, question, read_verdict
from orchestrator.core.plan import RunPlan
from orchestrator.errors import GitError, OrchestratorError
from orchestrator.git.file_changes import FileChange, file_changes
from orchestrator.git.history import commit_tree
from orchestrator.git.repository import Repository
from orchestrator.git.salvage import publish
from orchestrator.git.worktrees import delete_branch_at
from orchestrator.landing.conflicts import pair_conflicts
from orchestrator.landing.manifests import rules_of
from orchestrator.model.outcome import Outcome
from orchestrator.model.result import Status, TaskResult, Usage
from orchestrator.model.task import Task
from orchestrator.workspaces.pool import in_pool
from orchestrator.workspaces.salvage import salvage_ref

_LOG = logging.getLogger("orchestrator")


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One variant, as it is compared and as the report shows it."""

    worker_id: str
    agent: str
    model: str | None
    status: str
    error_message: str | None = None
    verified: bool | None = None  #: None: there was no gate
    files: int = 0
    diff_lines: int | None = None  #: added and removed; None: not measured
    conflicts: int | None = None  #: with so many other workers
    gate_s: float | None = None
    branch: str | None = None
    commit: str | None = None
    chosen: bool = False
    why: str = ""
    salvaged: str | None = None  #: where the work of one that was not chosen is kept

    @property
    def is_candidate(self) -> bool:
        """Whether it succeeded, its gate included."""
        return self.status == Status.SUCCEEDED and self.verified is not False


@dataclass(frozen=True, slots=True)
class Field:
    """What a choice is made from. Commits by worker."""

    plan: RunPlan
    task: Task
    results: Mapping[str, TaskResult]  #: of its variants
    starts: Mapping[str, str]  #: where their work began
    others: Mapping[str, str]  #: the work of other workers so far


def compare(candidates: Sequence[Variant]) -> tuple[Variant, str]:
    """Pick one, and say why: changes at all, fewest conflicts, smallest diff, quickest gate, first."""
    ranked = sorted(candidates, key=_rank)  # stable: the first of equals stays first
    best = ranked[0]
    if len(ranked) == 1:
        return best, "the only one that succeeded"
    second = ranked[1]
    of = f"of {len(ranked)} that succeeded"
    if not best.files and not second.files:
        return best, f"{of}, none changed a file"
    mine, other = _rank(best), _rank(second)
    reasons = (
        (0, "it alone changed files"),
        (1, f"the fewest conflicts with other workers: {best.conflicts} against {second.conflicts}"),
        (2, f"the smallest diff: {_lines(best)} against {_lines(second)} of {second.worker_id}"),
        (3, f"the quickest gate: {mine[3]:.1f} s against {other[3]:.1f} s"),
    )
    for place, reason in reasons:
        if mine[place] != other[place]:
            return best, f"{of}, {reason}"
    return best, f"{of}, the first of equals"


def _rank(variant: Variant) -> tuple[bool, int, int, float]:
    return (not variant.files, variant.conflicts or 0, variant.diff_lines or 0, variant.gate_s or 0.0)


def _lines(variant: Variant) -> str:
    return "1 line" if variant.diff_lines == 1 else f"{variant.diff_lines} lines"


async def decide(
    field: Field, pool: Executor, ask: Callable[[str], Awaitable[AttemptReport]]
) -> AttemptReport:
    """Compare, ask the judge where there is one, and choose. What git cannot do is the task's failure."""
    try:
        variants = await in_pool(pool, partial(measure, field))
        verdict = None
        if text := await in_pool(pool, partial(_question, field, variants)):
            names = [variant.worker_id for variant in variants if variant.is_candidate]
            verdict = read_verdict(await ask(text), names)
        return await in_pool(pool, partial(choose, field, variants, verdict))
    except (OrchestratorError, OSError) as err:
        message = f"the variants could not be compared: {err}"
        return AttemptReport(
            outcome=Outcome(status=Status.FAILED, error_kind="choice_failed", error_message=message)
        )


def measure(field: Field) -> list[Variant]:
    """Look at the variants, and measure those that may be chosen. Blocks; raises GitError."""
    variants = [_variant(field, variant_id) for variant_id in field.task.variants]
    if field.plan.repository is not None and field.plan.base_commit is not None:
        variants = _measured(field, field.plan.repository, field.plan.base_commit, variants)
    return variants


def _question(field: Field, variants: Sequence[Variant]) -> str | None:
    """What the judge is asked; None where there is none, or nothing to choose."""
    repo, base = field.plan.repository, field.plan.base_commit
    candidates = [variant for variant in variants if variant.is_candidate and variant.commit]
    if not judge_of(field.plan, field.task) or len(candidates) < 2 or repo is None or base is None:
        return None
    diffs = {}
    with tempfile.TemporaryDirectory(prefix="orchestrator-choice-") as folder:
        shield = repo.scratch(Path(folder, "git"), head=base)
        for variant in candidates:
            start = field.starts.get(variant.worker_id, base)
            argv = [
                "diff-tree",
                "-r",
                "-p",
                "-M",
                "--no-ext-diff",
                "--no-textconv",
                start,
                variant.commit or "",
            ]
            diffs[variant.worker_id] = shield.run(argv).stdout.decode("utf-8", "replace")
    return question(field.task, [asdict(variant) for variant in candidates], diffs)


def judge_of(plan: RunPlan, task: Task) -> tuple[str, ...]:
    """The program that judges the variants of a task; empty: there is none."""
    return task.judge or (plan.config.judge.command if plan.config.judge else ())


def choose(field: Field, variants: Sequence[Variant], verdict: Verdict | None = None) -> AttemptReport:
    """Pick one and keep the work of all others. A judge that named none is said. Blocks; raises GitError."""
    candidates = [variant for variant in variants if variant.is_candidate]
    if not candidates:
        return _no_variant(field, variants)
    winner, why = compare(candidates)
    if verdict is not None and verdict.winner is None:
        why = f"{why} ({verdict.said}: the comparison decided)"
    elif verdict is not None:
        winner = next(one for one in candidates if one.worker_id == verdict.winner)
        why = f"of {len(candidates)} that succeeded, the judge's choice: {verdict.said}"
    told = [_told(field, variant, winner, why) for variant in variants]
    result = field.results[winner.worker_id]
    return AttemptReport(
        outcome=Outcome(
            status=Status.SUCCEEDED,
            output=result.output,
            session_id=result.session_id,
            usage=_sum(field.results.values()),
        ),
        branch=result.branch,
        commit=result.commit,
        files_changed=result.files_changed,
        verify=result.verify,
        variants=tuple(asdict(variant) for variant in told),
    )


def _variant(field: Field, variant_id: str) -> Variant:
    result = field.results[variant_id]
    task = next(task for task in field.plan.tasks if task.id == variant_id)
    verify = result.verify
    return Variant(
        worker_id=variant_id,
        agent=result.agent,
        model=task.model or field.plan.config.model,
        status=result.status.value,
        error_message=result.error_message,
        verified=verify.passed if verify else None,
        files=len(result.files_changed),
        gate_s=round(sum(check.duration for check in verify.commands), 3) if verify else None,
        branch=result.branch,
        commit=result.commit,
    )


def _measured(field: Field, repo: Repository, base: str, variants: Sequence[Variant]) -> list[Variant]:
    with tempfile.TemporaryDirectory(prefix="orchestrator-choice-") as folder:
        shield = repo.scratch(Path(folder, "git"), head=base)
        others = list(field.others.values())
        made = []
        for variant in variants:
            if not variant.is_candidate or variant.commit is None:
                made.append(variant)
                continue
            changes = file_changes(shield, field.starts.get(variant.worker_id, base), variant.commit)
            pairs = [(variant.commit, other) for other in others]
            found = pair_conflicts(shield, base, pairs, rules=rules_of(field.plan.config)) if pairs else ()
            clashes = sum(any(not one.resolved_by for one in conflicts) for conflicts in found)
            made.append(replace(variant, diff_lines=_size(changes), conflicts=clashes))
        return made


def _size(changes: Sequence[FileChange]) -> int:
    """Lines added and removed; a file that is no text counts as one."""
    return sum(1 if change.added is None else change.added + (change.removed or 0) for change in changes)


def _told(field: Field, variant: Variant, winner: Variant, why: str) -> Variant:
    if variant.worker_id == winner.worker_id:
        return replace(variant, chosen=True, why=why)
    ref = _salvage(field, variant)
    if not variant.is_candidate:
        said = variant.error_message or variant.status
        return replace(variant, why=f"out: {variant.status}, {said}", salvaged=ref)
    return replace(variant, why=f"{winner.worker_id} was chosen", salvaged=ref)


def _salvage(field: Field, variant: Variant) -> str | None:
    """Keep its commit, with the history behind it, in the form that `undo` knows."""
    repo, base = field.plan.repository, field.plan.base_commit
    if repo is None or base is None or variant.commit is None or variant.branch is None or not variant.files:
        return None
    start, author = field.starts.get(variant.worker_id, base), field.plan.config.author
    message = f"Salvaged from {variant.worker_id}, which was not chosen\n\nTask: {field.task.id}\n"
    with tempfile.TemporaryDirectory(prefix="orchestrator-choice-") as folder:
        shield = repo.shield(Path(folder, "git"), head=start)
        tree = shield.run(["rev-parse", f"{variant.commit}^{{tree}}"]).stdout.decode("ascii").strip()
        index = commit_tree(shield, tree, (variant.commit,), author=author, message=f"Index of: {message}")
        kept = commit_tree(shield, tree, (start, index), author=author, message=message)
    return publish(repo.common_dir, salvage_ref(variant.branch), kept)[0]


def _no_variant(field: Field, variants: Sequence[Variant]) -> AttemptReport:
    """Their branches stay, for people and for a retry."""
    ends = "; ".join(
        f"{one.worker_id} {one.status.replace('_', ' ')}"
        + (f" ({one.error_message})" if one.error_message else "")
        for one in variants
    )
    message = f"none of {len(variants)} variants succeeded: {ends}"
    outcome = Outcome(
        status=Status.FAILED,
        error_kind="no_variant",
        error_message=message,
        usage=_sum(field.results.values()),
    )
    return AttemptReport(outcome=outcome, variants=tuple(asdict(variant) for variant in variants))


def drop_branches(plan: RunPlan, variants: Sequence[Mapping[str, Any]]) -> None:
    """Remove the branches of those whose work is kept as salvage, unless somebody moved them."""
    if plan.repository is None or plan.config.keep == "always":  # a kept workspace is on its branch
        return
    for variant in variants:
        if variant["chosen"] or not variant["salvaged"] or not variant["branch"]:
            continue
        if plan.config.keep == "failed" and variant["status"] != Status.SUCCEEDED:
            continue
        try:
            delete_branch_at(plan.repository.common_dir, variant["branch"], variant["commit"])
        except GitError as err:
            _LOG.warning("the branch %s could not be removed: %s", variant["branch"], err.message)


def _sum(results: Iterable[TaskResult]) -> Usage:
    """Add up what the variants used; what one that ran did not tell is not known of the sum either."""
    told = [result.usage for result in results if result.attempts]
    sums: dict[str, Any] = {}
    for name in ("input_tokens", "output_tokens", "cost_usd", "turns"):
        figures = [getattr(usage, name) for usage in told]
        sums[name] = None if not figures or None in figures else sum(figures)
    return Usage(**sums)
