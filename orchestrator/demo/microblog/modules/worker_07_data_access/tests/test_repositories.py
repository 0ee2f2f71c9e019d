"""The repositories on sqlite3."""

import sqlite3
import unittest
from pathlib import Path

from microblog.domain import Conflict, NotFound, Unavailable, new_id
from microblog.repositories.comments import CommentRepository
from microblog.repositories.posts import PostRepository
from microblog.repositories.users import UserRepository
from tests.fakes import SCHEMA

REAL = Path(__file__).parent.parent / "db" / "schema.sql"


class Repositories(unittest.TestCase):
    def setUp(self) -> None:
        self.connection = sqlite3.connect(":memory:")
        self.addCleanup(self.connection.close)
        self.connection.executescript(REAL.read_text() if REAL.exists() else SCHEMA)
        self.users = UserRepository(self.connection)
        self.posts = PostRepository(self.connection)
        self.comments = CommentRepository(self.connection)
        self.ada = self.users.add("ada@example.org", "hash", "Ada")

    def test_a_user_is_found_by_id_and_by_address(self) -> None:
        self.assertEqual(self.users.get(self.ada.id), self.ada)
        self.assertEqual(self.users.by_email("ada@example.org"), self.ada)
        self.assertIsNone(self.users.by_email("no@example.org"))

    def test_an_address_that_is_taken_is_a_conflict(self) -> None:
        with self.assertRaises(Conflict):
            self.users.add("ada@example.org", "hash", "Other")

    def test_what_is_not_there_is_not_found(self) -> None:
        for repository in (self.users, self.posts, self.comments):
            with self.assertRaises(NotFound):
                repository.get(new_id())
            with self.assertRaises(NotFound):
                repository.delete(new_id())

    def test_a_post_of_nobody_is_not_found(self) -> None:
        with self.assertRaises(NotFound):
            self.posts.add(new_id(), "t", "c")

    def test_posts_come_newest_first_by_pages(self) -> None:
        for number in range(5):
            self.posts.add(self.ada.id, f"Post {number}", "c")
        items, total = self.posts.page(1, 2)
        self.assertEqual(([post.title for post in items], total), (["Post 3", "Post 2"], 5))

    def test_a_post_is_updated(self) -> None:
        post = self.posts.add(self.ada.id, "old", "c")
        self.assertEqual(self.posts.update(post.id, "new", "d").title, "new")
        self.assertGreaterEqual(self.posts.get(post.id).updated_at, post.updated_at)

    def test_search_takes_every_character_as_it_is(self) -> None:
        self.posts.add(self.ada.id, "100% sure", "c")
        self.posts.add(self.ada.id, "1000 things", "Snake_case")
        self.assertEqual(len(self.posts.search("100")), 2)
        self.assertEqual([post.title for post in self.posts.search("100%")], ["100% sure"])
        self.assertEqual([post.title for post in self.posts.search("snake_CASE")], ["1000 things"])

    def test_replies_of_replies_are_found_and_deleted(self) -> None:
        post = self.posts.add(self.ada.id, "t", "c")
        first = self.comments.add(post.id, self.ada.id, "1", None)
        second = self.comments.add(post.id, self.ada.id, "2", first.id)
        third = self.comments.add(post.id, self.ada.id, "3", second.id)
        other = self.comments.add(post.id, self.ada.id, "4", None)
        self.assertEqual(self.comments.replies(first.id), [second, third])
        self.comments.delete(first.id)
        self.assertEqual(self.comments.for_post(post.id), [other])

    def test_a_user_s_posts_and_comments_go_along(self) -> None:
        post = self.posts.add(self.ada.id, "t", "c")
        self.comments.add(post.id, self.ada.id, "1", None)
        self.users.delete(self.ada.id)
        self.assertEqual(self.posts.page(0, 10), ([], 0))

    def test_a_database_that_is_gone_is_unavailable(self) -> None:
        self.connection.close()
        with self.assertRaises(Unavailable):
            self.users.get(self.ada.id)
