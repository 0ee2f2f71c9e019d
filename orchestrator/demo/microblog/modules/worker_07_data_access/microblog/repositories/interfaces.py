"""What every repository can do, and how database errors become the domain's errors."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, Protocol, TypeVar

from microblog.domain import Conflict, NotFound, Unavailable

Row = TypeVar("Row")
RowOut = TypeVar("RowOut", covariant=True)


class Repository(Protocol[RowOut]):
    """Finds and deletes rows by id."""

    def get(self, row_id: str) -> RowOut: ...

    def delete(self, row_id: str) -> None: ...


@contextmanager
def mapped_errors() -> Iterator[None]:
    """Turn the database's errors into the domain's."""
    try:
        yield
    except sqlite3.IntegrityError as err:
        if "FOREIGN KEY" in str(err):
            raise NotFound("what it refers to does not exist") from err
        raise Conflict("it is there already") from err
    except (sqlite3.OperationalError, sqlite3.ProgrammingError) as err:
        raise Unavailable("the database cannot be used") from err


class SqliteRepository(Generic[Row]):
    """Rows of one table, on a connection that is given."""

    table: str
    row: type[Row]
    columns: str

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        with mapped_errors():
            connection.execute("PRAGMA foreign_keys = ON")

    def get(self, row_id: str) -> Row:
        """Return the row with this id."""
        rows = self._rows("WHERE id = ?", [row_id])
        if not rows:
            raise NotFound(f"there is nothing with the id {row_id} in {self.table}")
        return rows[0]

    def delete(self, row_id: str) -> None:
        """Delete the row with this id, and whatever belongs to it."""
        self.get(row_id)
        self._change(f"DELETE FROM {self.table} WHERE id = ?", [row_id])

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _rows(self, clause: str, values: Sequence[Any] = ()) -> list[Row]:
        with mapped_errors():
            found = self._connection.execute(f"SELECT {self.columns} FROM {self.table} {clause}", values)
            return [self.row(*values) for values in found]

    def _insert(self, values: Sequence[Any]) -> None:
        marks = ", ".join("?" * len(values))
        self._change(f"INSERT INTO {self.table} ({self.columns}) VALUES ({marks})", values)

    def _change(self, statement: str, values: Sequence[Any]) -> None:
        with mapped_errors(), self._connection:
            self._connection.execute(statement, values)
