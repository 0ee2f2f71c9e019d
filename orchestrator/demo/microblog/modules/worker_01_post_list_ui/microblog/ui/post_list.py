"""Renders a list of posts."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from microblog.ui.post_summary import PostSummary

EMPTY = '<p class="meta">Nobody has written anything yet. Come back soon.</p>'


def render(summaries: Sequence[PostSummary]) -> str:
    """Return one card for each post, or a friendly text."""
    return "\n".join(map(_card, summaries)) or EMPTY


def _card(post: PostSummary) -> str:
    return (
        f'<article class="card"><h2>{escape(post.title)}</h2>'
        f'<p class="meta">{escape(post.author)}, <time datetime="{escape(post.date)}">{escape(post.date)}</time></p>'
        f"<p>{escape(post.excerpt)}</p>"
        f'<p><a href="/posts/{escape(post.id)}">Read more</a></p></article>'
    )
