"""Puts together whatever modules are there, and speaks WSGI."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from http import HTTPStatus
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qsl

import microblog.api
from microblog.domain import Repositories
from microblog.pages import add_pages
from microblog.web import Handler, HttpError, Request, Response, Router, error_response


def build(repos: Repositories, settings: dict[str, Any]) -> Handler:
    """Return the handler of the whole site: every router and every middleware that is found."""
    modules = [
        importlib.import_module(f"microblog.api.{found.name}")
        for found in pkgutil.iter_modules(microblog.api.__path__)
    ]
    router = Router()
    for module in modules:
        if hasattr(module, "build"):
            with suppress(ModuleNotFoundError):  # it needs one that is not merged yet
                router.include(module.build(repos, settings))
    handler: Handler = router
    layers = [module for module in modules if hasattr(module, "middleware")]
    for module in sorted(layers, key=lambda module: module.ORDER, reverse=True):
        handler = module.middleware(handler, repos, settings)
    add_pages(router, handler, repos)
    return _last_resort(handler)


def _last_resort(handler: Handler) -> Handler:
    def answer(request: Request) -> Response:
        try:
            return handler(request)
        except HttpError as error:
            return error_response(error)

    return answer


def wsgi(handler: Handler) -> Callable[[dict[str, Any], Any], Iterable[bytes]]:
    """Return a WSGI application."""

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        response = handler(_request(environ))
        body = response.body.encode()
        headers = {
            "Content-Type": response.content_type,
            "Content-Length": str(len(body)),
            **response.headers,
        }
        start_response(f"{response.status} {HTTPStatus(response.status).phrase}", list(headers.items()))
        return [body]

    return application


def _request(environ: dict[str, Any]) -> Request:
    length = int(environ.get("CONTENT_LENGTH") or 0)
    headers = {
        key[5:].replace("_", "-").title(): value for key, value in environ.items() if key.startswith("HTTP_")
    }
    token = SimpleCookie(headers.get("Cookie", "")).get("token")
    if token and "Authorization" not in headers:
        headers["Authorization"] = f"Bearer {token.value}"
    return Request(
        method=environ["REQUEST_METHOD"],
        path=environ.get("PATH_INFO") or "/",
        query=dict(parse_qsl(environ.get("QUERY_STRING", ""))),
        headers=headers,
        body=environ["wsgi.input"].read(length) if length else b"",
    )
