"""Finds out who is asking."""

from __future__ import annotations

from typing import Any

from microblog.api.auth_controller import bearer, tokens_of
from microblog.domain import NotFound, Repositories
from microblog.web import Handler, Request, Response

#: Inside the error middleware.
ORDER = 10


def middleware(handler: Handler, repos: Repositories, settings: dict[str, Any]) -> Handler:
    """Set `request.user` where a good token came with the request."""
    tokens = tokens_of(settings)

    def answer(request: Request) -> Response:
        token = bearer(request)
        if token and (claims := tokens.claims(token)):
            try:
                request.user = repos.users.get(claims["sub"])
            except NotFound:
                request.user = None
        return handler(request)

    return answer
