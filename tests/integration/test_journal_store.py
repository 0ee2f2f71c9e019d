"""The journal on a real disk: order, durability, kills, full disks, damaged files, requests."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.errors import JournalError
from orchestrator.journal import database
from orchestrator.journal.store import Journal, add_request, read_events
from orchestrator.model.event import Event, EventKind

AT = datetime(2026, 11, 23, 19, 30, 5, 123456, tzinfo=UTC)


def message(text: str, worker_id: str = "w") -> Event:
    return Event(kind=EventKind.AGENT_MESSAGE, at=AT, worker_id=worker_id, attempt=1, data={"text": text})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    with closing(Journal.create(path)) as journal:
        yield journal


def test_events_come_back_as_they_were_in_order(journal: Journal) -> None:
    strange = {"text": "\x1b[31mé\u2028\x00\udc80", "n": [1, 2.5, None, True], "deep": {"a": {"b": "]"}}}
    journal.append(Event(kind=EventKind.AGENT_MESSAGE, at=AT, worker_id="w", attempt=2, data=strange))
    journal.append(message("second"))
    assert journal.append_durable(Event(kind=EventKind.RUN_STOPPING, at=AT)).result(10) == 3
    first, second, third = read_events(journal.path)
    assert (first.seq, first.kind, first.at, first.worker_id, first.attempt) == (
        1,
        EventKind.AGENT_MESSAGE,
        AT,
        "w",
        2,
    )
    assert first.data == strange
    assert second.data == {"text": "second"}
    assert (third.worker_id, third.attempt, third.data) == (None, None, {})
    assert read_events(journal.path, after=2) == [third]


def test_an_event_is_saved_soon_without_being_asked(journal: Journal) -> None:
    journal.append(message("alone"))
    soon = threading.Event()
    for _ in range(500):
        if read_events(journal.path):
            return
        soon.wait(0.01)
    pytest.fail("the event was not written within 5 s")


def test_many_threads_lose_nothing_and_keep_their_own_order(path: Path) -> None:
    journal = Journal.create(path)
    threads = [
        threading.Thread(
            target=lambda name=f"w{n}": [journal.append(message(str(i), name)) for i in range(2000)]
        )
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    events = read_events(path)
    assert [event.seq for event in events] == list(range(1, 16001))
    for n in range(8):
        assert [e.data["text"] for e in events if e.worker_id == f"w{n}"] == [str(i) for i in range(2000)]


def test_close_saves_the_rest_ends_the_thread_and_may_be_called_again(path: Path) -> None:
    journal = Journal.create(path)
    journal.append(message("last"))
    journal.close()
    journal.close()
    assert [event.data["text"] for event in read_events(path)] == ["last"]
    assert not [thread for thread in threading.enumerate() if thread.name == "journal"]
    assert {file.name for file in path.parent.iterdir()} <= {"journal.db", "journal.db-wal", "journal.db-shm"}
    with pytest.raises(JournalError, match="closed"):
        journal.append(message("too late"))


def test_a_closed_journal_can_be_opened_again_and_goes_on_counting(path: Path) -> None:
    with closing(Journal.create(path)) as journal:
        journal.append(message("a"))
    with closing(Journal(path)) as journal:
        assert journal.append_durable(message("b")).result(10) == 2
    assert [event.data["text"] for event in read_events(path)] == ["a", "b"]


def test_only_its_owner_can_read_it(journal: Journal) -> None:
    journal.append_durable(message("a")).result(10)
    for file in journal.path.parent.iterdir():
        assert file.stat().st_mode & 0o077 == 0, file


def test_data_that_is_no_json_is_refused_at_once(journal: Journal) -> None:
    with pytest.raises(TypeError):
        journal.append(Event(kind=EventKind.AGENT_MESSAGE, at=AT, data={"text": b"bytes"}))


def test_a_durable_commit_is_full_and_the_file_is_strict(journal: Journal) -> None:
    assert journal._connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert journal._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    with pytest.raises(sqlite3.IntegrityError):
        journal._connection.execute("INSERT INTO events VALUES ('x', 'at', 'kind', NULL, NULL, '{}')")


PRELUDE = """
import resource, sys
from datetime import UTC, datetime
from pathlib import Path
from orchestrator.errors import JournalError
from orchestrator.journal.store import Journal, read_events
from orchestrator.model.event import Event, EventKind

def message(text):
    return Event(kind=EventKind.AGENT_MESSAGE, at=datetime.now(UTC), worker_id="w", data={"text": text})

journal = Journal.create(Path(sys.argv[1]))
"""
WRITER = """
number = 0
while True:
    for _ in range(20):
        number += 1
        journal.append(message(str(number)))
    number += 1
    seq = journal.append_durable(message(str(number))).result()
    assert seq == number
    print(seq, flush=True)
"""


def _writer(path: Path, script: str) -> subprocess.Popen[str]:
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, "-c", script, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )


def test_sigkill_loses_no_event_that_was_acknowledged(tmp_path: Path) -> None:
    for number in range(20):
        path = tmp_path / f"{number}.db"
        with _writer(path, PRELUDE + WRITER) as writer:
            assert writer.stdout
            acknowledged = [writer.stdout.readline() for _ in range(1 + 7 * number)]
            writer.send_signal(signal.SIGKILL)
            acknowledged += writer.stdout.readlines()
        last = int([line for line in acknowledged if line.endswith("\n")][-1])
        texts = [event.data["text"] for event in read_events(path)]
        assert len(texts) >= last
        assert texts == [str(i + 1) for i in range(len(texts))]
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_another_process_reads_while_it_is_written(path: Path) -> None:
    with _writer(path, PRELUDE + WRITER) as writer:
        assert writer.stdout
        for _ in range(20):
            seq = int(writer.stdout.readline())
            assert read_events(path, after=seq - 1)[0].seq == seq
        writer.kill()
        writer.stdout.read()


FULL_DISK = """
path = journal.path
journal.append_durable(message("before")).result(10)
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
saved = journal.append_durable(message("x" * 300_000))
while not journal.fault:
    assert not saved.done()
