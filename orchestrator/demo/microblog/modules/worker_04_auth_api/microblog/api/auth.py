"""Routes of `/api/auth`."""

from __future__ import annotations

from typing import Any

from microblog.api.auth_controller import AuthController, tokens_of
from microblog.domain import Repositories
from microblog.web import Router


def build(repos: Repositories, settings: dict[str, Any]) -> Router:
    """Return the router."""
    controller, router = AuthController(repos, tokens_of(settings)), Router()
    router.add("POST", "/api/auth/signup", controller.signup)
    router.add("POST", "/api/auth/login", controller.login)
    router.add("POST", "/api/auth/logout", controller.logout)
    router.add("GET", "/api/auth/me", controller.me)
    return router
