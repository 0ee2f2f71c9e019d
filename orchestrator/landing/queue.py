"""The landing queue: in batches, each gated once; a failing batch is halved until the culprit is found."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field

from orchestrator.landing.plan import Candidate, Extension, Held, Step, Tip, Verdict


@dataclass(slots=True, kw_only=True)
class Queue:
    """Lands candidates one batch after the other. What is set aside takes with it what needs it."""

    extend: Callable[[Tip, Sequence[Candidate]], Awaitable[Extension]]
    gate: Callable[[Tip, Sequence[str]], Awaitable[Verdict]]  #: of a tip that holds these workers' work
    advance: Callable[[Tip, Sequence[Step]], Awaitable[None]]  #: from a tip, to that of the last step
    hold: Callable[[Held], Awaitable[None]]
    tip: Tip
    landed: list[str]
    held: dict[str, Held] = field(default_factory=dict)
    _failed: dict[tuple[str, tuple[str, ...]], Verdict] = field(default_factory=dict)

    async def run(self, order: Sequence[Candidate], *, batch: int | None = None) -> None:
        """Land all of `order`, each after those it needs, `batch` at a time; all at once unless told."""
        size = batch or max(1, len(order))
        for start in range(0, len(order), size):
            await self._settle(order[start : start + size])

    async def land_resolved(self, step: Step) -> Verdict:
        """Land work whose conflict was resolved, if the gate passes."""
        name = step.candidate.worker_id
        verdict = await self._gated(step.tip, [*self.landed, name])
        if verdict.passed:
            await self._take([step])
            del self.held[name]
        return verdict

    async def _settle(self, batch: Sequence[Candidate]) -> None:
        ready = [candidate for candidate in batch if not await self._lacks(candidate, batch)]
        if not ready:
            return
        made, later = await self._extended(ready)
        names = [step.candidate.worker_id for step in made.steps]
        verdict = await self._gated(made.steps[-1].tip, [*self.landed, *names]) if names else None
        if verdict is None or verdict.passed:
            await self._take(made.steps)
            for held in made.held:  # they conflict with what has landed now
                await self._set_aside(held)
            await self._settle(later)
        elif len(names) == 1:
            reason = verdict.reason or "the gate fails"
            await self._set_aside(Held(worker_id=names[0], kind="gate", reason=reason))
            await self._settle(ready)
        else:
            middle = len(ready) // 2
            await self._settle(ready[:middle])
            await self._settle(ready[middle:])

    async def _extended(self, ready: Sequence[Candidate]) -> tuple[Extension, list[Candidate]]:
        """Put `ready` on top of the tip, and return those that build on one that could not be put there."""
        later: list[Candidate] = []
        while True:
            made = await self.extend(self.tip, [candidate for candidate in ready if candidate not in later])
            out = {held.worker_id for held in made.held} | {candidate.worker_id for candidate in later}
            built = [step.candidate for step in made.steps if out & set(step.candidate.needs)]
            if not built:
                return made, later
            later += built

    async def _take(self, steps: Sequence[Step]) -> None:
        if steps:
            await self.advance(self.tip, steps)
            self.tip = steps[-1].tip
            self.landed += [step.candidate.worker_id for step in steps]

    async def _gated(self, tip: Tip, names: Sequence[str]) -> Verdict:
        """Ask the gate, unless it has just refused the same."""
        key = (tip.tree, tuple(names))
        if key not in self._failed:
            verdict = await self.gate(tip, names)
            if verdict.passed:
                return verdict
            self._failed[key] = verdict
        return self._failed[key]

    async def _lacks(self, candidate: Candidate, batch: Collection[Candidate]) -> bool:
        """Set `candidate` aside when something that it needs will not be there."""
        if candidate.worker_id in self.held:
            return True
        coming = {other.worker_id for other in batch} - self.held.keys()
        missing = [need for need in candidate.needs if need not in self.landed and need not in coming]
        if not missing:
            return False
        need = missing[0]
        why = "is set aside" if need in self.held else "has not landed"
        reason = f"it builds on `{need}`, which {why}"
        await self._set_aside(Held(worker_id=candidate.worker_id, kind="need", reason=reason))
        return True

    async def _set_aside(self, held: Held) -> None:
        self.held[held.worker_id] = held
        await self.hold(held)
