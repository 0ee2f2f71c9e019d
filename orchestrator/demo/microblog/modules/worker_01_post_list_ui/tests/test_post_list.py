"""The list of posts."""

import unittest

from microblog.domain import Post, User
from microblog.ui.post_list import EMPTY, render
from microblog.ui.post_summary import PostSummary, summarise

ADA = User("u1", "ada@example.org", "hash", "Ada <3", "2026-01-01T00:00:00+00:00")


def _post(content: str = "text") -> Post:
    return Post("p1", "A & B", content, "u1", "2026-02-03T04:05:06+00:00", "2026-02-03T04:05:06+00:00")


class PostList(unittest.TestCase):
    def test_one_card_for_each_post(self) -> None:
        posts = [PostSummary(str(number), "t", "a", "2026-01-01", "e") for number in range(5)]
        self.assertEqual(render(posts).count('class="card"'), 5)

    def test_without_posts_it_says_something_friendly(self) -> None:
        self.assertEqual(render([]), EMPTY)

    def test_read_more_leads_to_the_post(self) -> None:
        self.assertIn('<a href="/posts/p1">Read more</a>', render([summarise(_post(), ADA)]))

    def test_everything_is_escaped(self) -> None:
        shown = render([summarise(_post("<script>"), ADA)])
        self.assertIn("A &amp; B", shown)
        self.assertIn("Ada &lt;3", shown)
        self.assertNotIn("<script>", shown)

    def test_an_excerpt_ends_at_a_word(self) -> None:
        excerpt = summarise(_post("word " * 100), ADA).excerpt
        self.assertLessEqual(len(excerpt), 141)
        self.assertTrue(excerpt.endswith("word\u2026"))

    def test_a_date_is_a_day(self) -> None:
        self.assertEqual(summarise(_post(), ADA).date, "2026-02-03")
