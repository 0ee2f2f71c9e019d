"""A run's figures in the text format of Prometheus, drawn from its state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from orchestrator.journal.state import RunState
from orchestrator.model.event import Phase, RunStatus
from orchestrator.model.result import Status

#: Seconds; agents' work takes from a second to hours.
BUCKETS = (1, 5, 15, 60, 180, 600, 1800, 3600, 10800)
Labels = tuple[tuple[str, str], ...]
Sample = tuple[Labels, float]


def render(state: RunState) -> str:
    """Return every figure with its help and type. Each has the labels `run` and `repo`."""
    common: Labels = (("run", state.run_id), ("repo", state.repo))
    lines: list[str] = []
    for name, kind, text, samples in _gauges_and_counters(state):
        lines += [f"# HELP orchestrator_{name} {text}", f"# TYPE orchestrator_{name} {kind}"]
        lines += [_line(f"orchestrator_{name}", (*common, *labels), value) for labels, value in samples]
    lines += _histogram("attempt_duration_seconds", "Time that attempts took.", common, _durations(state))
    lines += _histogram("queue_wait_seconds", "Time from the run's start to a slot.", common, _waits(state))
    return "\n".join([*lines, ""])


def _gauges_and_counters(state: RunState) -> Iterator[tuple[str, str, str, Sequence[Sample]]]:
    about = (("version", state.version), ("isolation", state.isolation), ("base", state.base_commit or ""))
    started = state.started_at.timestamp() if state.started_at else 0.0
    yield "run_info", "gauge", "What the run is; always 1.", [(about, 1)]
    yield "run_status", "gauge", "1 for the status that the run has.", _one_of(RunStatus, state.status)
    yield "run_start_time_seconds", "gauge", "When the run started, in Unix time.", [((), started)]
    yield (
        "run_duration_seconds",
        "gauge",
        "Time since the run's start, or until its end.",
        [((), state.elapsed)],
    )
    paused = [((("reason", state.paused),), 1.0)] if state.paused else []
    yield "run_paused", "gauge", "1 while nothing new may start, with the reason.", paused
    pauses = [((("reason", reason),), seconds) for reason, seconds in sorted(state.pauses.items())]
    yield "run_paused_seconds_total", "counter", "Time of pauses that are over.", pauses
    yield "run_slept_seconds_total", "counter", "Time that the machine was suspended.", [((), state.slept_s)]
    yield "max_workers", "gauge", "Slots.", [((), state.max_workers)]
    yield "workers", "gauge", "Workers by phase, and by status once they have a result.", _workers(state)
    yield "attempts_total", "counter", "Attempts that ended.", _attempts(state)
    yield "tokens_total", "counter", "Tokens, as agents tell them.", _tokens(state)
    yield "cost_usd_total", "counter", "Cost in US dollars, as agents tell it.", _costs(state)
    yield "permissions_total", "counter", "Permission requests, by the final decision.", _permissions(state)
    yield "gate_results_total", "counter", "Gates that ran, by result.", _gates(state)
    pairs = len(state.conflicts.get("pairs", ()))
    yield "conflicting_pairs", "gauge", "Pairs of workers whose branches conflict.", [((), pairs)]


def _one_of(statuses: Iterable[RunStatus], current: RunStatus) -> list[Sample]:
    return [((("status", status.value),), float(status is current)) for status in statuses]


def _workers(state: RunState) -> list[Sample]:
    counts = Counter(
        worker.result.status.value if worker.result else worker.phase.value
        for worker in state.workers.values()
    )
    words = [*(phase.value for phase in Phase if phase is not Phase.FINISHED), *(s.value for s in Status)]
    return [((("status", word),), counts[word]) for word in words]


def _attempts(state: RunState) -> list[Sample]:
    return _counted(
        ("agent", "status"),
        (
            (worker.agent, attempt.status)
            for worker in state.workers.values()
            for attempt in worker.attempts
            if attempt.status is not None
        ),
    )


def _tokens(state: RunState) -> list[Sample]:
    sums: Counter[tuple[str, str]] = Counter()
    for worker in state.workers.values():
        sums[worker.agent, "input"] += worker.usage.input_tokens or 0
        sums[worker.agent, "output"] += worker.usage.output_tokens or 0
    return [((("agent", agent), ("kind", kind)), value) for (agent, kind), value in sorted(sums.items())]


def _costs(state: RunState) -> list[Sample]:
    sums: dict[str, float] = {}
    for worker in state.workers.values():
        sums[worker.agent] = sums.get(worker.agent, 0.0) + (worker.usage.cost_usd or 0.0)
    return [((("agent", agent),), value) for agent, value in sorted(sums.items())]


def _permissions(state: RunState) -> list[Sample]:
    decided = (
        (str(entry.decision.get("verdict")), str(entry.decision.get("level") or ""))
        for worker in state.workers.values()
        for entry in worker.permissions.values()
        if entry.decision is not None
    )
    return _counted(("decision", "level"), decided)


def _gates(state: RunState) -> list[Sample]:
    ran = [
        worker.result.verify for worker in state.workers.values() if worker.result and worker.result.verify
    ]
    passed = sum(verify.passed for verify in ran)
    return [((("result", "passed"),), passed), ((("result", "failed"),), len(ran) - passed)]


def _counted(names: tuple[str, ...], found: Iterable[tuple[str, ...]]) -> list[Sample]:
    return [(tuple(zip(names, values, strict=True)), n) for values, n in sorted(Counter(found).items())]


def _durations(state: RunState) -> list[float]:
    attempts = [attempt for worker in state.workers.values() for attempt in worker.attempts]
    return [attempt.end - attempt.start for attempt in attempts if attempt.end is not None]


def _waits(state: RunState) -> list[float]:
    return [worker.queue_wait for worker in state.workers.values() if worker.queue_wait is not None]


def _histogram(name: str, text: str, common: Labels, values: Sequence[float]) -> list[str]:
    name = f"orchestrator_{name}"
    lines = [f"# HELP {name} {text}", f"# TYPE {name} histogram"]
    for limit in (*BUCKETS, float("inf")):
        bound = "+Inf" if limit == float("inf") else str(limit)
        within = sum(value <= limit for value in values)
        lines.append(_line(f"{name}_bucket", (*common, ("le", bound)), within))
    lines += [_line(f"{name}_sum", common, sum(values)), _line(f"{name}_count", common, len(values))]
    return lines


def _line(name: str, labels: Labels, value: float) -> str:
    shown = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
    return f"{name}{{{shown}}} {value:.10g}"


def _escaped(text: str) -> str:
    plain = text.encode("utf-8", "replace").decode()
    return plain.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
