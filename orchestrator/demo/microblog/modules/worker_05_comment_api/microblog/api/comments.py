"""Routes of `/api/posts/<post_id>/comments`."""

from __future__ import annotations

import importlib
from typing import Any

from microblog.api.comment_controller import CommentController
from microblog.domain import Repositories
from microblog.web import Router


def build(repos: Repositories, settings: dict[str, Any]) -> Router:
    """Return the router; it uses the validation of module 3 unless the settings bring another."""
    checks = settings.get("validation") or importlib.import_module("microblog.api.validation")
    controller, router = CommentController(repos, checks), Router()
    place = "/api/posts/<post_id>/comments"
    router.add("GET", place, controller.index)
    router.add("POST", place, controller.create)
    router.add("DELETE", f"{place}/<comment_id>", controller.delete)
    return router
