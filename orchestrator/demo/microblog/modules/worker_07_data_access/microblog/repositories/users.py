"""Users in the database."""

from __future__ import annotations

from dataclasses import astuple

from microblog.domain import User, new_id, now
from microblog.repositories.interfaces import SqliteRepository


class UserRepository(SqliteRepository[User]):
    """Finds and keeps users."""

    table, row, columns = "users", User, "id, email, password, name, created_at"

    def add(self, email: str, password: str, name: str) -> User:
        """Keep a new user; Conflict when the address is taken."""
        user = User(new_id(), email, password, name, now())
        self._insert(astuple(user))
        return user

    def by_email(self, email: str) -> User | None:
        """Return the user with this address."""
        return next(iter(self._rows("WHERE email = ?", [email])), None)
