"""The words of the product, as in docs/CONTRACT.md."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any


@dataclass(frozen=True)
class User:
    """A person who writes."""

    id: str
    email: str
    password: str  #: the hash
    name: str
    created_at: str


@dataclass(frozen=True)
class Post:
    """Something written."""

    id: str
    title: str
    content: str
    author_id: str
    created_at: str
    updated_at: str


@dataclass(frozen=True)
class Comment:
    """An answer to a post, or to another comment of the same post."""

    id: str
    content: str
    post_id: str
    author_id: str
    parent_id: str | None
    created_at: str


@dataclass(frozen=True)
class Repositories:
    """What handlers are given; the methods are in docs/CONTRACT.md."""

    users: Any
    posts: Any
    comments: Any


class NotFound(Exception):
    """There is no such thing."""


class Conflict(Exception):
    """It is there already."""


class Unavailable(Exception):
    """The database cannot be reached."""


def new_id() -> str:
    """Return a fresh id."""
    return str(uuid.uuid4())


def now() -> str:
    """Return the time as ISO-8601 UTC."""
    return datetime.now(timezone.utc).isoformat()


def as_json(thing: User | Post | Comment) -> dict[str, Any]:
    """Return the JSON object of a thing: camel case, and never a password."""
    fields = {key: value for key, value in asdict(thing).items() if key != "password"}
    return {_camel(key): value for key, value in fields.items()}


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)
