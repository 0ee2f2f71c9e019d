"""A run as OpenTelemetry spans: run, worker, attempt, permission, gate; derived from its events."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from orchestrator.model.event import Event, EventKind, Phase

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

#: What the GenAI conventions call the maker of an agent's model. Others are not known to us.
_PROVIDERS = {"claude": "anthropic", "codex": "openai", "gemini": "gcp.gemini"}


class Spans:
    """Takes a run's events in order, from one thread, and starts and ends spans."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._run: Span | None = None
        self._agents: dict[str, str] = {}
        self._workers: dict[str, Span] = {}
        self._attempts: dict[str, Span] = {}
        self._gates: dict[str, Span] = {}
        self._permissions: dict[tuple[str, str], Span] = {}

    def take(self, event: Event) -> None:
        """Take one more event in."""
        if event.kind is EventKind.RUN_STARTED:
            self._start_run(event)
        elif event.kind is EventKind.RUN_FINISHED:
            self._finish_run(event)
        elif self._run is not None and event.worker_id is None:
            self._run.add_event(event.kind.value, _plain(event.data), _ns(event.at))
        elif self._run is not None and event.worker_id in self._agents:
            self._of_worker(event, event.worker_id)

    def close(self, at: datetime) -> None:
        """End what is open, as when the run was cut short."""
        open_ = [*self._permissions.values(), *self._gates.values(), *self._attempts.values()]
        for span in [*open_, *self._workers.values(), *([self._run] if self._run else [])]:
            span.end(_ns(at))

    def _start_run(self, event: Event) -> None:
        data = event.data
        self._run = self._span("run", None, event)
        self._run.set_attributes(
            {
                "orchestrator.run.id": data["run_id"],
                "orchestrator.run.tasks": len(data["tasks"]),
                "orchestrator.run.max_workers": data["max_workers"],
                "vcs.ref.base.revision": data["base_commit"] or "",
            }
        )
        for task in data["tasks"]:
            self._agents[task["id"]] = task["agent"]
            worker = self._span(f"worker {task['id']}", self._run, event)
            worker.set_attributes(
                {"orchestrator.worker.id": task["id"], "orchestrator.worker.name": task["name"]}
            )
            self._workers[task["id"]] = worker

    def _finish_run(self, event: Event) -> None:
        if self._run is not None:
            _judge(self._run, event.data["status"], event.data["status"] == "succeeded")
        self.close(event.at)
        self._run = None
        for spans in (self._workers, self._attempts, self._gates):
            spans.clear()
        self._permissions.clear()

    def _of_worker(self, event: Event, worker_id: str) -> None:
        match event.kind:
            case EventKind.ATTEMPT_STARTED:
                self._start_attempt(event, worker_id)
            case EventKind.ATTEMPT_PHASE:
                self._change_phase(event, worker_id)
            case EventKind.ATTEMPT_FINISHED:
                self._finish_attempt(event, worker_id)
            case EventKind.PERMISSION_REQUESTED:
                self._ask(event, worker_id)
            case EventKind.PERMISSION_DECIDED:
                self._decide(event, worker_id)
            case EventKind.AGENT_SESSION:
                self._describe(worker_id, {"gen_ai.conversation.id": event.data["session_id"]})
            case EventKind.AGENT_USAGE:
                self._describe(worker_id, _usage(event.data))
            case EventKind.WORKER_FINISHED:
                self._finish_worker(event, worker_id)

    def _start_attempt(self, event: Event, worker_id: str) -> None:
        agent = event.data.get("agent") or self._agents[worker_id]
        span = self._span(f"invoke_agent {agent}", self._workers.get(worker_id), event)
        provider = _PROVIDERS.get(agent.partition("-")[0])
        span.set_attributes(
            {
                "gen_ai.operation.name": "invoke_agent",
                "gen_ai.agent.name": agent,
                "orchestrator.worker.id": worker_id,
                "orchestrator.attempt": event.attempt or 0,
                "orchestrator.queue_wait_s": event.data["queue_wait"],
                **({"gen_ai.system": provider, "gen_ai.provider.name": provider} if provider else {}),
            }
        )
        self._attempts[worker_id] = span

    def _change_phase(self, event: Event, worker_id: str) -> None:
        if gate := self._gates.pop(worker_id, None):
            gate.end(_ns(event.at))
        if event.data["phase"] == Phase.VERIFYING:
            self._gates[worker_id] = self._span("gate", self._attempts.get(worker_id), event)

    def _finish_attempt(self, event: Event, worker_id: str) -> None:
        if gate := self._gates.pop(worker_id, None):
            verified = event.data.get("verified")
            if verified is not None:
                _judge(gate, "passed" if verified else "failed", verified)
            gate.end(_ns(event.at))
        if span := self._attempts.pop(worker_id, None):
            if kind := event.data.get("error_kind"):
                span.set_attribute("error.type", kind)
            _judge(span, event.data["status"], event.data["status"] == "succeeded")
            span.end(_ns(event.at))

    def _ask(self, event: Event, worker_id: str) -> None:
        span = self._span(f"permission {event.data.get('tool')}", self._attempts.get(worker_id), event)
        span.set_attribute("gen_ai.tool.name", str(event.data.get("tool")))
        self._permissions[worker_id, str(event.data["request_id"])] = span

    def _decide(self, event: Event, worker_id: str) -> None:
        if event.data.get("verdict") == "ask":
            return  # a person's answer follows
        if span := self._permissions.pop((worker_id, str(event.data["request_id"])), None):
            for name in ("verdict", "level", "rule", "by"):
                if event.data.get(name) is not None:
                    span.set_attribute(f"orchestrator.permission.{name}", str(event.data[name]))
            span.end(_ns(event.at))

    def _describe(self, worker_id: str, attributes: Mapping[str, Any]) -> None:
        if span := self._attempts.get(worker_id):
            span.set_attributes(dict(attributes))

    def _finish_worker(self, event: Event, worker_id: str) -> None:
        if span := self._workers.pop(worker_id, None):
            result = event.data["result"]
            _judge(span, result["status"], result["success"])
            span.end(_ns(event.at))

    def _span(self, name: str, parent: Span | None, event: Event) -> Span:
        from opentelemetry import trace  # noqa: PLC0415 (an extra)

        context = trace.set_span_in_context(parent) if parent else None
        return self._tracer.start_span(name, context=context, start_time=_ns(event.at))


def _judge(span: Span, status: str, well: bool) -> None:
    from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415 (an extra)

    span.set_attribute("orchestrator.status", status)
    span.set_status(Status(StatusCode.OK) if well else Status(StatusCode.ERROR, status))


def _usage(data: Mapping[str, Any]) -> dict[str, Any]:
    names = {
        "gen_ai.usage.input_tokens": data.get("input_tokens"),
        "gen_ai.usage.output_tokens": data.get("output_tokens"),
        "orchestrator.cost_usd": data.get("cost_usd"),
    }
    return {name: value for name, value in names.items() if value is not None}


def _plain(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if isinstance(value, str | int | float | bool)}


def _ns(at: datetime) -> int:
    return int(at.timestamp() * 1e9)
