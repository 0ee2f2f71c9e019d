"""One landing from its beginning, or from where the last one ended: order, queue, gates, the branch.

What is landed is decided by the journal and the branch together: a step is recorded before the branch
moves, and counts once its commit is in the branch. So nothing is landed twice, whenever it was killed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from orchestrator.errors import OrchestratorError, WorkspaceError
from orchestrator.git.chain import trees_of
from orchestrator.git.history import is_ancestor, resolve_commits
from orchestrator.git.merging import Merge
from orchestrator.git.shield import Shield
from orchestrator.git.transfer import hand_over_own
from orchestrator.git.worktrees import remove_tree
from orchestrator.landing.checkout import remove_place
from orchestrator.landing.conflicts import Conflicts, compare
from orchestrator.landing.gate import Ground, Subject, gate
from orchestrator.landing.integration import Integration
from orchestrator.landing.manifests import rules_of
from orchestrator.landing.moving import branch_tip, checkouts_of, move_branch, require_branch
from orchestrator.landing.plan import (
    Candidate,
    Extension,
    Held,
    History,
    LandingError,
    LandingResult,
    Step,
    Tip,
    Verdict,
)
from orchestrator.landing.queue import Queue
from orchestrator.landing.regeneration import regenerate, stale_paths
from orchestrator.landing.resolving import (
    Asked,
    GiveBack,
    cannot_be_given,
    files_to_edit,
    judge,
    resolve_prompt,
)
from orchestrator.model.event import EventKind
from orchestrator.workspaces.pool import in_pool
from orchestrator.workspaces.worktree import integration_branch, make_room

#: How often a target that moves under us is followed before it is left alone.
ROUNDS = 3
T = TypeVar("T")
#: What an earlier landing recorded before it moved the branch: `landing.stepped`.
Recorded = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What is asked of a landing."""

    history: History = "merge"
    batch: int | None = None  #: workers for each gate; None: all at once
    only: tuple[str, ...] | None = None
    into: str | None = None  #: a branch to fast-forward at the end
    resolve_rounds: int | None = None  #: for each conflict; None: as the run was told


async def land(
    ground: Ground,
    candidates: Sequence[Candidate],
    wishes: Wishes,
    *,
    recorded: Sequence[Recorded] = (),
    empty: Sequence[str] = (),
    after: Callable[[LandingResult], None] | None = None,
    give_back: GiveBack | None = None,
) -> LandingResult:
    """Land what is asked for, and record it. Faults on the way end it early; what landed stays landed.

    `recorded` are the steps of earlier landings of this run, `empty` those who succeeded without a
    change; `after` is done at the end, when something has landed; `give_back` lets a worker's agent resolve
    a conflict. Raises InputError for a wrong `into`.
    """
    if wishes.into is not None:
        require_branch(ground.repo.common_dir, wishes.into)
    landing = _Landing(
        ground=ground, candidates=candidates, wishes=wishes, recorded=recorded, give_back=give_back
    )
    landing.result.empty = list(empty)
    began = time.monotonic()
    wanted = [candidate.worker_id for candidate in landing.wanted]
    data = {"branch": landing.branch, "history": wishes.history, "wanted": wanted, "into": wishes.into}
    await ground.record(EventKind.LANDING_STARTED, data)
    try:
        await landing.carry_out()
        if after is not None and landing.result.landed:
            await landing.sync(partial(after, landing.result))
    except (OrchestratorError, OSError) as err:
        landing.result.stopped = err.message if isinstance(err, OrchestratorError) else str(err)
        landing.result.interrupted = ground.stop.asked
    finally:
        await landing.sync(partial(remove_place, ground.place))
    result = landing.result
    result.seconds = time.monotonic() - began
    await ground.record(EventKind.LANDING_FINISHED, result.to_json())
    return result


