"""Figures and traces of real runs, for other programs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from orchestrator.cli import telemetry
from orchestrator.cli.execution import carry_out
from orchestrator.cli.telemetry import metrics_feed, traces_feed, wants_traces
from orchestrator.config import OrchestratorConfig
from orchestrator.core.plan import prepare
from orchestrator.errors import InputError
from orchestrator.taskfile import task_from_mapping
from tests.integration.run_fixtures import make_repository

_SAMPLE = re.compile(r'[a-z_]+(_bucket|_sum|_count)?\{([a-z_]+="[^"\n]*",?)*\} [-+.e0-9infNa]+')


def _carry_out(tmp_path: Path, **options: object) -> None:
    tasks = [
        task_from_mapping("good", {"command": ["sh", "-c", "echo x > x.txt"], "verify": ["test -f x.txt"]}),
        task_from_mapping("bad", {"command": ["sh", "-c", "exit 3"]}),
    ]
    config = OrchestratorConfig(repo=make_repository(tmp_path / "repo"), sandbox="off", isolation="worktree")
    carry_out(prepare(config, tasks), events=None, show_progress=False, **options)  # type: ignore[arg-type]


def test_the_file_of_metrics_holds_the_figures_of_the_run(tmp_path: Path) -> None:
    path = tmp_path / "run.prom"
    _carry_out(tmp_path, metrics=path)
    lines = path.read_text().splitlines()
    samples = [line for line in lines if not line.startswith("#")]
    assert all(_SAMPLE.fullmatch(line) for line in samples), samples
    assert path.parent.glob(".*.tmp") and not list(path.parent.glob(".*.tmp"))
    values = {re.sub(r'run="[^"]*",repo="[^"]*",?', "", line): line for line in samples}
    found = {name.rpartition(" ")[0]: float(name.rpartition(" ")[2]) for name in values}
    assert found['orchestrator_workers{status="succeeded"}'] == 1
    assert found['orchestrator_workers{status="failed"}'] == 1
    assert found['orchestrator_attempts_total{agent="command",status="failed"}'] == 1
    assert found['orchestrator_gate_results_total{result="passed"}'] == 1
    assert found['orchestrator_attempt_duration_seconds_bucket{le="+Inf"}'] == 2
    names = {re.sub("_(bucket|sum|count)$", "", line.split("{")[0]) for line in samples}
    assert names <= {line.split()[2] for line in lines if line.startswith("# TYPE")}


def test_a_file_that_cannot_be_written_is_said_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--metrics"), metrics_feed(tmp_path / "no" / "folder.prom"):
        pass


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()

    def provider() -> TracerProvider:
        made = TracerProvider(shutdown_on_exit=False)
        made.add_span_processor(SimpleSpanProcessor(exporter))
        return made

    monkeypatch.setattr(telemetry, "_provider", provider)
    yield exporter
    exporter.shutdown()


def test_a_run_is_spans_of_workers_attempts_and_gates(tmp_path: Path, spans: InMemorySpanExporter) -> None:
    _carry_out(tmp_path, traces=True)
    found = spans.get_finished_spans()
    assert sorted(span.name for span in found) == [
        "gate",
        "invoke_agent command",
        "invoke_agent command",
        "run",
        "worker bad",
        "worker good",
    ]
    parents = {span.name: _parent(span, found) for span in found}
    assert parents["run"] is None
    assert (parents["worker good"], parents["gate"]) == ("run", "invoke_agent command")
    attempts = [span for span in found if span.name.startswith("invoke_agent")]
    assert {_parent(span, found) for span in attempts} == {"worker good", "worker bad"}
    [failed] = [span for span in attempts if not span.status.is_ok]
    assert failed.attributes is not None
    assert failed.attributes["error.type"] == "exit_status"
    assert failed.attributes["gen_ai.operation.name"] == "invoke_agent"


def _parent(span: ReadableSpan, spans: tuple[ReadableSpan, ...]) -> str | None:
    if span.parent is None:
        return None
    return next(other.name for other in spans if other.context.span_id == span.parent.span_id)


def test_traces_are_sent_when_a_collector_is_named() -> None:
    assert wants_traces(False, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"})
    assert not wants_traces(False, {})
    assert wants_traces(True, {})


@contextmanager
def _without_the_extra() -> Iterator[None]:
    def lacking() -> TracerProvider:
        raise ImportError("No module named 'opentelemetry'")

    with traces_feed(asked=True, make=lacking):
        yield


def test_without_the_extra_it_says_what_to_install() -> None:
    with pytest.raises(InputError, match="needs OpenTelemetry") as caught, _without_the_extra():
        pass
    assert "pip install" in (caught.value.hint or "")
