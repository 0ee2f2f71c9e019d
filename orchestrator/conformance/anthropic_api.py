"""Anthropic's Messages API, as far as clients use it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.conformance.exchange import Item, ModelReply, ModelRequest, Refused
from orchestrator.conformance.flatten import objects, text_of
from orchestrator.conformance.script import Failure

_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
_STOPS = {"refusal": "refusal", "length": "max_tokens"}


def read(path: str, body: Mapping[str, Any]) -> ModelRequest:
    """Read a request."""
    del path
    schema = (body.get("output_config") or {}).get("format") or body.get("output_format") or {}
    return ModelRequest(
        model=str(body.get("model")),
        items=[item for message in objects(body.get("messages")) for item in _items(message)],
        tools={str(tool.get("name")): "function" for tool in objects(body.get("tools"))},
        stream=bool(body.get("stream")),
        schema=schema.get("schema"),
        limit=body.get("max_tokens"),
    )


def _items(message: Mapping[str, Any]) -> Iterator[Item]:
    content = message.get("content")
    blocks = objects(content)
    if message.get("role") == "assistant":
        ids = tuple(str(block["id"]) for block in blocks if block.get("type") == "tool_use")
        yield Item(role="model", text=text_of(content), call_ids=ids)
        return
    for block in blocks:
        if block.get("type") == "tool_result":
            yield Item(role="result", text=text_of(block.get("content")))
    said = content if isinstance(content, str) else [b for b in blocks if b.get("type") == "text"]
    if said:
        yield Item(role=str(message.get("role")), text=text_of(said))


def whole(request: ModelRequest, reply: ModelReply) -> dict[str, Any]:
    """The answer in one piece."""
    blocks: list[dict[str, Any]] = [{"type": "text", "text": reply.text}] if reply.text else []
    for call_id, call in reply.calls:
        blocks.append({"type": "tool_use", "id": call_id, "name": call.name, "input": call.arguments})
    return {
        "id": f"msg_{uuid.uuid4().hex[:20]}",
        "type": "message",
        "role": "assistant",
        "model": request.model,
        "content": blocks,
        "stop_reason": _STOPS.get(reply.stop or "", "tool_use" if reply.calls else "end_turn"),
        "stop_sequence": None,
        "usage": {
            "input_tokens": reply.input_tokens,
            "output_tokens": reply.output_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
        },
    }


def events(request: ModelRequest, reply: ModelReply) -> Iterator[dict[str, Any]]:
    """The answer as a stream."""
    message = whole(request, reply)
    usage = message["usage"]
    start = {**message, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    yield {"type": "message_start", "message": start}
    for index, block in enumerate(message["content"]):
        empty = {"type": "text", "text": ""} if block["type"] == "text" else {**block, "input": {}}
        yield {"type": "content_block_start", "index": index, "content_block": empty}
        for delta in _deltas(block, reply):
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    end = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield {"type": "message_delta", "delta": end, "usage": usage}
    yield {"type": "message_stop"}


def _deltas(block: Mapping[str, Any], reply: ModelReply) -> Iterator[dict[str, Any]]:
    if block["type"] == "text":
        for piece in reply.pieces():
            yield {"type": "text_delta", "text": piece}
    else:
        yield {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}


def refused(failure: Failure) -> Refused:
    """An error as this API words it."""
    kind = failure.kind or _KINDS.get(failure.status, "api_error")
    error = {"type": kind, "message": failure.message, **failure.details}
    return Refused(
        status=failure.status, body={"type": "error", "error": error}, headers=dict(failure.headers)
    )


def too_long() -> Refused:
    """What a conversation gets that is longer than the model's context."""
    return refused(Failure(status=400, message="prompt is too long: 250000 tokens > 200000 maximum"))
