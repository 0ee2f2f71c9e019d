"""The JSON-lines log: whole lines from any thread, whatever the context holds."""

import io
import json
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import InputError
from orchestrator.logs import StructuredLogger


def _records(stream: io.StringIO) -> list[dict[str, Any]]:
    return [_strictly(line) for line in stream.getvalue().splitlines()]


def _strictly(line: str) -> dict[str, Any]:
    """Read as a strict reader does: no NaN, no key twice, no half surrogate."""

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(found)) == len(found), "a key is given twice"
        return dict(found)

    def no_constant(name: str) -> None:
        raise AssertionError(name)

    record: dict[str, Any] = json.loads(line, object_pairs_hook=pairs, parse_constant=no_constant)
    json.dumps(record, ensure_ascii=False).encode("utf-8")
    return record


def test_record_says_when_where_and_what() -> None:
    stream = io.StringIO()
    StructuredLogger("run", stream=stream, run_id="r1").info("started", workers=3)
    (record,) = _records(stream)
    at = datetime.fromisoformat(record.pop("at"))
    assert abs(datetime.now(UTC) - at) < timedelta(minutes=1)
    assert record == {"level": "INFO", "logger": "run", "event": "started", "run_id": "r1", "workers": 3}


def test_default_is_standard_error_and_never_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    StructuredLogger("run").warning("beware")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert _strictly(captured.err)["event"] == "beware"


def test_no_console_at_all_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", None)
    StructuredLogger("run").info("nobody reads this")


