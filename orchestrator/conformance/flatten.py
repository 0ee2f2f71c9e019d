"""The text of a message, in whatever nesting an API allows."""

from __future__ import annotations

import json
from typing import Any

_KEYS = ("text", "parts", "content", "output", "response")


def text_of(value: Any) -> str:
    """All text in a message's content, one part a line."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\n".join(filter(None, map(text_of, value)))
    if isinstance(value, dict):
        known = [text_of(value[key]) for key in _KEYS if value.get(key)]
        return "\n".join(known) if known else json.dumps(value)
    return "" if value is None else str(value)


def objects(value: Any) -> list[dict[str, Any]]:
    """The objects in a list; empty for anything else: clients' requests are untrusted too."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def example_of(schema: Any) -> Any:
    """A value that a JSON schema allows, as far as the simple keywords go."""
    if not isinstance(schema, dict):
        return "ok"
    if schema.get("enum"):
        return schema["enum"][0]
    kind = schema.get("type")
    kind = next((each for each in kind if each != "null"), None) if isinstance(kind, list) else kind
    if str(kind).lower() == "object" or "properties" in schema:
        properties = schema.get("properties") or {}
        return {name: example_of(properties[name]) for name in schema.get("required") or properties}
    plain: dict[str, Any] = {"array": [], "boolean": False, "integer": 1, "number": 1}
    return plain.get(str(kind).lower(), "ok")
