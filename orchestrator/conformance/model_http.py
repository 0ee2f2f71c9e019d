"""One client's connection to the scripted model: HTTP, event streams, and the faults of both."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol, cast

from orchestrator.conformance.exchange import Answer

_COUNTS = {"/count_tokens": "input_tokens", ":countTokens": "totalTokens"}
_COUNTED = 42
_MODELS = ("scripted-model",)


class Model(Protocol):
    """Who answers."""

    def answer(self, path: str, body: Mapping[str, Any]) -> Answer | None:
        """What is answered; None for a path that no API has."""
        ...

    def pause(self, seconds: float | None) -> bool:
        """Wait (None: until the server closes); return whether the server is closing."""
        ...


class ModelConnection(BaseHTTPRequestHandler):
    """Answers what one client asks on one connection, until it goes."""

    protocol_version = "HTTP/1.1"  # keeps the connection, and allows chunks, whose lack of an end shows a cut

    @property
    def _listener(self) -> Listener:
        return cast("Listener", self.server)

    @property
    def _model(self) -> Model:
        return self._listener.model

    def setup(self) -> None:
        """Let the server know, so that it can hang up at its end."""
        super().setup()
        self._listener.connected(self)

    def handle(self) -> None:
        """Serve until the client goes, by whatever way it goes."""
        try:
            super().handle()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def finish(self) -> None:
        """Forget the connection."""
        self._listener.disconnected(self)
        try:
            super().finish()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def hang_up(self) -> None:
        """End the connection, from any thread."""
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            self.close_connection = True  # the client was faster

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class names it)
        """Say nothing: what was asked is in `ModelServer.requests`."""

    def do_HEAD(self) -> None:
        """Some clients look first whether anybody is there."""
        self._send_head(200, {"content-length": "0"})

    def do_GET(self) -> None:
        """The list of models."""
        if not self.path.partition("?")[0].endswith("/models"):
            self._not_found()
            return
        data = [{"id": name, "object": "model", "created": 1, "owned_by": "script"} for name in _MODELS]
        self._send(200, {"object": "list", "data": data, "models": []})

    def do_POST(self) -> None:
        """One request to the model."""
        path, body = self.path.partition("?")[0], self._body()
        counted = next((key for end, key in _COUNTS.items() if path.endswith(end)), None)
        if counted:
            self._send(200, {counted: _COUNTED})
            return
        answer = self._model.answer(path, body)
        if answer is None:
            self._not_found()
        else:
            self._give(answer)

    def _give(self, answer: Answer) -> None:
        step = answer.step
        if self._model.pause(None if step.hang else step.delay_s):
            self.close_connection = True
        elif answer.refused:
            self._send(answer.refused.status, answer.refused.body, answer.refused.headers)
        elif answer.events:
            self._stream(answer)
        elif step.cut:
            self._send_head(200, {"content-type": "application/json", "content-length": "1000"})
            self._cut()
        else:
            self._send(200, answer.whole)

    def _stream(self, answer: Answer) -> None:
        self._send_head(200, {"content-type": "text/event-stream", "transfer-encoding": "chunked"})
        half = len(answer.events) // 2
        for place, event in enumerate(answer.events):
            if answer.step.cut and place >= half:
                self._cut()
                return
            if place and answer.step.chunk_delay_s and self._model.pause(answer.step.chunk_delay_s):
                self.close_connection = True
                return
            self._chunk(_framed(event, named=answer.named))
        self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.flush()

    def _cut(self) -> None:
        self.close_connection = True
        self.hang_up()

    def _not_found(self) -> None:
        self._send(404, {"error": {"type": "not_found_error", "message": f"there is no {self.path}"}})

    def _send(self, status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        sizes = {"content-type": "application/json", "content-length": str(len(data))}
        self._send_head(status, {**sizes, **(headers or {})})
        self.wfile.write(data)

    def _send_head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _body(self) -> Mapping[str, Any]:
        """The request's body; an empty object for what is none."""
        try:
            found = json.loads(self._raw() or b"{}")
        except ValueError:
            found = {}
        return found if isinstance(found, dict) else {}

    def _raw(self) -> bytes:
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        parts = []
        while size := int(self.rfile.readline().strip() or b"0", 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)


class Listener(ThreadingHTTPServer):
    """Waits for its threads at the end, after cutting off the clients that keep them."""

    daemon_threads = False
    request_queue_size = 128

    def __init__(self, model: Model) -> None:
        super().__init__(("127.0.0.1", 0), ModelConnection)
        self.model = model
        self._open: set[ModelConnection] = set()
        self._lock = threading.Lock()

    def connected(self, connection: ModelConnection) -> None:
        """Remember a client; one that comes at the very end is cut off like the others."""
        with self._lock:
            self._open.add(connection)
        if self.model.pause(0):
            connection.hang_up()

    def disconnected(self, connection: ModelConnection) -> None:
        """Forget a client."""
        with self._lock:
            self._open.discard(connection)

    def hang_up(self) -> None:
        """Cut off every client."""
        with self._lock:
            for connection in self._open:
                connection.hang_up()


def _framed(event: Mapping[str, Any] | str, *, named: bool) -> bytes:
    data = event if isinstance(event, str) else json.dumps(event)
    name = f"event: {event['type']}\n" if named and not isinstance(event, str) else ""
    return f"{name}data: {data}\n\n".encode()
