"""The schema creates what the contract says, and the migration equals it."""

import sqlite3
import unittest
from pathlib import Path

DB = Path(__file__).parent.parent / "db"


def _objects(path: Path) -> dict[str, str]:
    connection = sqlite3.connect(":memory:")
    try:
        connection.executescript(path.read_text(encoding="utf-8"))
        return dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
    finally:
        connection.close()


@unittest.skipUnless((DB / "schema.sql").exists(), "the schema is not merged yet")
class Schema(unittest.TestCase):
    def test_three_tables_with_four_foreign_keys(self) -> None:
        objects = _objects(DB / "schema.sql")
        self.assertLessEqual({"users", "posts", "comments"}, set(objects))
        self.assertEqual(sum(sql.upper().count("REFERENCES") for sql in objects.values()), 4)

    def test_every_foreign_key_and_the_creation_time_are_indexed(self) -> None:
        indexes = " ".join(sql for name, sql in _objects(DB / "schema.sql").items() if "index" in name)
        for column in ("author_id", "post_id", "parent_id", "created_at"):
            self.assertIn(column, indexes)

    def test_the_migration_equals_the_schema(self) -> None:
        self.assertEqual(_objects(DB / "migrations/001_initial_schema.sql"), _objects(DB / "schema.sql"))
