"""What can be done with the comments of a post."""

from __future__ import annotations

from typing import Any

from microblog.domain import Comment, Repositories, as_json
from microblog.web import HttpError, Request, Response, json_response

CONTENT = 5_000


class CommentController:
    """Lists, adds and deletes comments; `checks` is the validation module."""

    def __init__(self, repos: Repositories, checks: Any) -> None:
        self._posts, self._comments, self._checks = repos.posts, repos.comments, checks

    def index(self, request: Request) -> Response:
        """Return the comments as a tree."""
        comments = self._comments.for_post(self._post_id(request))
        return json_response({"items": _tree(comments, None), "total": len(comments)})

    def create(self, request: Request) -> Response:
        """Add a comment, or a reply to one."""
        post_id, author_id = self._post_id(request), _person_id(request)
        body = request.json()
        content = self._checks.texts(body, content=CONTENT)["content"]
        parent_id = body.get("parentId")
        if parent_id is not None and self._comments.get(self._checks.uuid(str(parent_id))).post_id != post_id:
            raise HttpError(
                400, "invalid", "the parent belongs to another post", {"parentId": str(parent_id)}
            )
        return json_response(as_json(self._comments.add(post_id, author_id, content, parent_id)), 201)

    def delete(self, request: Request) -> Response:
        """Delete a comment of one's own, with every reply to it."""
        person_id = _person_id(request)
        comment = self._comments.get(self._checks.uuid(request.params["comment_id"]))
        if comment.post_id != self._post_id(request):
            raise HttpError(404, "not_found", "this post has no such comment")
        if comment.author_id != person_id:
            raise HttpError(403, "forbidden", "only the author may delete a comment")
        self._comments.delete(comment.id)
        return json_response(None, 204)

    def _post_id(self, request: Request) -> str:
        return str(self._posts.get(self._checks.uuid(request.params["post_id"])).id)


def _person_id(request: Request) -> str:
    if request.user is None:
        raise HttpError(401, "unauthorized", "log in first")
    return request.user.id


def _tree(comments: list[Comment], parent_id: str | None) -> list[dict[str, Any]]:
    return [
        {**as_json(comment), "replies": _tree(comments, comment.id)}
        for comment in comments
        if comment.parent_id == parent_id
    ]