@dataclass(slots=True, kw_only=True)
class _Landing:
    ground: Ground
    candidates: Sequence[Candidate]
    wishes: Wishes
    recorded: Sequence[Recorded]
    give_back: GiveBack | None
    result: LandingResult = field(init=False)
    _shield: Shield = field(init=False)
    _theirs: Shield = field(init=False)  #: over the user's objects
    _integration: Integration = field(init=False)
    _conflicts: Conflicts | None = None
    _base_verdict: Verdict | None = None
    _faults: dict[str, str] = field(default_factory=dict)  #: why agents did not resolve their conflicts

    def __post_init__(self) -> None:
        self.result = LandingResult(branch=self.branch)

    @property
    def branch(self) -> str:
        return integration_branch(self.ground.run_id)

    @property
    def wanted(self) -> list[Candidate]:
        only = self.wishes.only
        return [each for each in self.candidates if only is None or each.worker_id in only]

    async def sync(self, call: Callable[[], T]) -> T:
        """Do blocking work in the pool."""
        return await in_pool(self.ground.pool, call)

    async def carry_out(self) -> None:
        await self.sync(self._set_up)
        tip, landed = await self.sync(self._where_it_is)
        self.result.landed = [each.worker_id for each in self.candidates if each.worker_id in landed]
        pending = [each for each in self.wanted if each.worker_id not in landed]
        order = await self.sync(partial(self._ordered, pending))
        queue = Queue(
            extend=self._extend,
            gate=self._gate,
            advance=self._advance,
            hold=self._hold,
            tip=tip,
            landed=self.result.landed,
        )
        try:
            await self._hold_missing(queue, order)
            present = [each for each in order if each.worker_id not in queue.held]
            await queue.run(present, batch=self.wishes.batch)
            await self._resolve_conflicts(queue, present)
        except (OrchestratorError, OSError) as err:
            await self._tell_held(queue)
            await self._hold_rest(queue, order, err)
            raise
        await self._tell_held(queue)
        if self.wishes.into is not None and self.result.commit:
            await self._into(queue, self.wishes.into)

    # -- where things are --------------------------------------------------------------------------

    def _set_up(self) -> None:
        ground = self.ground
        remove_tree(ground.place)
        if not make_room(ground.place):
            raise WorkspaceError(f"{ground.place} is in use", hint="does another landing go on?")
        self._shield = ground.repo.scratch(ground.place / "git", head=ground.base_commit)
        self._theirs = ground.repo.shield(ground.place / "theirs", head=ground.base_commit)
        self._integration = Integration(
            shield=self._shield,
            base=ground.base_commit,
            run_id=ground.run_id,
            author=ground.config.author,
            history=self.wishes.history,
            rules=rules_of(ground.config),
        )

    def _where_it_is(self) -> tuple[Tip, set[str]]:
        """Where the integration branch is, and whose work is in it."""
        base = self.ground.base_commit
        at = self.result.commit = branch_tip(self.ground.repo.common_dir, self.branch)
        if at is None:
            return self._integration.tip_at(base, []), set()
        if not is_ancestor(self._shield, base, at):
            raise LandingError(
                f"the branch {self.branch} was moved to {at[:12]}, which is not built on {base[:12]}",
                hint=f"rename it, and land again: `git branch -m {self.branch} OTHER-NAME`",
            )
        commits = {each.worker_id: each.commit for each in self.candidates}
        landed = {
            worker["worker_id"]
            for step in self.recorded
            if step["branch"] == self.branch and self._holds(at, step["new"])
            for worker in step["workers"]
            if commits.get(worker["worker_id"]) == worker["commit"]
        }
        landed |= {name for name, commit in commits.items() if name not in landed and self._holds(at, commit)}
        return self._integration.tip_at(at, [commits[name] for name in commits if name in landed]), landed

    def _holds(self, tip: str, commit: str) -> bool:
        """Whether `commit` is in the history of `tip`; one that never reached the repository is not."""
        (found,) = resolve_commits([commit], git_dir=self.ground.repo.common_dir)
        return found is not None and is_ancestor(self._shield, commit, tip)

    def _ordered(self, pending: Sequence[Candidate]) -> list[Candidate]:
        """The order of merging with the fewest conflicts; what is not there any more comes last."""
        if not pending:
            return []
        names = [each.commit for each in self.candidates]
        found = resolve_commits(names, git_dir=self.ground.repo.common_dir)
        pairs = zip(self.candidates, found, strict=True)
        present = {each.worker_id: each for each, at in pairs if at == each.commit}
        commits = {name: each.commit for name, each in present.items()}
        needs = {each.worker_id: each.needs for each in self.candidates}
        if present:
            rules = rules_of(self.ground.config)
            base = self.ground.base_commit
            self._conflicts = compare(self._shield, base, commits, needs, locate=False, rules=rules)
            self._integration.learn(present.values())
        order = self._conflicts.order if self._conflicts else ()
        there = [present[name] for name in order if present[name] in pending]
        return [*there, *(each for each in pending if each.worker_id not in present)]

    async def _hold_missing(self, queue: Queue, order: Sequence[Candidate]) -> None:
        known = set(self._conflicts.order if self._conflicts else ())
        for each in order:
            if each.worker_id not in known:
                reason = (
                    f"its commit {each.commit[:12]} is not in the repository any more; "
                    f"was the branch {each.branch} deleted?"
                )
                queue.held[each.worker_id] = Held(worker_id=each.worker_id, kind="missing", reason=reason)
                await self._hold(queue.held[each.worker_id])

    async def _hold_rest(self, queue: Queue, order: Sequence[Candidate], err: Exception) -> None:
        why = err.message if isinstance(err, OrchestratorError) else str(err)
        for each in order:
            if each.worker_id not in queue.landed and each.worker_id not in queue.held:
                reason = f"the landing ended before it: {why}"
                await self._record_held(Held(worker_id=each.worker_id, kind="stopped", reason=reason))

    # -- what the queue asks for -------------------------------------------------------------------

    async def _extend(self, tip: Tip, candidates: Sequence[Candidate]) -> Extension:
        """Put work on top of the tip, with lock files made anew; one by one when that fails for all."""
        made = await self.sync(partial(self._integration.extend, tip, candidates))
        if not made.steps or not made.steps[-1].tip.stale:
            return made
        fresh = await self._fresh(made.steps[-1].tip)
        if isinstance(fresh, Tip):
            return replace(made, steps=(*made.steps[:-1], replace(made.steps[-1], tip=fresh)))
        if len(candidates) == 1:
            (failing,) = candidates
            return Extension(held=(Held(worker_id=failing.worker_id, kind="gate", reason=fresh),))
        steps: list[Step] = []
        held: list[Held] = []
        for candidate in candidates:
            alone = await self._extend(steps[-1].tip if steps else tip, [candidate])
            steps += alone.steps
            held += alone.held
        return Extension(steps=tuple(steps), held=tuple(held))

    async def _fresh(self, tip: Tip) -> Tip | str:
        """Return the tip with its lock files made anew, or why that cannot be done."""
        made = await regenerate(self.ground, self._shield, tip)
        if made.tree is None:
            return made.reason or "its lock files cannot be made anew"
        message = f"Make {stale_paths(tip.stale)} anew\n\nRun: {self.ground.run_id}\n"
        return await self.sync(partial(self._integration.with_tree, tip, made.tree, message))

    async def _gate(self, tip: Tip, names: Sequence[str]) -> Verdict:
        verdict = await gate(self.ground, self._shield, self._subject(tip, names))
        if verdict.passed or not self.ground.config.verify:
            return verdict
        base = await self._gate_of_base()
        if base.passed:
            return verdict
        if base.unusable and verdict.unusable:
            raise LandingError(f"the gate cannot be run, not even on the base commit: {base.reason}")
        return replace(verdict, reason=f"{verdict.reason} (the base commit fails its own gate as well)")

    def _subject(self, tip: Tip, names: Sequence[str]) -> Subject:
        inside = set(names)
        own = [line for each in self.candidates if each.worker_id in inside for line in each.verify]
        commands = tuple(dict.fromkeys([*self.ground.config.verify, *own]))
        return Subject(
            on="landing", commit=tip.commit, tree=tip.tree, commands=commands, workers=tuple(names)
        )

    async def _gate_of_base(self) -> Verdict:
        if self._base_verdict is None:
            base = await self.sync(partial(self._integration.tip_at, self.ground.base_commit, []))
            subject = replace(
                self._subject(base, []), on="base", commit=base.commit, tree=base.tree, workers=()
            )
            self._base_verdict = await gate(self.ground, self._shield, subject)
        return self._base_verdict

    async def _advance(self, old: Tip, steps: Sequence[Step]) -> None:
        new = steps[-1].tip.commit
        workers = [{"worker_id": step.candidate.worker_id, "commit": step.candidate.commit} for step in steps]
        await self._move(old.commit, new, workers)

    async def _move(self, old: str, new: str, workers: Sequence[Mapping[str, str]]) -> None:
        """Record the step, bring its commits into the user's repository, and move the branch."""
        await self.sync(partial(hand_over_own, self._shield, self._theirs, new, known=old))
        data = {"branch": self.branch, "old": old, "new": new, "workers": [dict(each) for each in workers]}
        await self.ground.record(EventKind.LANDING_STEPPED, data)
        expected = old if self.result.commit else None
        common_dir = self.ground.repo.common_dir
        if not await self.sync(partial(move_branch, common_dir, self.branch, new, old=expected)):
            raise LandingError(
                f"the branch {self.branch} was moved or deleted during the landing",
                hint="`orchestrator land` goes on from where it is now",
            )
        self.result.commit = new

    async def _hold(self, held: Held) -> None:
        """Record what is set aside; later, where agents may still change that."""
        if not self._rounds:
            await self._record_held(held)

    async def _tell_held(self, queue: Queue) -> None:
        for held in queue.held.values():
            if held.worker_id not in self.result.held:
                await self._record_held(held)

    async def _record_held(self, held: Held) -> None:
        if held.kind == "conflict" and (rivals := self._rivals(held.worker_id)):
            held = replace(held, reason=f"{held.reason} (by {', '.join(rivals)})")
        if fault := self._faults.get(held.worker_id):
            held = replace(held, reason=f"{held.reason}; {fault}")
        self.result.held[held.worker_id] = held
        await self.ground.record(EventKind.LANDING_HELD, held.to_json())

    # -- conflicts given back to their agents ------------------------------------------------------

    @property
    def _rounds(self) -> int:
        """How often a conflict is given to its agent."""
        asked = self.wishes.resolve_rounds
        rounds = self.ground.config.resolve_rounds if asked is None else asked
        return rounds if self.give_back is not None else 0

    async def _resolve_conflicts(self, queue: Queue, order: Sequence[Candidate]) -> None:
        """Let agents resolve what conflicts, one after the other; then land what was held for its sake."""
        tried: set[str] = set()
        while self._rounds:
            held = [each for each in order if self._may_land(queue, each) and each.worker_id not in tried]
            ready = [each for each in held if not queue.held.keys() & set(each.needs)]
            conflicting = (each for each in ready if queue.held[each.worker_id].kind == "conflict")
            candidate = next(conflicting, None)
            if candidate is None:
                return
            tried.add(candidate.worker_id)
            if fault := await self._resolve(queue, candidate):
                self._faults[candidate.worker_id] = fault
                continue
            held.remove(candidate)  # the others may have conflicted, or waited, only for its sake
            for each in held:
                del queue.held[each.worker_id]
            await queue.run(held)

    def _may_land(self, queue: Queue, candidate: Candidate) -> bool:
        """Whether it is set aside, but not for what its own work is."""
        known = queue.held.get(candidate.worker_id)
        return known is not None and known.kind in {"conflict", "need"}

    async def _resolve(self, queue: Queue, candidate: Candidate) -> str | None:
        """Land `candidate` once its agent has resolved its conflict; else say why it has not."""
        tip = queue.tip
        merge = await self.sync(partial(self._integration.merge_onto, tip, candidate))
        if fault := cannot_be_given(merge):
            return fault
        tree, fault, session_id = merge.tree, None, None
        for number in range(1, self._rounds + 1):
            start = await self.sync(partial(self._begin_round, tip, candidate, tree))
            asked = Asked(
                candidate=candidate,
                start=start,
                prompt=resolve_prompt(
                    merge, task=candidate.prompt, rivals=self._rivals(candidate.worker_id), fault=fault
                ),
                files=files_to_edit(merge),
                round=number,
                of=self._rounds,
                session_id=session_id,
            )
            try:
                tree, fault, session_id = await self._round(queue, merge, asked)
            except (OrchestratorError, OSError) as err:
                if self.ground.stop.asked or isinstance(err, LandingError):
                    raise
                why = (
                    f"{err.message} {err.hint or ''}".rstrip() if isinstance(err, OrchestratorError) else err
                )
                return f"it could not be given back to its agent: {why}"
            if fault is None:
                return None
        return f"its agent did not resolve it in {_rounds(self._rounds)}: {fault}"

    async def _round(self, queue: Queue, merge: Merge, asked: Asked) -> tuple[str, str | None, str | None]:
        """Let the agent try, and judge it. Returns the tree to go on from, the fault, and the session."""
        assert self.give_back is not None
        answer = await self.give_back(asked)
        if self.ground.stop.asked:
            raise LandingError("it was stopped during a round", hint="`orchestrator land` goes on with it")
        made = await self.sync(partial(judge, self._shield, asked, merge, answer))
        fault = made.fault
        if fault is None:
            fault = await self._land_resolved(queue, merge, asked.candidate, made.commit)
        told = {"worker_id": asked.candidate.worker_id, "agent": answer.agent, "round": asked.round}
        told |= {"of": asked.of, "attempt": answer.attempt, "files": list(asked.files)}
        if fault is None:
            self.result.resolved.append(told)
        await self.ground.record(EventKind.LANDING_RESOLVED, {**told, "fault": fault})
        (tree,) = await self.sync(partial(trees_of, self._shield, [made.commit]))
        return tree, fault, answer.session_id

    async def _land_resolved(
        self, queue: Queue, merge: Merge, candidate: Candidate, commit: str
    ) -> str | None:
        """Put the resolved work through the gate and land it; else say why not."""
        make = partial(self._integration.resolved, queue.tip, candidate, merge, commit)
        step = await self.sync(make)
        if step.tip.stale:
            fresh = await self._fresh(step.tip)
            if not isinstance(fresh, Tip):
                return fresh
            step = replace(step, tip=fresh)
        verdict = await queue.land_resolved(step)
        return None if verdict.passed else verdict.reason or "the gate fails"

    def _begin_round(self, tip: Tip, candidate: Candidate, tree: str) -> str:
        """Commit what the agent is to begin from, where its workspace can be made of it."""
        start = self._integration.unresolved(tip, candidate, tree)
        hand_over_own(self._shield, self._theirs, start, known=tip.commit)
        return start

    def _rivals(self, name: str) -> list[str]:
        pairs = self._conflicts.pairs if self._conflicts else ()
        names = [other for pair in pairs if name in (pair.a, pair.b) for other in (pair.a, pair.b)]
        return [other for other in names if other != name and other in self.result.landed]

    # -- the user's own branch ---------------------------------------------------------------------

    async def _into(self, queue: Queue, branch: str) -> None:
        """Fast-forward `branch`, if its gate passed on that very tree; when it moved, build on that first."""
        common_dir = self.ground.repo.common_dir
        tip, reason = queue.tip, None
        for _ in range(ROUNDS):
            target = await self.sync(partial(branch_tip, common_dir, branch))
            if target is None:
                reason = "it was deleted"
                break
            if await self.sync(partial(is_ancestor, self._shield, tip.commit, target)):
                self.result.into = {"branch": branch, "moved": True, "old": target, "new": target}
                return
            tip, reason = await self._on_top_of(tip, queue.landed, branch, target)
            if reason is None and not (await self._gate(tip, queue.landed)).passed:
                reason = "the gate fails on what it would be"
            if reason is None:
                reason = await self.sync(partial(self._refusal, branch))
            if reason is not None:
                break
            if await self.sync(partial(move_branch, common_dir, branch, tip.commit, old=target)):
                self.result.into = {"branch": branch, "moved": True, "old": target, "new": tip.commit}
                return
            reason = f"it moved {ROUNDS} times under us"
        self.result.into = {"branch": branch, "moved": False, "reason": reason}

    async def _on_top_of(
        self, tip: Tip, landed: Sequence[str], branch: str, target: str
    ) -> tuple[Tip, str | None]:
        """Return a tip that has `target` in it, and is gated and on the integration branch; or why not."""
        if await self.sync(partial(is_ancestor, self._shield, target, tip.commit)):
            return tip, None
        message = f"Bring {branch} into what has landed\n\nRun: {self.ground.run_id}\n"
        made = await self.sync(partial(self._integration.join, tip, target, message))
        if isinstance(made, Merge):
            return tip, f"it moved, and what has landed conflicts with it in {', '.join(made.files)}"
        fresh = await self._fresh(made) if made.stale else made
        if not isinstance(fresh, Tip):
            return tip, f"it moved, and on top of it {fresh}"
        made = fresh
        verdict = await self._gate(made, landed)
        if not verdict.passed:
            return tip, f"it moved, and the gate fails on top of it: {verdict.reason}"
        await self._move(tip.commit, made.commit, [])
        return made, None

    def _refusal(self, branch: str) -> str | None:
        """Say why the branch must not be moved by us: its checkout would not fit it any more."""
        places = checkouts_of(self.ground.repo.common_dir, branch)
        if not places:
            return None
        return (
            f"it is checked out in {places[0]}, whose files are yours; to do it there: "
            f"`git -C {places[0]} merge --ff-only {self.branch}`"
        )


def _rounds(count: int) -> str:
    return "1 round" if count == 1 else f"{count} rounds"
