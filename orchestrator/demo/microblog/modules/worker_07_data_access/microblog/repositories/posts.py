"""Posts in the database."""

from __future__ import annotations

from dataclasses import astuple

from microblog.domain import Post, new_id, now
from microblog.repositories.interfaces import SqliteRepository, mapped_errors

_NEWEST = "ORDER BY created_at DESC, rowid DESC"


class PostRepository(SqliteRepository[Post]):
    """Finds and keeps posts."""

    table, row, columns = "posts", Post, "id, title, content, author_id, created_at, updated_at"

    def add(self, author_id: str, title: str, content: str) -> Post:
        """Keep a new post."""
        moment = now()
        post = Post(new_id(), title, content, author_id, moment, moment)
        self._insert(astuple(post))
        return post

    def update(self, post_id: str, title: str, content: str) -> Post:
        """Change a post."""
        self.get(post_id)
        values = [title, content, now(), post_id]
        self._change("UPDATE posts SET title = ?, content = ?, updated_at = ? WHERE id = ?", values)
        return self.get(post_id)

    def page(self, offset: int, limit: int) -> tuple[list[Post], int]:
        """Return a part of all posts, newest first, and how many there are."""
        posts = self._rows(f"{_NEWEST} LIMIT ? OFFSET ?", [limit, offset])
        with mapped_errors():
            return posts, self._connection.execute("SELECT count(*) FROM posts").fetchone()[0]

    def search(self, text: str) -> list[Post]:
        """Return the posts that contain a text, in title or content, whatever its case."""
        pattern = "%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        clause = "WHERE title LIKE ? ESCAPE '\\' OR content LIKE ? ESCAPE '\\' "
        return self._rows(clause + _NEWEST, [pattern, pattern])