assert str(path) in journal.fault, journal.fault
journal.append(message("kept meanwhile"))
if sys.argv[1].endswith("freed.db"):
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert saved.result(10) == 2
    journal.close()
    assert journal.fault is None
    assert [len(event.data["text"]) for event in read_events(path)] == [6, 300_000, 14]
else:
    try:
        journal.close()
    except JournalError as err:
        assert str(path) in str(err) and err.hint
    else:
        raise AssertionError("close() kept the loss to itself")
    assert isinstance(saved.exception(0), JournalError)
    assert [event.data["text"] for event in read_events(path)] == ["before"]
print("done")
"""


@pytest.mark.parametrize("name", ["freed.db", "full.db"])
def test_a_write_that_fails_is_tried_again_until_close_and_then_told(tmp_path: Path, name: str) -> None:
    with _writer(tmp_path / name, PRELUDE + FULL_DISK) as writer:
        out, _ = writer.communicate(timeout=60)
    assert (writer.returncode, out) == (0, "done\n")


def test_a_full_disk_is_called_so(path: Path) -> None:
    database.create(path)
    with closing(database.open_writer(path)) as connection:
        connection.execute(f"PRAGMA max_page_count={connection.execute('PRAGMA page_count').fetchone()[0]}")
        with pytest.raises(JournalError, match="disk is full"), database.said_of(path):
            connection.execute(
                "INSERT INTO requests VALUES (1, 'a', 'b', 'c', json_quote(hex(zeroblob(9999))))"
            )


def test_files_that_are_no_journal_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="no journal"):
        read_events(tmp_path / "missing.db")
    (tmp_path / "text.db").write_text("not a database at all, " * 100)
    with pytest.raises(JournalError, match="damaged or is no journal"):
        read_events(tmp_path / "text.db")
    (tmp_path / "empty.db").touch()
    with pytest.raises(JournalError, match="not a journal of orchestrator"):
        read_events(tmp_path / "empty.db")
    with closing(sqlite3.connect(tmp_path / "foreign.db")) as foreign:
        foreign.execute("CREATE TABLE events (seq)")
    with pytest.raises(JournalError, match="not a journal of orchestrator"):
        Journal(tmp_path / "foreign.db")


def test_a_truncated_journal_is_called_damaged(journal: Journal) -> None:
    for number in range(500):
        journal.append(message(f"{number}" * 50))
    journal.close()
    os.truncate(journal.path, journal.path.stat().st_size // 2)
    with pytest.raises(JournalError, match="damaged"):
        read_events(journal.path)


def test_a_newer_format_and_an_unknown_event_ask_for_a_newer_version(journal: Journal) -> None:
    journal._connection.execute(
        "INSERT INTO events VALUES (1, '2026-11-23T00:00:00+00:00', 'moon.landed', NULL, NULL, '{}')"
    )
    with pytest.raises(JournalError, match=r"moon\.landed") as caught:
        read_events(journal.path)
    assert caught.value.hint and "newer" in caught.value.hint
    journal._connection.execute("PRAGMA user_version=99")
    with pytest.raises(JournalError, match="format 99"):
        read_events(journal.path)


def test_an_existing_journal_is_never_overwritten(journal: Journal) -> None:
    with pytest.raises(JournalError, match="exists already"):
        Journal.create(journal.path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="cannot create the journal"):
        Journal.create(tmp_path / "missing" / "journal.db")


def test_requests_of_another_process_arrive_once(journal: Journal) -> None:
    assert journal.new_requests() == []
    script = f"""
from pathlib import Path
from orchestrator.journal.store import add_request
print(add_request(Path({str(journal.path)!r}), "stop", {{"now": True}}))
"""
    with _writer(journal.path, script) as other:
        out, _ = other.communicate(timeout=60)
    assert out == "1\n"
    (request,) = journal.new_requests()
    assert (request.id, request.kind, request.data) == (1, "stop", {"now": True})
    assert f"(pid {other.pid})" in request.who
    assert request.at.tzinfo is not None
    assert journal.new_requests() == []
    assert add_request(journal.path, "stop", {"now": False}) == 2
    assert [request.data for request in journal.new_requests()] == [{"now": False}]


def test_requests_and_events_do_not_disturb_each_other(journal: Journal) -> None:
    def ask() -> None:
        for _ in range(50):
            add_request(journal.path, "stop", {"now": False})

    asking = threading.Thread(target=ask)
    asking.start()
    numbers = []
    while asking.is_alive():
        numbers.append(journal.append_durable(message("x")).result(10))
    asking.join()
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(journal.new_requests()) == 50
    assert journal.fault is None


def test_a_copy_of_the_file_alone_reads_after_close(journal: Journal, tmp_path: Path) -> None:
    journal.append(message("a"))
    journal.close()
    shutil.copy(journal.path, tmp_path / "copy.db")
    assert len(read_events(tmp_path / "copy.db")) == 1
