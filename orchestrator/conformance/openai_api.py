"""OpenAI's Responses API, as far as clients use it."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.conformance.exchange import Item, ModelReply, ModelRequest, Refused
from orchestrator.conformance.flatten import objects, text_of
from orchestrator.conformance.script import Failure

_KINDS = {
    400: "invalid_request_error",
    401: "invalid_request_error",
    429: "rate_limit_exceeded",
    500: "server_error",
    503: "server_error",
}
_CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded"}
_CUSTOM = "custom"
_ENDS = {"length": "max_output_tokens", "refusal": "content_filter"}


def read(path: str, body: Mapping[str, Any]) -> ModelRequest:
    """Read a request."""
    del path
    given = body.get("input")
    entries = [{"role": "user", "content": given}] if isinstance(given, str) else objects(given)
    added = [entry for entry in entries if entry.get("type") == "additional_tools"]
    tools = [tool for holder in (body, *added) for tool in _tools(holder)]
    return ModelRequest(
        model=str(body.get("model")),
        items=[_item(entry) for entry in entries],
        tools={str(tool.get("name") or tool.get("type")): str(tool.get("type")) for tool in tools},
        stream=bool(body.get("stream")),
        schema=((body.get("text") or {}).get("format") or {}).get("schema"),
        limit=body.get("max_output_tokens"),
    )


def _tools(holder: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The tools of a request or of an entry in it; those of a namespace come without its name."""
    for tool in objects(holder.get("tools")):
        yield from objects(tool.get("tools")) if tool.get("type") == "namespace" else (tool,)


def _item(entry: Mapping[str, Any]) -> Item:
    kind = str(entry.get("type", "message"))
    if kind.endswith("_call_output"):
        return Item(role="result", text=text_of(entry.get("output")))
    if kind.endswith("_call"):
        return Item(role="model", call_ids=(str(entry.get("call_id")),))
    role = "model" if entry.get("role") == "assistant" else str(entry.get("role", "other"))
    return Item(role=role, text=text_of(entry.get("content")))


def whole(request: ModelRequest, reply: ModelReply) -> dict[str, Any]:
    """The answer in one piece."""
    total = reply.input_tokens + reply.output_tokens
    end = _ENDS.get(reply.stop or "")
    return {
        "id": f"resp_{uuid.uuid4().hex[:16]}",
        "object": "response",
        "created_at": int(time.time()),
        "model": request.model,
        "status": "incomplete" if end else "completed",
        "incomplete_details": {"reason": end} if end else None,
        "output": _output(request, reply),
        "usage": {
            "input_tokens": reply.input_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": reply.output_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": total,
        },
    }


def _output(request: ModelRequest, reply: ModelReply) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if reply.text:
        content = {"type": "output_text", "text": reply.text, "annotations": []}
        found.append({"type": "message", "role": "assistant", "content": [content]})
    for call_id, call in reply.calls:
        named: dict[str, Any] = {"call_id": call_id, "name": call.name}
        if request.tools[call.name] == _CUSTOM:
            found.append({"type": "custom_tool_call", **named, "input": call.arguments})
        else:
            given = {"input": call.arguments} if isinstance(call.arguments, str) else call.arguments
            found.append({"type": "function_call", **named, "arguments": json.dumps(given)})
    return [{"id": f"item_{uuid.uuid4().hex[:16]}", "status": "completed", **item} for item in found]


def events(request: ModelRequest, reply: ModelReply) -> Iterator[dict[str, Any]]:
    """The answer as a stream."""
    for number, event in enumerate(_events(request, reply)):
        yield {**event, "sequence_number": number}


def _events(request: ModelRequest, reply: ModelReply) -> Iterator[dict[str, Any]]:
    response = whole(request, reply)
    started = {**response, "status": "in_progress", "output": [], "usage": None}
    yield {"type": "response.created", "response": started}
    for index, item in enumerate(response["output"]):
        place = {"output_index": index}
        empty = {**item, "content": []} if item["type"] == "message" else item
        yield {"type": "response.output_item.added", **place, "item": empty}
        if item["type"] == "message":
            for piece in reply.pieces():
                told = {"item_id": item["id"], "content_index": 0, "delta": piece}
                yield {"type": "response.output_text.delta", **place, **told}
        yield {"type": "response.output_item.done", **place, "item": item}
    yield {"type": f"response.{response['status']}", "response": response}


def refused(failure: Failure) -> Refused:
    """An error as this API words it."""
    kind = failure.kind or _KINDS.get(failure.status, "server_error")
    error = {"type": kind, "code": _CODES.get(failure.status), "message": failure.message}
    return Refused(
        status=failure.status, body={"error": {**error, **failure.details}}, headers=dict(failure.headers)
    )


def too_long() -> Refused:
    """What a conversation gets that is longer than the model's context."""
    words = "Your input exceeds the context window of this model. Please adjust your input and try again."
    return refused(Failure(status=400, message=words, details={"code": "context_length_exceeded"}))


def too_long_event(request: ModelRequest) -> dict[str, Any]:
    """The same inside of a stream, which is how this API says it."""
    error = {"code": "context_length_exceeded", "message": too_long().body["error"]["message"]}
    response = {"id": "resp_failed", "object": "response", "model": request.model}
    return {"type": "response.failed", "response": {**response, "status": "failed", "error": error}}
