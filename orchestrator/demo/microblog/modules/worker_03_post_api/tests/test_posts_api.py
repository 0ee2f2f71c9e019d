"""The posts API."""

import json
import unittest
from typing import Any

from microblog.api.posts import build
from microblog.api.validation import errors_as_json
from microblog.domain import User, new_id
from microblog.web import Request, Response
from tests.fakes import repositories


class Posts(unittest.TestCase):
    def setUp(self) -> None:
        self.repos = repositories()
        self.ada = self.repos.users.add("ada@example.org", "hash", "Ada")
        self.api = errors_as_json(build(self.repos, {}))

    def call(
        self, method: str, path: str, body: Any = None, user: User | None = None, **query: str
    ) -> Response:
        data = b"" if body is None else json.dumps(body).encode()
        return self.api(Request(method, f"/api/posts{path}", query=query, body=data, user=user))

    def create(self, title: str = "Title") -> str:
        answer = self.call("POST", "", {"title": title, "content": "Content"}, self.ada)
        self.assertEqual(answer.status, 201)
        return str(answer.json()["id"])

    def test_create_and_show(self) -> None:
        post = self.call("GET", f"/{self.create()}").json()
        self.assertEqual((post["title"], post["authorId"]), ("Title", self.ada.id))

    def test_list_by_pages(self) -> None:
        for number in range(5):
            self.create(f"Post {number}")
        answer = self.call("GET", "", limit="2", page="3").json()
        self.assertEqual((len(answer["items"]), answer["total"]), (1, 5))

    def test_update(self) -> None:
        post_id = self.create()
        answer = self.call("PUT", f"/{post_id}", {"title": "New", "content": "Text"}, self.ada)
        self.assertEqual((answer.status, answer.json()["title"]), (200, "New"))

    def test_delete(self) -> None:
        post_id = self.create()
        self.assertEqual(self.call("DELETE", f"/{post_id}", user=self.ada).status, 204)
        self.assertEqual(self.call("GET", f"/{post_id}").status, 404)

    def test_an_invalid_body_names_its_fields(self) -> None:
        answer = self.call("POST", "", {"title": " ", "content": 7}, self.ada)
        self.assertEqual(answer.status, 400)
        self.assertEqual(set(answer.json()["error"]["fields"]), {"title", "content"})
        self.assertEqual(self.call("POST", "", {"title": "x" * 201, "content": "c"}, self.ada).status, 400)

    def test_what_is_not_json_is_400(self) -> None:
        request = Request("POST", "/api/posts", body=b"{", user=self.ada)
        self.assertEqual(self.api(request).json()["error"]["code"], "bad_json")

    def test_unknown_and_invalid_ids(self) -> None:
        self.assertEqual(self.call("GET", f"/{new_id()}").status, 404)
        self.assertEqual(self.call("GET", "/seven").status, 400)
        self.assertEqual(self.call("GET", "", limit="1000").status, 400)

    def test_changes_need_the_author(self) -> None:
        eve = self.repos.users.add("eve@example.org", "hash", "Eve")
        post_id = self.create()
        self.assertEqual(self.call("DELETE", f"/{post_id}").status, 401)
        self.assertEqual(self.call("DELETE", f"/{post_id}", user=eve).status, 403)
