"""The comparison of variants that succeeded, and the layout of variants."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.core.choosing import Variant, compare
from orchestrator.core.variants import expand
from orchestrator.model.task import Task


def variant(name: str, **facts: Any) -> Variant:
    about = {
        "agent": "demo",
        "model": None,
        "status": "succeeded",
        "files": 1,
        "diff_lines": 5,
        "conflicts": 0,
    }
    return Variant(worker_id=name, **{**about, **facts})


@pytest.mark.parametrize(
    ("first", "second", "winner", "why"),
    [
        ({}, {"diff_lines": 4}, "b", "smallest diff"),
        ({"diff_lines": 4}, {}, "a", "smallest diff"),
        ({"conflicts": 1, "diff_lines": 1}, {}, "b", "fewest conflicts"),
        ({"gate_s": 2.0}, {"gate_s": 1.0}, "b", "quickest gate"),
        ({"files": 0, "diff_lines": 0}, {"conflicts": 3}, "b", "it alone changed files"),
        ({"files": 0}, {"files": 0}, "a", "none changed a file"),
        ({}, {}, "a", "the first of equals"),
    ],
)
def test_the_order_of_the_comparison(
    first: dict[str, Any], second: dict[str, Any], winner: str, why: str
) -> None:
    chosen, said = compare([variant("a", **first), variant("b", **second)])
    assert (chosen.worker_id, why in said) == (winner, True), said


def test_one_that_succeeded_alone_is_taken() -> None:
    assert compare([variant("a")])[1] == "the only one that succeeded"


@pytest.mark.parametrize(
    ("facts", "expected"), [({}, True), ({"status": "failed"}, False), ({"verified": False}, False)]
)
def test_the_gate_filters(facts: dict[str, Any], expected: bool) -> None:
    assert variant("a", **facts).is_candidate is expected


def test_names_go_round_and_expanding_again_changes_nothing() -> None:
    task = Task(id="t", name="T", prompt="x", needs=("n",), attempts=3, agents=("x", "y"), models=("m",))
    made = expand([Task(id="n", name="n", prompt="x"), task])
    assert [one.id for one in made] == ["n", "t.v1", "t.v2", "t.v3", "t"]
    variants = made[1:4]
    assert [(one.agent, one.model) for one in variants] == [("x", "m"), ("y", "m"), ("x", "m")]
    assert all(one.needs == ("n",) and one.variant_of == "t" for one in variants)
    assert made[4].variants == ("t.v1", "t.v2", "t.v3")
    assert expand(made) == made


def test_one_attempt_is_a_plain_task() -> None:
    (made,) = expand([Task(id="t", name="T", prompt="x", attempts=1, agents=("y",))])
    assert (made.id, made.agent, made.variants) == ("t", "y", ())
