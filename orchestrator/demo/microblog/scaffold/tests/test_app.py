"""The whole site: what is merged works together, and what is not merged is named."""

import importlib.util
import io
import json
import re
import unittest
from pathlib import Path

from microblog.app import build, wsgi
from microblog.web import Request
from tests.fakes import repositories

ROOT = Path(__file__).parent.parent
MODULES = (
    "ui.post_list ui.post_summary ui.login_form ui.signup_form api.posts api.auth api.comments repositories.users"
).split()
COMPLETE = (ROOT / "db/schema.sql").exists() and all(
    importlib.util.find_spec(f"microblog.{name}") for name in MODULES
)


class Scaffold(unittest.TestCase):
    def test_the_site_answers_whatever_is_merged(self) -> None:
        site = build(repositories(), {"secret": "s"})
        self.assertIn(site(Request("GET", "/")).status, {200, 503})
        self.assertEqual(site(Request("GET", "/nowhere")).status, 404)
        self.assertEqual(site(Request("DELETE", "/")).status, 405)


@unittest.skipUnless(COMPLETE, "not every module is merged yet")
class Site(unittest.TestCase):
    def setUp(self) -> None:
        from microblog.__main__ import add_samples, open_repositories

        self.repos = open_repositories()
        self.addCleanup(self.repos.users.close)
        add_samples(self.repos)
        self.application = wsgi(build(self.repos, {"secret": "s"}))

    def call(self, method: str, path: str, body: bytes = b"", cookie: str = "") -> tuple[int, dict, str]:
        started = []
        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_COOKIE": cookie,
            "wsgi.input": io.BytesIO(body),
        }
        content = b"".join(self.application(environ, lambda *args: started.append(args)))
        return int(started[0][0].split()[0]), dict(started[0][1]), content.decode()

    def test_the_home_page_shows_the_posts(self) -> None:
        status, headers, page = self.call("GET", "/")
        self.assertEqual((status, headers["Content-Type"]), (200, "text/html; charset=utf-8"))
        self.assertIn("Eight at once", page)
        self.assertIn("Read more", page)

    def test_a_visitor_signs_up_logs_in_and_comments(self) -> None:
        post_id = re.search(r"/posts/([0-9a-f-]{36})", self.call("GET", "/")[2])[1]
        place = f"/posts/{post_id}/comments"
        self.assertEqual(self.call("POST", place, b"content=Hello")[1]["Location"], "/login")
        person = b"name=Linus&email=linus%40example.org&password=penguin42&confirmation=penguin42"
        self.assertEqual(self.call("POST", "/signup", person)[0], 303)
        self.assertEqual(self.call("POST", "/signup", person)[0], 409)
        status, headers, _ = self.call("POST", "/login", person)
        self.assertEqual(status, 303)
        cookie = headers["Set-Cookie"].partition(";")[0]
        self.assertEqual(self.call("POST", place, b"content=Hello+%3Cb%3E", cookie)[0], 303)
        page = self.call("GET", f"/posts/{post_id}")[2]
        self.assertIn("Hello &lt;b&gt;", page)
        self.assertIn("Linus", page)

    def test_a_wrong_password_is_said_on_the_form(self) -> None:
        status, _, page = self.call("POST", "/login", b"email=ada%40example.org&password=wrong1234")
        self.assertEqual(status, 401)
        self.assertIn('role="alert"', page)

    def test_an_unknown_post_is_a_404_in_the_contract_s_format(self) -> None:
        status, _, body = self.call("GET", "/api/posts/00000000-0000-4000-8000-000000000000")
        self.assertEqual(status, 404)
        self.assertEqual(json.loads(body)["error"]["code"], "not_found")
