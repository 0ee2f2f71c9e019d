"""The queue alone: trees are sets of names, the gate is a rule over them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.landing.plan import Candidate, Extension, Held, Step, Tip, Verdict
from orchestrator.landing.queue import Queue


def _candidate(name: str, *needs: str) -> Candidate:
    return Candidate(worker_id=name, name=name, agent="demo", branch=name, commit=name, needs=needs)


class _World:
    """Merging is adding a name; some names conflict with each other."""

    def __init__(self, good: Callable[[frozenset[str]], bool], conflicts: Sequence[set[str]] = ()) -> None:
        self.good, self.conflicts = good, conflicts
        self.gates: list[str] = []
        self.moves: list[tuple[str, str]] = []
        self.queue = Queue(
            extend=self._extend,
            gate=self._gate,
            advance=self._advance,
            hold=self._hold,
            tip=_tip(()),
            landed=[],
        )

    def land(self, *order: Candidate, batch: int | None = None) -> None:
        asyncio.run(self.queue.run(order, batch=batch))

    async def _extend(self, tip: Tip, candidates: Sequence[Candidate]) -> Extension:
        names = tip.tree.split()
        steps, held = [], []
        for candidate in candidates:
            rivals = {name for pair in self.conflicts if candidate.commit in pair for name in pair}
            if (rivals - {candidate.commit}) & set(names):
                held.append(Held(worker_id=candidate.worker_id, kind="conflict", reason="conflicts"))
                continue
            names.append(candidate.commit)
            steps.append(Step(candidate=candidate, tip=_tip(names)))
        return Extension(steps=tuple(steps), held=tuple(held))

    async def _gate(self, tip: Tip, names: Sequence[str]) -> Verdict:
        assert sorted(names) == sorted(tip.tree.split())
        assert tip.tree not in self.gates
        self.gates.append(tip.tree)
        return Verdict(passed=self.good(frozenset(names)), reason="no")

    async def _advance(self, old: Tip, steps: Sequence[Step]) -> None:
        self.moves.append((old.tree, steps[-1].tip.tree))

    async def _hold(self, held: Held) -> None: ...


def _tip(names: Sequence[str]) -> Tip:
    text = " ".join(names)
    return Tip(commit=text, tree=text, whole=text)


def test_a_good_batch_is_gated_once() -> None:
    world = _World(lambda _names: True)
    world.land(*map(_candidate, "abcdefgh"))
    assert world.queue.landed == list("abcdefgh")
    assert len(world.gates) == len(world.moves) == 1


def test_the_culprit_is_found_by_halving_and_the_others_land() -> None:
    names = [f"w{number:02}" for number in range(32)]
    world = _World(lambda found: "w19" not in found)
    world.land(*map(_candidate, names))
    assert world.queue.landed == [name for name in names if name != "w19"]
    assert list(world.queue.held) == ["w19"]
    assert len(world.gates) <= 11  # 2 log2(32) + 1


def test_two_that_pass_alone_and_fail_together_are_told_apart() -> None:
    world = _World(lambda found: not {"b", "d"} <= found)
    world.land(*map(_candidate, "abcd"))
    assert world.queue.landed == list("abc")
    assert world.queue.held["d"].kind == "gate"


def test_what_needs_something_set_aside_is_set_aside() -> None:
    world = _World(lambda found: "a" not in found, conflicts=[{"c", "d"}])
    order = [_candidate("a"), _candidate("b", "a"), _candidate("c"), _candidate("d"), _candidate("e", "d")]
    world.land(*order, _candidate("f", "gone"), _candidate("g", "e"))
    assert world.queue.landed == ["c"]
    kinds = {name: held.kind for name, held in world.queue.held.items()}
    assert kinds == {"a": "gate", "b": "need", "d": "conflict", "e": "need", "f": "need", "g": "need"}
    assert "`a`, which is set aside" in world.queue.held["b"].reason
    assert "`gone`, which has not landed" in world.queue.held["f"].reason


def test_what_conflicts_only_with_the_culprit_lands_in_its_place() -> None:
    world = _World(lambda found: "b" not in found, conflicts=[{"b", "c"}])
    world.land(*map(_candidate, "abcd"))
    assert sorted(world.queue.landed) == ["a", "c", "d"]
    assert list(world.queue.held) == ["b"]


def test_batches_are_gated_one_by_one() -> None:
    world = _World(lambda _names: True)
    world.land(*map(_candidate, "abcde"), batch=2)
    assert world.gates == ["a b", "a b c d", "a b c d e"]


@given(
    st.sets(st.integers(0, 11)),
    st.integers(1, 12),
    st.sets(st.tuples(st.integers(0, 11), st.integers(0, 11))),
)
def test_everything_ends_landed_or_held_and_the_tip_always_passes(
    bad: set[int], batch: int, pairs: set[tuple[int, int]]
) -> None:
    spoilt = {f"w{number}" for number in bad}
    world = _World(
        lambda found: not found & spoilt, conflicts=[{f"w{a}", f"w{b}"} for a, b in pairs if a != b]
    )
    names = [f"w{number}" for number in range(12)]
    world.land(*map(_candidate, names), batch=batch)
    assert sorted([*world.queue.landed, *world.queue.held]) == sorted(names)
    assert not set(world.queue.landed) & set(world.queue.held)
    assert set(world.queue.tip.tree.split()) == set(world.queue.landed)
    assert not set(world.queue.landed) & spoilt
    for name, held in world.queue.held.items():
        rivals = {other for pair in world.conflicts if name in pair for other in pair} - {name}
        assert name in spoilt if held.kind == "gate" else rivals & set(world.queue.landed)
    assert all(world.good(frozenset(new.split())) for _, new in world.moves)
