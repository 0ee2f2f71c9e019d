"""Routes of `/api/posts`."""

from __future__ import annotations

from typing import Any

from microblog.api.post_controller import PostController
from microblog.domain import Repositories
from microblog.web import Router


def build(repos: Repositories, _settings: dict[str, Any]) -> Router:
    """Return the router."""
    controller, router = PostController(repos), Router()
    router.add("GET", "/api/posts", controller.index)
    router.add("POST", "/api/posts", controller.create)
    router.add("GET", "/api/posts/<post_id>", controller.show)
    router.add("PUT", "/api/posts/<post_id>", controller.update)
    router.add("DELETE", "/api/posts/<post_id>", controller.delete)
    return router
