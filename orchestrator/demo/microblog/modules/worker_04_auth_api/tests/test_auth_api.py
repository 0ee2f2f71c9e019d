"""The authentication API."""

import json
import unittest
from typing import Any

from microblog.api.auth import build
from microblog.api.auth_controller import tokens_of
from microblog.api.auth_middleware import middleware
from microblog.web import HttpError, Request, Response, error_response
from tests.fakes import repositories

ADA = {"email": "Ada@example.org", "password": "analytical1", "name": "Ada"}


class Auth(unittest.TestCase):
    def setUp(self) -> None:
        self.settings: dict[str, Any] = {"secret": "s"}
        self.repos = repositories()
        self.api = middleware(build(self.repos, self.settings), self.repos, self.settings)

    def call(self, method: str, name: str, body: Any = None, token: str = "") -> Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        request = Request(method, f"/api/auth/{name}", headers=headers, body=json.dumps(body or {}).encode())
        try:
            return self.api(request)
        except HttpError as error:
            return error_response(error)

    def login(self) -> str:
        self.call("POST", "signup", ADA)
        return str(self.call("POST", "login", ADA).json()["token"])

    def test_sign_up_answers_without_the_password(self) -> None:
        answer = self.call("POST", "signup", ADA)
        self.assertEqual((answer.status, answer.json()["email"]), (201, "ada@example.org"))
        self.assertNotIn("password", answer.body)

    def test_an_address_has_one_account(self) -> None:
        self.call("POST", "signup", ADA)
        self.assertEqual(self.call("POST", "signup", {**ADA, "email": "ADA@example.org"}).status, 409)

    def test_a_weak_password_and_a_bad_address_are_named(self) -> None:
        answer = self.call("POST", "signup", {"email": "ada", "password": "short", "name": ""})
        self.assertEqual(set(answer.json()["error"]["fields"]), {"email", "password", "name"})

    def test_a_password_is_stored_as_a_salted_hash(self) -> None:
        self.call("POST", "signup", ADA)
        self.call("POST", "signup", {**ADA, "email": "two@example.org"})
        hashes = {user.password for user in self.repos.users.rows.values()}
        self.assertEqual(len(hashes), 2)
        self.assertNotIn("analytical1", "".join(hashes))

    def test_a_wrong_password_is_401(self) -> None:
        self.call("POST", "signup", ADA)
        self.assertEqual(self.call("POST", "login", {**ADA, "password": "else"}).status, 401)
        self.assertEqual(self.call("POST", "login", {"email": "no@example.org"}).status, 401)

    def test_a_token_says_who_it_is(self) -> None:
        answer = self.call("GET", "me", token=self.login())
        self.assertEqual((answer.status, answer.json()["name"]), (200, "Ada"))

    def test_without_a_token_or_with_a_forged_one_it_is_401(self) -> None:
        head, claims, _ = self.login().split(".")
        for token in ("", "x", "a.b.c", f"{head}.{claims}.AAAA", f"{head}.{claims}."):
            self.assertEqual(self.call("GET", "me", token=token).status, 401, token)

    def test_a_token_expires(self) -> None:
        self.login()
        user = next(iter(self.repos.users.rows))
        token = tokens_of(self.settings).issue(user, lifetime=-1)
        self.assertEqual(self.call("GET", "me", token=token).status, 401)

    def test_after_logout_the_token_is_refused(self) -> None:
        token = self.login()
        self.assertEqual(self.call("POST", "logout", token=token).status, 204)
        self.assertEqual(self.call("GET", "me", token=token).status, 401)
