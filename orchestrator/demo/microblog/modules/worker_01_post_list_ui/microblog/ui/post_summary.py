"""What a list shows of a post."""

from __future__ import annotations

from dataclasses import dataclass

from microblog.domain import Post, User

EXCERPT = 140


@dataclass(frozen=True)
class PostSummary:
    """A post as a card shows it."""

    id: str
    title: str
    author: str
    date: str
    excerpt: str


def summarise(post: Post, author: User) -> PostSummary:
    """Return the summary of a post."""
    return PostSummary(post.id, post.title, author.name, post.created_at[:10], _excerpt(post.content))


def _excerpt(text: str) -> str:
    words = " ".join(text.split())
    if len(words) <= EXCERPT:
        return words
    cut = words[:EXCERPT]
    return (cut.rpartition(" ")[0] or cut[:-1]) + "\u2026"
