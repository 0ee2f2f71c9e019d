"""Requests, responses and routes: as little of a web framework as will do."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from microblog.domain import User


class HttpError(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, code: str, message: str, fields: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.fields = status, code, message, fields


@dataclass
class Request:
    """One request, already read."""

    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    params: dict[str, str] = field(default_factory=dict)
    user: User | None = None

    def json(self) -> dict[str, Any]:
        """Return the JSON object in the body."""
        try:
            value = json.loads(self.body or b"{}")
        except ValueError as err:
            raise HttpError(400, "bad_json", "the body is not JSON") from err
        if not isinstance(value, dict):
            raise HttpError(400, "bad_json", "the body is not a JSON object")
        return value

    def form(self) -> dict[str, str]:
        """Return the fields of a form."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))


@dataclass
class Response:
    """One answer."""

    status: int = 200
    body: str = ""
    content_type: str = "text/html; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)

    def json(self) -> Any:
        """Return the JSON value in the body."""
        return json.loads(self.body)


Handler = Callable[[Request], Response]


class Router:
    """Finds the handler of a method and a path; `<name>` in a pattern matches one segment."""

    def __init__(self) -> None:
        self._routes: list[tuple[str, re.Pattern[str], Handler]] = []

    def add(self, method: str, pattern: str, handler: Handler) -> None:
        """Add a route."""
        self._routes.append((method, re.compile(re.sub(r"<(\w+)>", r"(?P<\1>[^/]+)", pattern)), handler))

    def include(self, other: Router) -> None:
        """Add every route of another router."""
        self._routes += other._routes

    def __call__(self, request: Request) -> Response:
        """Answer a request; 404 and 405 are HttpErrors."""
        allowed = False
        for method, pattern, handler in self._routes:
            if found := pattern.fullmatch(request.path):
                allowed = True
                if method == request.method:
                    request.params = found.groupdict()
                    return handler(request)
        if allowed:
            raise HttpError(405, "method_not_allowed", f"{request.method} is not allowed here")
        raise HttpError(404, "not_found", f"there is nothing at {request.path}")


def json_response(value: Any, status: int = 200) -> Response:
    """Return a JSON answer."""
    return Response(status, "" if status == 204 else json.dumps(value), "application/json")


def error_response(error: HttpError) -> Response:
    """Return the JSON answer of an error, as in docs/CONTRACT.md."""
    body: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.fields:
        body["fields"] = error.fields
    return json_response({"error": body}, error.status)
