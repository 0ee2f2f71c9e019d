"""The real Codex, several at once, on one linked login whose token has run out: who has it afterwards."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.integration.agent_fixtures import program

WORKERS = 4
_CONFIG = """
model = "fake"
model_provider = "fake"
check_for_update_on_startup = false
[model_providers.fake]
name = "fake"
base_url = "http://127.0.0.1:{port}/v1"
wire_api = "responses"
requires_openai_auth = true
supports_websockets = false
[analytics]
enabled = false
[features]
plugins = false
"""
_ENDS = [
    {"type": "response.created", "response": {"id": "r"}},
    {
        "type": "response.output_item.done",
        "item": {
            "type": "message",
            "role": "assistant",
            "id": "m",
            "content": [{"type": "output_text", "text": "done"}],
        },
    },
    {"type": "response.completed", "response": {"id": "r", "usage": None}},
]


def _token(number: int, *, ends_in_s: float) -> str:
    account = {"chatgpt_account_id": "account", "chatgpt_plan_type": "pro"}
    claims = {"exp": int(time.time() + ends_in_s), "n": number, "https://api.openai.com/auth": account}
    parts = (json.dumps(part).encode() for part in ({"alg": "none"}, claims))
    return ".".join([*(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts), "sig"])


class _Server:
    """Gives tokens, each refresh token for one use, and plays the model for those who have the newest one."""

    def __init__(self) -> None:
        self.tokens = self._tokens(0, ends_in_s=-99)
        self.refreshed = 0
        self.used: list[str] = []
        self._lock = threading.Lock()

    def _tokens(self, number: int, *, ends_in_s: float) -> dict[str, str]:
        token = _token(number, ends_in_s=ends_in_s)
        return {"access_token": token, "id_token": token, "refresh_token": f"refresh-{number}"}

    def answer(self, path: str, authorization: str, body: bytes) -> tuple[int, str]:
        with self._lock:
            if path == "/token":
                if json.loads(body)["refresh_token"] != self.tokens["refresh_token"]:
                    return 400, json.dumps({"error": "invalid_grant"})
                self.refreshed += 1
                self.tokens = self._tokens(self.refreshed, ends_in_s=3600)
                return 200, json.dumps(self.tokens)
            if not path.endswith("/responses"):
                return 404, "{}"
            self.used.append(authorization.removeprefix("Bearer "))
            return 200, "".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n" for one in _ENDS)


@contextmanager
def _serving(server: _Server) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            status, text = server.answer(self.path, self.headers["Authorization"] or "", body)
            self.send_response(status)
            self.send_header(
                "Content-Type", "text/event-stream" if text.startswith("event") else "application/json"
            )
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield listening.server_address[1]
        listening.shutdown()
        thread.join()


def _start(folder: Path, login: Path, port: int) -> subprocess.Popen[bytes]:
    home = folder / "codex"
    home.mkdir(parents=True)
    (home / "config.toml").write_text(_CONFIG.format(port=port))
    (home / "auth.json").symlink_to(login)
    env = {
        "HOME": str(folder),
        "PATH": os.environ["PATH"],
        "CODEX_HOME": str(home),
        "CODEX_REFRESH_TOKEN_URL_OVERRIDE": f"http://127.0.0.1:{port}/token",
    }
    argv = [str(program("codex")), "exec", "--skip-git-repo-check", "-s", "read-only", "say done"]
    with (folder / "said").open("wb") as said:
        return subprocess.Popen(argv, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=said, stderr=said)


def test_codex_workers_share_a_login_through_links(tmp_path: Path) -> None:
    login = tmp_path / "user" / "auth.json"
    login.parent.mkdir()
    server = _Server()
    document = {"tokens": {**server.tokens, "account_id": "account"}, "last_refresh": "2026-01-01T00:00:00Z"}
    login.write_text(json.dumps({"auth_mode": "chatgpt", **document}))
    with _serving(server) as port:
        workers = [_start(tmp_path / f"w{n}", login, port) for n in range(WORKERS)]
        codes = [worker.wait(60) for worker in workers]
    assert codes == [0] * WORKERS, (tmp_path / "w0" / "said").read_text()
    assert server.refreshed == 1
    assert server.used == [server.tokens["access_token"]] * WORKERS
    assert json.loads(login.read_text())["tokens"]["refresh_token"] == server.tokens["refresh_token"]
    assert all((tmp_path / f"w{n}" / "codex" / "auth.json").is_symlink() for n in range(WORKERS))
