"""What many runs say together."""

from __future__ import annotations

from report_events import begun, worked

from orchestrator.journal.state import fold
from orchestrator.model.result import Status, Usage
from orchestrator.report.statistics import statistics


def test_agents_and_tasks_over_two_runs() -> None:
    runs = [
        fold(
            [
                begun(["a", "b"]),
                *worked("a", 0, 4, usage=Usage(cost_usd=0.5)),
                *worked("b", 0, 2, status=Status.FAILED),
            ]
        ),
        fold([begun(["a", "b"]), *worked("a", 0, 8), *worked("b", 0, 1, status=Status.CANCELLED)]),
    ]
    found = statistics(runs)
    [agent] = found["agents"]
    assert (agent.name, agent.results, agent.succeeded, agent.success_rate) == ("demo", 3, 2, 0.6667)
    assert (agent.cost_usd, agent.cost_unknown) == (0.5, 2)
    a, b = found["tasks"]
    assert (a.name, a.repo, a.results, a.median_seconds) == ("a", "/repo", 2, 6.0)
    assert (b.name, b.results, b.success_rate, b.cost_usd) == ("b", 1, 0.0, None)


def test_no_runs_say_nothing() -> None:
    assert statistics([]) == {"agents": [], "tasks": []}
