"""Comments in the database."""

from __future__ import annotations

from dataclasses import astuple

from microblog.domain import Comment, new_id, now
from microblog.repositories.interfaces import SqliteRepository

_REPLIES = """WHERE id IN (
    WITH RECURSIVE below (id) AS (
        SELECT id FROM comments WHERE parent_id = ?
        UNION SELECT comments.id FROM comments JOIN below ON comments.parent_id = below.id)
    SELECT id FROM below) ORDER BY created_at, rowid"""


class CommentRepository(SqliteRepository[Comment]):
    """Finds and keeps comments; deleting one takes its replies along."""

    table, row, columns = "comments", Comment, "id, content, post_id, author_id, parent_id, created_at"

    def add(self, post_id: str, author_id: str, content: str, parent_id: str | None) -> Comment:
        """Keep a new comment."""
        comment = Comment(new_id(), content, post_id, author_id, parent_id, now())
        self._insert(astuple(comment))
        return comment

    def for_post(self, post_id: str) -> list[Comment]:
        """Return all comments of a post, oldest first."""
        return self._rows("WHERE post_id = ? ORDER BY created_at, rowid", [post_id])

    def replies(self, comment_id: str) -> list[Comment]:
        """Return every reply to a comment, and to its replies."""
        return self._rows(_REPLIES, [comment_id])
