"""The log for machines: JSON lines, one whole line per record, from any number of threads."""

from __future__ import annotations

import copy
import json
import re
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Self, TextIO

from orchestrator.errors import InputError
from orchestrator.secrets import Mask, user_mask

_LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40}
#: JSON escapes, longest first: a surrogate pair, half a pair, any other.
_ESCAPE = re.compile(r"\\ud[89ab]..\\ud[c-f]..|\\ud[89a-f]..|\\.")


class StructuredLogger:
    """Writes records to a file or a stream, by default standard error; never to standard output.

    Secrets of this process's environment, and what looks like one, are masked in all of it.

    A record holds `at`, `level`, `logger`, `event` and its context. A context key with one of these names
    gets an underscore at its end. Logging never raises: a record that could not be written (disk full,
    stream closed) is counted, and the next one that can be says how many were lost before it.
    """

    def __init__(
        self,
        name: str,
        /,
        *,
        path: Path | None = None,
        stream: TextIO | None = None,
        level: str = "INFO",
        **context: Any,
    ) -> None:
        """Log to `path` (appending), or else to `stream`, from `level` upwards."""
        if level.upper() not in _LEVELS:
            raise InputError(f"log level {level!r}: expected one of {', '.join(_LEVELS)}")
        self._name = name
        self._threshold = _LEVELS[level.upper()]
        self._context = context
        self._sink = _Sink(path, stream)
        self._mask = user_mask()

    def bind(self, /, **context: Any) -> Self:
        """Return a logger with more context, which writes to the same place."""
        child = copy.copy(self)
        child._context = {**self._context, **context}
        return child

    def debug(self, message: str, /, **context: Any) -> None:
        """Log what only a developer wants to know."""
        self._log("DEBUG", message, context)

    def info(self, message: str, /, **context: Any) -> None:
        """Log what happened."""
        self._log("INFO", message, context)

    def warning(self, message: str, /, **context: Any) -> None:
        """Log what a person should look at."""
        self._log("WARNING", message, context)

    def error(self, message: str, /, **context: Any) -> None:
        """Log what went wrong."""
        self._log("ERROR", message, context)

    def log_worker_spawn(self, /, worker_id: str, task_name: str) -> None:
        """Log that a worker was taken in."""
        self.info("worker spawned", worker_id=worker_id, task_name=task_name)

    def log_worker_complete(self, /, worker_id: str, success: bool, duration: float, **context: Any) -> None:
        """Log that a worker ended, after `duration` seconds."""
        log = self.info if success else self.warning
        log("worker completed", worker_id=worker_id, success=success, duration=duration, **context)

    def log_task_error(self, /, worker_id: str, error: object, **context: Any) -> None:
        """Log why a worker did not succeed."""
        self.error("task failed", worker_id=worker_id, error=error, **context)

    def close(self) -> None:
        """Close the file; later records, also of bound loggers, are dropped."""
        self._sink.close()

    def _log(self, level: str, message: str, context: dict[str, Any]) -> None:
        if _LEVELS[level] < self._threshold:
            return
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        record = {"at": at, "level": level, "logger": self._name, "event": message}
        for key, value in {**self._context, **context}.items():
            free = key
            while free in record:
                free += "_"
            record[free] = value
        self._sink.write(_line(record, self._mask))


class _Sink:
    """Where the lines of a logger and all its children go: one lock, one write per line."""

    def __init__(self, path: Path | None, stream: TextIO | None) -> None:
        # Unbuffered and appending: a line is one write, whole also beside other processes.
        self._file: IO[bytes] | None = path.open("ab", buffering=0) if path else None
        self._stream = stream
        self._lock = threading.Lock()
        self._closed = False
        self._lost = 0

    def write(self, line: str) -> None:
        with self._lock:
            if self._closed:
                return
            try:
                # The newline ends what a failed write may have left half done.
                self._put(f'\n{{"records_lost":{self._lost}}}\n{line}' if self._lost else line)
            except (OSError, ValueError):
                self._lost += 1
            else:
                self._lost = 0

    def _put(self, line: str) -> None:
        if self._file:
            self._file.write(line.encode("ascii"))
        elif stream := self._stream or sys.stderr:  # None where there is no console
            stream.write(line)
            stream.flush()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._file:
                self._file.close()


def _line(record: dict[str, Any], mask: Mask) -> str:
    """Return the record as one line of plain ASCII: every text of a log passes here."""
    pairs = (f"{_encoded(key, mask)}:{_encoded(value, mask)}" for key, value in record.items())
    return "{" + ",".join(pairs) + "}\n"


def _encoded(value: object, mask: Mask) -> str:
    try:
        text = json.dumps(value, default=_text, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError):  # keys of a strange type, NaN, a cycle
        text = json.dumps(_text(value))
    if '"' in text:  # it holds a text
        text = json.dumps(mask.data(json.loads(text)), separators=(",", ":"))
    return _ESCAPE.sub(_whole, text).replace("\x7f", "\\u007f")


def _text(value: object) -> str:
    try:
        if isinstance(value, datetime):
            return value.isoformat()
        if isinstance(value, Path):
            return str(value)
        return f"{type(value).__name__}: {value}" if isinstance(value, BaseException) else repr(value)
    except Exception as err:  # noqa: BLE001 (a value's own code may raise anything; logging may not)
        return f"<{type(value).__name__} that cannot be shown: {type(err).__name__}>"


def _whole(escape: re.Match[str]) -> str:
    """Replace half a surrogate pair, which strict readers of JSON refuse."""
    text = escape.group()
    return "\\ufffd" if len(text) == 6 else text
