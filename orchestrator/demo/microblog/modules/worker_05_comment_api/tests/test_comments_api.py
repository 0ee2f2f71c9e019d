"""The comments API."""

import importlib.util
import json
import unittest
from typing import Any

from microblog.api.comments import build
from microblog.domain import User
from microblog.web import Request, Response
from tests.fakes import Validation, repositories

#: Module 3's own validation where it is merged, the stand-in where it is not.
CHECKS: Any = (
    importlib.import_module("microblog.api.validation")
    if importlib.util.find_spec("microblog.api.validation")
    else Validation
)


class Comments(unittest.TestCase):
    def setUp(self) -> None:
        repos = repositories()
        self.ada = repos.users.add("ada@example.org", "hash", "Ada")
        self.eve = repos.users.add("eve@example.org", "hash", "Eve")
        self.post, self.other = (repos.posts.add(self.ada.id, title, "c") for title in "ab")
        self.api = CHECKS.errors_as_json(build(repos, {"validation": CHECKS}))

    def call(
        self, method: str, post_id: str = "", tail: str = "", body: Any = None, user: User | None = None
    ) -> Response:
        path = f"/api/posts/{post_id or self.post.id}/comments{tail}"
        return self.api(Request(method, path, body=json.dumps(body or {}).encode(), user=user))

    def comment(self, content: str, parent_id: str | None = None, post_id: str = "") -> Response:
        return self.call("POST", post_id, body={"content": content, "parentId": parent_id}, user=self.ada)

    def test_without_comments_the_list_is_empty(self) -> None:
        self.assertEqual(self.call("GET").json(), {"items": [], "total": 0})

    def test_create(self) -> None:
        answer = self.comment("Hello")
        self.assertEqual((answer.status, answer.json()["authorId"]), (201, self.ada.id))

    def test_replies_make_a_tree(self) -> None:
        first = self.comment("first").json()["id"]
        reply = self.comment("reply", first).json()["id"]
        self.comment("reply to the reply", reply)
        self.comment("second")
        tree = self.call("GET").json()
        self.assertEqual(tree["total"], 4)
        self.assertEqual([item["content"] for item in tree["items"]], ["first", "second"])
        self.assertEqual(tree["items"][0]["replies"][0]["replies"][0]["content"], "reply to the reply")

    def test_a_parent_of_another_post_is_400(self) -> None:
        foreign = self.comment("there", post_id=self.other.id).json()["id"]
        answer = self.comment("here", foreign)
        self.assertEqual((answer.status, answer.json()["error"]["code"]), (400, "invalid"))

    def test_an_empty_comment_is_400_and_an_unknown_post_404(self) -> None:
        self.assertEqual(self.comment("").status, 400)
        unknown = "00000000-0000-4000-8000-000000000000"
        self.assertEqual(self.comment("x", post_id=unknown).status, 404)

    def test_a_visitor_cannot_comment(self) -> None:
        self.assertEqual(self.call("POST", body={"content": "x"}).status, 401)

    def test_deleting_takes_the_replies_along(self) -> None:
        first = self.comment("first").json()["id"]
        self.comment("reply", first)
        self.assertEqual(self.call("DELETE", tail=f"/{first}", user=self.eve).status, 403)
        self.assertEqual(self.call("DELETE", tail=f"/{first}", user=self.ada).status, 204)
        self.assertEqual(self.call("GET").json()["total"], 0)
