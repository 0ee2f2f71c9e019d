"""OpenAI's Chat Completions API, which many other clients and servers speak."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.conformance import openai_api
from orchestrator.conformance.exchange import Item, ModelReply, ModelRequest
from orchestrator.conformance.flatten import objects, text_of

_STOPS = {"refusal": "content_filter", "length": "length"}
_ROLES = {"assistant": "model", "tool": "result", "function": "result"}

refused = openai_api.refused
too_long = openai_api.too_long


def read(path: str, body: Mapping[str, Any]) -> ModelRequest:
    """Read a request."""
    del path
    functions = [tool.get("function") or {} for tool in objects(body.get("tools"))]
    format_ = body.get("response_format") or {}
    return ModelRequest(
        model=str(body.get("model")),
        items=[_item(message) for message in objects(body.get("messages"))],
        tools={str(function.get("name")): "function" for function in functions},
        stream=bool(body.get("stream")),
        schema=(format_.get("json_schema") or {}).get("schema"),
        limit=body.get("max_completion_tokens") or body.get("max_tokens"),
    )


def _item(message: Mapping[str, Any]) -> Item:
    role = str(message.get("role"))
    ids = tuple(str(call.get("id")) for call in objects(message.get("tool_calls")))
    return Item(role=_ROLES.get(role, role), text=text_of(message.get("content")), call_ids=ids)


def whole(request: ModelRequest, reply: ModelReply) -> dict[str, Any]:
    """The answer in one piece."""
    calls = _calls(reply)
    message = {"role": "assistant", "content": reply.text or None, **({"tool_calls": calls} if calls else {})}
    choice = {"index": 0, "finish_reason": _end(reply), "message": message}
    return {**_head(request, "chat.completion"), "choices": [choice], "usage": _usage(reply)}


def events(request: ModelRequest, reply: ModelReply) -> Iterator[dict[str, Any] | str]:
    """The answer as a stream."""
    head = _head(request, "chat.completion.chunk")

    def chunk(delta: dict[str, Any], end: str | None = None) -> dict[str, Any]:
        return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": end}]}

    yield chunk({"role": "assistant", "content": ""})
    for piece in reply.pieces():
        yield chunk({"content": piece})
    if calls := _calls(reply):
        yield chunk({"tool_calls": calls})
    yield chunk({}, _end(reply))
    yield {**head, "choices": [], "usage": _usage(reply)}
    yield "[DONE]"


def _head(request: ModelRequest, kind: str) -> dict[str, Any]:
    identity = f"chatcmpl-{uuid.uuid4().hex[:16]}"
    return {"id": identity, "object": kind, "created": int(time.time()), "model": request.model}


def _calls(reply: ModelReply) -> list[dict[str, Any]]:
    return [
        {
            "index": index,
            "id": call_id,
            "type": "function",
            "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
        }
        for index, (call_id, call) in enumerate(reply.calls)
    ]


def _end(reply: ModelReply) -> str:
    return _STOPS.get(reply.stop or "", "tool_calls" if reply.calls else "stop")


def _usage(reply: ModelReply) -> dict[str, int]:
    return {
        "prompt_tokens": reply.input_tokens,
        "completion_tokens": reply.output_tokens,
        "total_tokens": reply.input_tokens + reply.output_tokens,
    }
