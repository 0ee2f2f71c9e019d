"""What can be done with posts."""

from __future__ import annotations

from microblog.api.validation import number, texts, uuid
from microblog.domain import Post, Repositories, User, as_json
from microblog.web import HttpError, Request, Response, json_response

TITLE, CONTENT = 200, 20_000


class PostController:
    """Lists, shows and changes posts."""

    def __init__(self, repos: Repositories) -> None:
        self._posts = repos.posts

    def index(self, request: Request) -> Response:
        """Return a page of posts."""
        limit = number(request.query, "limit", 20, 1, 100)
        page = number(request.query, "page", 1, 1, 100_000)
        items, total = self._posts.page((page - 1) * limit, limit)
        return json_response({"items": [as_json(post) for post in items], "total": total})

    def show(self, request: Request) -> Response:
        """Return one post."""
        return json_response(as_json(self._wanted(request)))

    def create(self, request: Request) -> Response:
        """Write a post."""
        author = _person(request)
        fields = texts(request.json(), title=TITLE, content=CONTENT)
        return json_response(as_json(self._posts.add(author.id, fields["title"], fields["content"])), 201)

    def update(self, request: Request) -> Response:
        """Write a post anew."""
        post = self._own(request)
        fields = texts(request.json(), title=TITLE, content=CONTENT)
        return json_response(as_json(self._posts.update(post.id, fields["title"], fields["content"])))

    def delete(self, request: Request) -> Response:
        """Take a post away."""
        self._posts.delete(self._own(request).id)
        return json_response(None, 204)

    def _wanted(self, request: Request) -> Post:
        post: Post = self._posts.get(uuid(request.params["post_id"]))
        return post

    def _own(self, request: Request) -> Post:
        person, post = _person(request), self._wanted(request)
        if post.author_id != person.id:
            raise HttpError(403, "forbidden", "only the author may change a post")
        return post


def _person(request: Request) -> User:
    if request.user is None:
        raise HttpError(401, "unauthorized", "log in first")
    return request.user
