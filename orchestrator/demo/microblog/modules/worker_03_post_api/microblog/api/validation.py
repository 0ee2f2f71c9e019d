"""Checks bodies and ids, and turns every error into the contract's JSON."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from microblog.domain import Conflict, NotFound, Repositories, Unavailable
from microblog.web import Handler, HttpError, Request, Response, error_response

#: Outermost: nothing gets past it.
ORDER = 0


def texts(body: dict[str, Any], **limits: int) -> dict[str, str]:
    """Return the named fields, stripped; each must be a text of 1 to that many characters."""
    faults = {}
    found = {}
    for name, limit in limits.items():
        value = body.get(name)
        if not isinstance(value, str) or not value.strip():
            faults[name] = "is required"
        elif len(value) > limit:
            faults[name] = f"is longer than {limit} characters"
        else:
            found[name] = value.strip()
    if faults:
        raise HttpError(400, "invalid", "some fields are not valid", faults)
    return found


def uuid(value: str) -> str:
    """Return an id in its usual form."""
    try:
        return str(UUID(value))
    except ValueError as err:
        raise HttpError(400, "invalid", f"{value!r} is not an id") from err


def number(query: dict[str, str], name: str, default: int, low: int, high: int) -> int:
    """Return a number of the query, within its bounds."""
    text = query.get(name, str(default))
    if not text.isdecimal() or not low <= int(text) <= high:
        raise HttpError(400, "invalid", f"{name} must be a number from {low} to {high}", {name: text})
    return int(text)


def errors_as_json(handler: Handler) -> Handler:
    """Answer errors as the contract says."""

    def answer(request: Request) -> Response:
        try:
            return handler(request)
        except HttpError as error:
            return error_response(error)
        except NotFound as error:
            return error_response(HttpError(404, "not_found", str(error)))
        except Conflict as error:
            return error_response(HttpError(409, "conflict", str(error)))
        except Unavailable as error:
            return error_response(HttpError(503, "unavailable", str(error)))

    return answer


def middleware(handler: Handler, _repos: Repositories, _settings: dict[str, Any]) -> Handler:
    """Put `errors_as_json` around the site."""
    return errors_as_json(handler)
