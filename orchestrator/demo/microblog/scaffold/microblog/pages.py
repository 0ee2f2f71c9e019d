"""The site's pages: what a person sees. They use the renderers and the API, where these are there."""

from __future__ import annotations

import importlib
import json
from html import escape
from types import ModuleType
from typing import Any

from microblog.domain import Comment, Repositories
from microblog.web import Handler, HttpError, Request, Response, Router

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>MicroBlog</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 42rem; margin: 0 auto; padding: 1rem; color: #222 }}
nav a {{ margin-right: 1rem }} .card, .comment {{ border: 1px solid #ddd; border-radius: 6px; padding: 0 1rem; margin: 1rem 0 }}
.meta {{ color: #666 }} .error {{ color: #b00020 }} label {{ display: block; margin-top: .5rem }}
</style></head><body>
<nav><a href="/">MicroBlog</a><a href="/login">Log in</a><a href="/signup">Sign up</a></nav>
{body}
</body></html>"""


def add_pages(router: Router, site: Handler, repos: Repositories) -> None:
    """Add the pages to the router; `site` answers the API calls they make."""
    pages = _Pages(site, repos)
    router.add("GET", "/", pages.home)
    router.add("GET", "/posts/<post_id>", pages.post)
    router.add("POST", "/posts/<post_id>/comments", pages.add_comment)
    for name, form in (("login", "login_form"), ("signup", "signup_form")):
        router.add("GET", f"/{name}", lambda _, form=form: _show(_module("ui", form).render({})))
        router.add("POST", f"/{name}", lambda request, name=name, form=form: pages.enter(request, name, form))


def _module(package: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(f"microblog.{package}.{name}")
    except ModuleNotFoundError as err:
        raise HttpError(
            503, "not_merged", f"the module microblog.{package}.{name} is not merged yet"
        ) from err


def _show(body: str, status: int = 200) -> Response:
    return Response(status, _PAGE.format(body=body))


class _Pages:
    def __init__(self, site: Handler, repos: Repositories) -> None:
        self._site, self._repos = site, repos

    def home(self, _: Request) -> Response:
        summaries = _module("ui", "post_summary")
        posts, _total = self._repos.posts.page(0, 20)
        cards = [summaries.summarise(post, self._repos.users.get(post.author_id)) for post in posts]
        return _show("<h1>Posts</h1>" + _module("ui", "post_list").render(cards))

    def post(self, request: Request) -> Response:
        post = self._repos.posts.get(request.params["post_id"])
        author = self._repos.users.get(post.author_id)
        comments = self._repos.comments.for_post(post.id)
        return _show(
            f"<article><h1>{escape(post.title)}</h1>"
            f'<p class="meta">{escape(author.name)}, {escape(post.created_at[:10])}</p>'
            f"<p>{escape(post.content)}</p></article><h2>{len(comments)} comments</h2>"
            + self._thread(comments, None)
            + f'<form method="post" action="/posts/{escape(post.id)}/comments">'
            '<label>Your comment <textarea name="content" required></textarea></label>'
            "<button>Comment</button></form>"
        )

    def _thread(self, comments: list[Comment], parent_id: str | None) -> str:
        return "".join(
            f'<div class="comment"><p>{escape(comment.content)}</p>'
            f'<p class="meta">{escape(self._repos.users.get(comment.author_id).name)}</p>'
            f"{self._thread(comments, comment.id)}</div>"
            for comment in comments
            if comment.parent_id == parent_id
        )

    def add_comment(self, request: Request) -> Response:
        post_id = request.params["post_id"]
        answer = self._call(
            request, f"/api/posts/{post_id}/comments", {"content": request.form().get("content", "")}
        )
        if answer.status == 401:
            return Response(303, headers={"Location": "/login"})
        return Response(303, headers={"Location": f"/posts/{post_id}"})

    def enter(self, request: Request, name: str, form: str) -> Response:
        values = request.form()
        answer = self._call(
            request, f"/api/auth/{name}", {key: values.get(key, "") for key in ("email", "password", "name")}
        )
        if answer.status >= 400:
            error = answer.json()["error"]
            shown = _module("ui", form).render(values, error.get("fields", {}), server_error=error["message"])
            return _show(shown, answer.status)
        if name == "signup":
            return Response(303, headers={"Location": "/login"})
        cookie = f"token={answer.json()['token']}; HttpOnly; SameSite=Strict; Path=/"
        return Response(303, headers={"Location": "/", "Set-Cookie": cookie})

    def _call(self, request: Request, path: str, body: dict[str, Any]) -> Response:
        return self._site(Request("POST", path, headers=request.headers, body=json.dumps(body).encode()))
