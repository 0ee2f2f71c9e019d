"""Serves the site on this machine, with a few sample posts: `python -m microblog [PORT]`."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path
from wsgiref.simple_server import make_server

from microblog.app import build, wsgi
from microblog.domain import Repositories

SCHEMA = Path(__file__).parent.parent / "db" / "schema.sql"


def open_repositories(database: str = ":memory:") -> Repositories:
    """Return repositories on a fresh database."""
    from microblog.repositories.comments import CommentRepository
    from microblog.repositories.posts import PostRepository
    from microblog.repositories.users import UserRepository

    connection = sqlite3.connect(database, check_same_thread=False)
    connection.executescript(SCHEMA.read_text(encoding="utf-8"))
    return Repositories(UserRepository(connection), PostRepository(connection), CommentRepository(connection))


def add_samples(repos: Repositories) -> None:
    """Write what a newcomer sees first. Log in as ada@example.org with `analytical1`."""
    from microblog.api.auth_controller import hash_password

    ada = repos.users.add("ada@example.org", hash_password("analytical1"), "Ada")
    grace = repos.users.add("grace@example.org", hash_password("compilers1"), "Grace")
    post = repos.posts.add(
        ada.id, "Eight at once", "Eight agents wrote this site, each in a branch of its own."
    )
    repos.posts.add(grace.id, "It merges", "Thirty-one files, no conflict, because a contract came first.")
    first = repos.comments.add(post.id, grace.id, "How long did it take?", None)
    repos.comments.add(post.id, ada.id, "About as long as the slowest of them.", first.id)


def main() -> None:
    """Serve until interrupted."""
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    repos = open_repositories()
    add_samples(repos)
    with make_server("127.0.0.1", port, wsgi(build(repos, {"secret": "only-for-this-demo"}))) as server:
        print(f"MicroBlog is on http://127.0.0.1:{server.server_port}")
        server.serve_forever()


if __name__ == "__main__":
    main()
