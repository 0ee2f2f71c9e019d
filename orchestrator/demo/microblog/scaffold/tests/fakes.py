"""Repositories in memory and a stand-in for the validation module, so that each module is tested alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from microblog.domain import Comment, Conflict, NotFound, Post, Repositories, User, new_id, now
from microblog.web import Handler, HttpError, Request, Response, error_response

#: The tables in short; db/schema.sql is the real thing.
SCHEMA = """
CREATE TABLE users (id TEXT PRIMARY KEY, email TEXT UNIQUE, password TEXT, name TEXT, created_at TEXT);
CREATE TABLE posts (id TEXT PRIMARY KEY, title TEXT, content TEXT,
    author_id TEXT REFERENCES users (id) ON DELETE CASCADE, created_at TEXT, updated_at TEXT);
CREATE TABLE comments (id TEXT PRIMARY KEY, content TEXT, post_id TEXT REFERENCES posts (id) ON DELETE CASCADE,
    author_id TEXT REFERENCES users (id) ON DELETE CASCADE,
    parent_id TEXT REFERENCES comments (id) ON DELETE CASCADE, created_at TEXT);
"""


class _Store:
    def __init__(self) -> None:
        self.rows: dict[str, Any] = {}

    def get(self, row_id: str) -> Any:
        if row_id not in self.rows:
            raise NotFound(f"there is no {row_id}")
        return self.rows[row_id]

    def _keep(self, row: Any) -> Any:
        self.rows[row.id] = row
        return row


class Users(_Store):
    def add(self, email: str, password: str, name: str) -> User:
        if self.by_email(email):
            raise Conflict(f"{email} is taken")
        return self._keep(User(new_id(), email, password, name, now()))

    def by_email(self, email: str) -> User | None:
        return next((user for user in self.rows.values() if user.email == email), None)


class Posts(_Store):
    def add(self, author_id: str, title: str, content: str) -> Post:
        return self._keep(Post(new_id(), title, content, author_id, now(), now()))

    def update(self, post_id: str, title: str, content: str) -> Post:
        return self._keep(replace(self.get(post_id), title=title, content=content, updated_at=now()))

    def delete(self, post_id: str) -> None:
        del self.rows[self.get(post_id).id]

    def page(self, offset: int, limit: int) -> tuple[list[Post], int]:
        return list(self.rows.values())[offset : offset + limit], len(self.rows)


class Comments(_Store):
    def add(self, post_id: str, author_id: str, content: str, parent_id: str | None) -> Comment:
        return self._keep(Comment(new_id(), content, post_id, author_id, parent_id, now()))

    def for_post(self, post_id: str) -> list[Comment]:
        return [comment for comment in self.rows.values() if comment.post_id == post_id]

    def delete(self, comment_id: str) -> None:
        for child in [row for row in self.rows.values() if row.parent_id == comment_id]:
            self.delete(child.id)
        del self.rows[self.get(comment_id).id]


def repositories() -> Repositories:
    """Return empty repositories."""
    return Repositories(Users(), Posts(), Comments())


class Validation:
    """Stands in for `microblog.api.validation`, with the same three names."""

    @staticmethod
    def texts(body: dict[str, Any], **limits: int) -> dict[str, str]:
        bad = {
            name: "is required" for name in limits if not isinstance(body.get(name), str) or not body[name]
        }
        if bad:
            raise HttpError(400, "invalid", "some fields are not valid", bad)
        return {name: body[name] for name in limits}

    @staticmethod
    def uuid(value: str) -> str:
        return value

    @staticmethod
    def errors_as_json(handler: Handler) -> Handler:
        def answer(request: Request) -> Response:
            try:
                return handler(request)
            except HttpError as error:
                return error_response(error)
            except NotFound as error:
                return error_response(HttpError(404, "not_found", str(error)))

        return answer