def test_threads_write_whole_lines_with_their_own_context(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    logger = StructuredLogger("run", path=path)
    ready = threading.Barrier(8)

    def work(worker: int) -> None:
        bound = logger.bind(worker_id=f"w{worker}", check=worker * 7)
        ready.wait()
        for number in range(500):
            bound.info("step", number=number, text=f"w{worker} " * 40)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    logger.close()
    records = [_strictly(line) for line in path.read_text().splitlines()]
    assert len(records) == 4000
    for record in records:
        worker = int(record["worker_id"][1:])
        assert record["check"] == worker * 7
        assert record["text"] == f"w{worker} " * 40
    seen = Counter((record["worker_id"], record["number"]) for record in records)
    assert set(seen.values()) == {1}
    for worker in range(8):
        numbers = [record["number"] for record in records if record["worker_id"] == f"w{worker}"]
        assert numbers == list(range(500))


@pytest.mark.parametrize("method", ["debug", "info", "warning", "error"])
def test_every_context_key_is_legal(method: str) -> None:
    stream = io.StringIO()
    logger = StructuredLogger("run", stream=stream, level="debug").bind(self=0, logger=0, name="bound")
    odd = {"level": 1, "message": 2, "event": 3, "at": 4, "self": 5, "msg": 6, "name": 7, "context": 8, "": 9}
    getattr(logger, method)("text", **odd)
    (record,) = _records(stream)
    assert record["event"] == "text"
    assert record["level"] == method.upper()
    free = {
        "level_": 1,
        "message": 2,
        "event_": 3,
        "at_": 4,
        "self": 5,
        "msg": 6,
        "name": 7,
        "context": 8,
        "": 9,
    }
    assert free.items() <= record.items()
    assert record["logger_"] == 0


def test_two_keys_never_end_in_one() -> None:
    stream = io.StringIO()
    StructuredLogger("run", stream=stream).info("x", level="a", level_="b", level__="c")
    (record,) = _records(stream)
    assert sorted(value for value in record.values() if value in ("a", "b", "c")) == ["a", "b", "c"]


class _Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no")


def _deep() -> list[Any]:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    return deep


def _cycle() -> dict[str, Any]:
    cycle: dict[str, Any] = {}
    cycle["me"] = cycle
    return cycle


ODD = {
    "bytes": b"\xff\0",
    "nan": float("nan"),
    "infinity": [float("inf")],
    "surrogate": "a\udc80b",
    "surrogate in a list": ["\ud800", {"\udfff": 1}],
    "cycle": _cycle(),
    "strange key": {(1, 2): 3},
    "set": {1},
    "object": object(),
    "unprintable": _Unprintable(),
    "unprintable inside": {"a": [_Unprintable()]},
    "huge number": 10**5000,
    "class": int,
    "lines": "a\nb\r\n\u2028c\x85d",
    "controls": "\x1b[31m\x9b\x7f\u202e",
    "deep": _deep(),
}


@pytest.mark.parametrize("value", ODD.values(), ids=list(ODD))
def test_no_value_breaks_a_line(value: object) -> None:
    stream = io.StringIO()
    StructuredLogger("run", stream=stream).info("odd", value=value)
    text = stream.getvalue()
    assert text.isascii() and text[:-1].isprintable() and text.endswith("\n")
    assert "value" in _strictly(text)


def test_values_keep_what_json_can_hold() -> None:
    stream = io.StringIO()
    values = {"text": "żółć 👍 \\ud800 \"'", "list": [1, 2.5, None, True], "map": {"a": {"b": ()}}}
    error = ValueError("bad")
    StructuredLogger("run", stream=stream).info("x", values=values, path=Path("a/b"), error=error)
    (record,) = _records(stream)
    assert record["values"] == {**values, "map": {"a": {"b": []}}}
    assert record["path"] == "a/b"
    assert record["error"] == "ValueError: bad"


def test_message_with_a_surrogate_or_a_newline_is_one_line() -> None:
    stream = io.StringIO()
    StructuredLogger("run", stream=stream).error("a\nb\udc80")
    assert [record["event"] for record in _records(stream)] == ["a\nb\ufffd"]


def test_level_holds_back_what_is_below() -> None:
    stream = io.StringIO()
    logger = StructuredLogger("run", stream=stream, level="warning")
    logger.debug("a")
    logger.info("b")
    logger.warning("c")
    logger.bind(x=1).info("d")
    assert [record["event"] for record in _records(stream)] == ["c"]


def test_unknown_level_is_an_input_error() -> None:
    with pytest.raises(InputError, match="loud"):
        StructuredLogger("run", level="loud")


def test_bind_leaves_its_parent_alone() -> None:
    stream = io.StringIO()
    parent = StructuredLogger("run", stream=stream, a=1)
    parent.bind(a=2, b=3).info("child")
    parent.info("parent")
    child, own = _records(stream)
    assert (child["a"], child["b"]) == (2, 3)
    assert own["a"] == 1 and "b" not in own


def test_worker_records() -> None:
    stream = io.StringIO()
    logger = StructuredLogger("run", stream=stream)
    logger.log_worker_spawn("w", "Add it")
    logger.log_worker_complete("w", True, 1.5, level="high", self=1)
    logger.log_worker_complete(worker_id="w", success=False, duration=2.0, message="m")
    logger.log_task_error("w", OSError("gone"), kind="io")
    spawned, done, failed, error = _records(stream)
    assert (spawned["worker_id"], spawned["task_name"]) == ("w", "Add it")
    assert (done["level"], done["success"], done["duration"], done["level_"]) == ("INFO", True, 1.5, "high")
    assert (failed["level"], failed["success"], failed["message"]) == ("WARNING", False, "m")
    assert (error["level"], error["error"], error["kind"]) == ("ERROR", "OSError: gone", "io")


def test_file_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    for number in range(2):
        logger = StructuredLogger("run", path=path)
        logger.info("x", number=number)
        logger.close()
        logger.info("after the end")
        logger.close()
    assert [json.loads(line)["number"] for line in path.read_text().splitlines()] == [0, 1]


class _Breaking(io.StringIO):
    broken = False

    def write(self, text: str, /) -> int:
        if self.broken:
            super().write(text[:10])
            raise OSError(28, "No space left on device")
        return super().write(text)


def test_lost_records_are_counted_and_told() -> None:
    stream = _Breaking()
    logger = StructuredLogger("run", stream=stream)
    logger.info("one")
    stream.broken = True
    logger.info("two")
    logger.info("three")
    stream.broken = False
    logger.info("four")
    logger.info("five")
    lines = stream.getvalue().splitlines()
    whole = [json.loads(line) for line in lines if line.endswith("}")]
    assert [record.get("event", record.get("records_lost")) for record in whole] == ["one", 2, "four", "five"]
