"""The journal's SQLite file: making it, opening it, its format's version, its errors in words."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib import resources
from pathlib import Path

from orchestrator.errors import JournalError

_APPLICATION_ID = 0x6F726368  # "orch"; tells our file from any other SQLite file
BUSY_TIMEOUT_S = 5.0


def create(path: Path) -> None:
    """Make an empty journal at `path`. It appears there complete, or not at all."""
    if path.exists():
        raise JournalError(f"{path} exists already", hint="give each run a folder of its own")
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with said_of(path), closing(_connect(draft, "rw")) as connection:
            connection.execute(f"PRAGMA application_id={_APPLICATION_ID}")
            connection.execute("PRAGMA journal_mode=WAL")
            _migrate(connection)
        draft.rename(path)
        _sync_folder(path.parent)
    except OSError as err:
        raise JournalError(
            f"cannot create the journal {path}: {err.strerror}", hint="make its folder writable"
        ) from err
    finally:
        draft.unlink(missing_ok=True)


def open_writer(path: Path) -> sqlite3.Connection:
    """Open an existing journal for writing; what is committed is on the disk."""
    connection = _connect(path, "rw")
    with _closed_on_fault(path, connection):
        _check_format(path, connection)
        connection.execute("PRAGMA synchronous=FULL")
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """Open an existing journal for reading, whether its writer lives, ended or was killed."""
    connection = _connect(path, "ro")
    with _closed_on_fault(path, connection):
        _check_format(path, connection)
    return connection


@contextmanager
def said_of(path: Path) -> Iterator[None]:
    """Turn an error of SQLite into one that names the journal and says what to do."""
    try:
        yield
    except sqlite3.Error as err:
        raise explain(path, err) from err


def explain(path: Path, err: sqlite3.Error) -> JournalError:
    """Say what went wrong with the journal at `path`, and what to do."""
    code = getattr(err, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return JournalError(f"cannot write the journal {path}: the disk is full", hint="free some space")
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return JournalError(
            f"the journal {path} is damaged or is no journal: {err}",
            hint="the workers' branches and logs are not touched by this; look at them directly",
        )
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return JournalError(f"the journal {path} is locked by another process", hint="try again")
    return JournalError(
        f"cannot use the journal {path}: {err}", hint="check the disk and the file's permissions"
    )


@contextmanager
def _closed_on_fault(path: Path, connection: sqlite3.Connection) -> Iterator[None]:
    try:
        with said_of(path):
            yield
    except JournalError:
        connection.close()
        raise


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    if not path.is_file():
        raise JournalError(f"there is no journal {path}", hint="`orchestrator list` shows the runs there are")
    with said_of(path):
        return sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,
        )


def _migrations() -> list[str]:
    folder = resources.files("orchestrator.journal") / "migrations"
    return sorted(file.name for file in folder.iterdir() if file.name.endswith(".sql"))


def _migrate(connection: sqlite3.Connection) -> None:
    folder = resources.files("orchestrator.journal") / "migrations"
    done = connection.execute("PRAGMA user_version").fetchone()[0]
    for number, name in enumerate(_migrations()[done:], start=done + 1):
        script = (folder / name).read_text(encoding="utf-8")
        connection.executescript(f"BEGIN;\n{script}\nPRAGMA user_version={number};\nCOMMIT;")


def _check_format(path: Path, connection: sqlite3.Connection) -> None:
    if connection.execute("PRAGMA application_id").fetchone()[0] != _APPLICATION_ID:
        raise JournalError(f"{path} is not a journal of orchestrator", hint="check the path")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    known = len(_migrations())
    if version > known:
        raise JournalError(
            f"the journal {path} has format {version}; this version of orchestrator knows up to {known}",
            hint="use the orchestrator that wrote it, or a newer one",
        )


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
