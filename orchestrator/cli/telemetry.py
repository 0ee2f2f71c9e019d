"""Figures and traces of a run for other programs: `run --metrics`, `run --traces`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli.feed import Feed, Item
from orchestrator.cli.output import say_warning
from orchestrator.errors import InputError
from orchestrator.journal.state import RunState, apply
from orchestrator.model.event import Event

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

METRICS_PAUSE_S = 1.0  #: at most so often; a collector looks every 15 s or so
_EXPORT_S = 3  #: how long the end of a run waits for a collector
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_EXTRA = "pip install 'parallel-ai-orchestrator[otel]'"


@contextmanager
def metrics_feed(path: Path) -> Iterator[Feed]:
    """Keep the file `path` up to date with the run's figures; each time it is replaced as a whole."""
    state = RunState()

    def write(items: Sequence[Item]) -> None:
        for item in items:
            if isinstance(item, Event):
                apply(state, item)
        if state.run_id:
            _replace(path, state)

    try:
        _replace(path, state)
    except OSError as err:
        raise InputError(
            f"--metrics: cannot write {path}: {err.strerror}", hint="name a file in a folder that exists"
        ) from err
    feed = Feed(write, pause_s=METRICS_PAUSE_S)
    try:
        yield feed
    finally:
        feed.close()
        if feed.fault:
            say_warning(f"--metrics {path} is not up to date: {feed.fault.strerror}")


def _replace(path: Path, state: RunState) -> None:
    """A collector of text files must never see half a file; it ignores names like that of the draft."""
    from orchestrator.report.prometheus import render

    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        draft.write_text(render(state), encoding="utf-8")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def wants_traces(asked: bool, env: Mapping[str, str]) -> bool:
    """Whether spans are to be sent: by option, or because a collector is named."""
    return asked or any(env.get(name) for name in _ENDPOINTS)


@contextmanager
def traces_feed(*, asked: bool, make: Callable[[], TracerProvider] | None = None) -> Iterator[Feed | None]:
    """Send spans to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names; None, said, without the extra."""
    try:
        provider = (make or _provider)()
    except ImportError as err:
        if asked:
            raise InputError(f"--traces needs OpenTelemetry: {err}", hint=_EXTRA) from err
        say_warning(f"a collector for traces is named, but OpenTelemetry is not installed: {_EXTRA}")
        yield None
        return
    from orchestrator import __version__
    from orchestrator.report.traces import Spans

    spans = Spans(provider.get_tracer("orchestrator", __version__))

    def take(items: Sequence[Item]) -> None:
        for item in items:
            if isinstance(item, Event):
                spans.take(item)

    feed = Feed(take)
    try:
        yield feed
    finally:
        feed.close()
        spans.close(datetime.now(UTC))
        if not provider.force_flush(_EXPORT_S * 1000):
            say_warning("not all traces reached the collector")


def _provider() -> TracerProvider:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(
        resource=Resource.create({"service.name": "orchestrator"}), shutdown_on_exit=False
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=_EXPORT_S)))
    return provider
