"""Google's Gemini API (generateContent), as far as clients use it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.conformance.exchange import Item, ModelReply, ModelRequest, Refused
from orchestrator.conformance.flatten import objects, text_of
from orchestrator.conformance.script import Failure

_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}
_STOPS = {"refusal": "SAFETY", "length": "MAX_TOKENS"}


def read(path: str, body: Mapping[str, Any]) -> ModelRequest:
    """Read a request; the model and the way of answering are in its path."""
    settings = body.get("generationConfig") or {}
    declared = [
        each for tool in objects(body.get("tools")) for each in objects(tool.get("functionDeclarations"))
    ]
    return ModelRequest(
        model=path.rpartition("/models/")[2].partition(":")[0],
        items=[item for content in objects(body.get("contents")) for item in _items(content)],
        tools={str(function.get("name")): "function" for function in declared},
        stream=":stream" in path,
        schema=settings.get("responseJsonSchema") or settings.get("responseSchema"),
        limit=settings.get("maxOutputTokens"),
    )


def _items(content: Mapping[str, Any]) -> Iterator[Item]:
    parts = objects(content.get("parts"))
    said = text_of([part for part in parts if "text" in part])
    if content.get("role") == "model":
        calls = [part["functionCall"] for part in parts if "functionCall" in part]
        ids = tuple(str(call["id"]) for call in calls if call.get("id"))
        yield Item(role="model", text=said, call_ids=ids)
        return
    for part in parts:
        if "functionResponse" in part:
            yield Item(role="result", text=json.dumps(part["functionResponse"].get("response")))
    if said:
        yield Item(role=str(content.get("role", "user")), text=said)


def whole(request: ModelRequest, reply: ModelReply) -> dict[str, Any]:
    """The answer in one piece."""
    parts: list[dict[str, Any]] = [{"text": reply.text}] if reply.text else []
    for call_id, call in reply.calls:
        parts.append({"functionCall": {"id": call_id, "name": call.name, "args": call.arguments}})
    end = _STOPS.get(reply.stop or "", "STOP")
    if reply.stop == "refusal":
        parts = []  # this API holds back what it blocks
    return {
        "candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": end, "index": 0}],
        "usageMetadata": {
            "promptTokenCount": reply.input_tokens,
            "candidatesTokenCount": reply.output_tokens,
            "totalTokenCount": reply.input_tokens + reply.output_tokens,
        },
        "modelVersion": request.model,
        "responseId": uuid.uuid4().hex,
    }


def events(request: ModelRequest, reply: ModelReply) -> Iterator[dict[str, Any]]:
    """The answer as a stream: its last chunk says how it ended."""
    answer = whole(request, reply)
    parts = answer["candidates"][0]["content"]["parts"]
    for part in parts[:-1]:
        candidate = {"content": {"role": "model", "parts": [part]}, "index": 0}
        yield {**answer, "candidates": [candidate]}
    answer["candidates"][0]["content"]["parts"] = parts[-1:]
    yield answer


def refused(failure: Failure) -> Refused:
    """An error as this API words it."""
    status = failure.kind or _STATUSES.get(failure.status, "UNKNOWN")
    error = {"code": failure.status, "message": failure.message, "status": status, **failure.details}
    return Refused(status=failure.status, body={"error": error}, headers=dict(failure.headers))


def too_long() -> Refused:
    """What a conversation gets that is longer than the model's context."""
    words = "The input token count (1250000) exceeds the maximum number of tokens allowed (1048576)."
    return refused(Failure(status=400, message=words))
