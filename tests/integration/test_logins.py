"""One login in a file, many workers that refresh it: no token is lost, and the user stays logged in."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from orchestrator.agents import logins
from orchestrator.agents.logins import CLAUDE, CODEX, even_out, shared_login
from orchestrator.model.outcome import Outcome
from orchestrator.model.result import Status
from orchestrator.model.task import Task
from orchestrator.ports import Session
from tests.integration.run_fixtures import make_repository, make_run
from tests.integration.sandbox_fixtures import needs_bubblewrap

WORKERS = 8
USES = 3  #: requests that one access token is good for

#: Uses the token, and renews it as Claude Code was seen to: one lock around it, the file read again under
#: that lock, a new file put in place of the old one under another lock.
PROGRAM = """
import http.client, json, os, pathlib, time
store = pathlib.Path(os.environ["STORE"])
file = store / ".credentials.json"
def ask(path, token):
    server = http.client.HTTPConnection("127.0.0.1", int(os.environ["SERVER"]))
    server.request("POST", path, body=token)
    answer = server.getresponse()
    return answer.status, answer.read().decode()
def hold(name):
    while True:
        try:
            (store / name).mkdir()
            return
        except FileExistsError:
            time.sleep(0.005)
def read():
    return json.loads(file.read_text())
def renew(old):
    hold(".oauth_refresh.lock")
    held = read()
    if held["claudeAiOauth"]["accessToken"] == old:
        status, answer = ask("/refresh", held["claudeAiOauth"]["refreshToken"])
        assert status == 200, "logged out"
        hold(".storage-write.lock")
        held["claudeAiOauth"] |= json.loads(answer)
        new = store / f".credentials.json.tmp.{os.getpid()}"
        new.write_text(json.dumps(held))
        new.rename(file)
        (store / ".storage-write.lock").rmdir()
    (store / ".oauth_refresh.lock").rmdir()
for _ in range(6):
    token = read()["claudeAiOauth"]["accessToken"]
    while ask("/work", token)[0] != 200:
        renew(token)
        token = read()["claudeAiOauth"]["accessToken"]
"""


class _Server:
    """Gives tokens: each refresh token is good for one use, each access token for a few."""

    def __init__(self) -> None:
        self.current, self.refused = 0, 0
        self._uses, self._lock = count(), threading.Lock()

    def answer(self, path: str, token: str) -> tuple[int, str]:
        with self._lock:
            if path == "/work":
                good = token == f"access-{self.current}" and next(self._uses) < USES
                return (200, "") if good else (401, "")
            if token != f"refresh-{self.current}":
                self.refused += 1
                return 400, ""
            self.current += 1
            self._uses = count()
            return 200, json.dumps(_tokens(self.current))


def _tokens(number: int) -> dict[str, Any]:
    ends = 1_800_000_000_000 + number
    return {"accessToken": f"access-{number}", "refreshToken": f"refresh-{number}", "expiresAt": ends}


def _document(number: int, **more: Any) -> dict[str, Any]:
    return {"claudeAiOauth": {**_tokens(number), "scopes": ["user:inference"]}, **more}


@contextmanager
def _serving(server: _Server) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode()
            status, text = server.answer(self.path, body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield listening.server_address[1]
        listening.shutdown()
        thread.join()


class _Refreshing:
    """Drives the program above, with the user's login."""

    name = "refreshing"

    def __init__(self, port: int) -> None:
        self._port = port

    def fault(self, task: Task) -> str | None:
        return f"no prompt for {task.id}" if not task.prompt else None

    async def run(self, session: Session) -> Outcome:
        async with shared_login(session, CLAUDE) as folder:
            env = {"STORE": str(folder), "SERVER": str(self._port)}
            end = await (await session.spawn([sys.executable, "-I", "-S", "-c", PROGRAM], env=env)).wait()
        return Outcome(status=Status.SUCCEEDED if end.exit_code == 0 else Status.FAILED, exit=end)


@pytest.fixture
def user_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    (home / ".claude").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("CLAUDE_CONFIG_DIR", raising=False)
    for key in CLAUDE.keys:
        monkeypatch.delenv(key, raising=False)
    return home


@pytest.mark.parametrize("sandbox", ["off", pytest.param("on", marks=needs_bubblewrap)])
def test_many_workers_refresh_one_login(
    tmp_path: Path, user_home: Path, monkeypatch: pytest.MonkeyPatch, sandbox: str
) -> None:
    monkeypatch.setitem(logins._LOGINS, "refreshing", CLAUDE)
    own = user_home / ".claude" / ".credentials.json"
    own.write_text(json.dumps(_document(0, mcpOAuth={"other": "secret"})))
    (user_home / ".claude" / "settings.json").write_text("{}")
    server = _Server()
    with _serving(server) as port:
        monkeypatch.setattr("orchestrator.core.plan.get_agent", lambda *_: _Refreshing(port))
        tasks = [Task(id=f"w{n}", name="w", prompt="p", agent="refreshing") for n in range(WORKERS)]
        run = make_run(make_repository(tmp_path / "repo"), tasks, sandbox=sandbox)
        results = asyncio.run(run.execute())
    assert [result.status for result in results] == [Status.SUCCEEDED] * WORKERS, results[0].output
    assert server.refused == 0
    assert server.current >= WORKERS * 6 // USES - 1
    assert json.loads(own.read_text()) == _document(server.current, mcpOAuth={"other": "secret"})
    assert sorted(path.name for path in own.parent.iterdir()) == [".credentials.json", "settings.json"]
    lent = logins.lent_folder("refreshing")
    assert lent is not None
    assert lent.exists() is (sandbox == "on")
    if sandbox == "on":
        assert "secret" not in (lent / ".credentials.json").read_text()
        assert lent.stat().st_mode & 0o077 == 0


def test_the_newer_login_wins_wherever_it_is(tmp_path: Path) -> None:
    own, lent = tmp_path / "own", tmp_path / "lent"
    own.mkdir()
    mine, theirs = own / CLAUDE.file, lent / CLAUDE.file
    for own_number, lent_number in ((1, None), (2, 1), (2, 3), (5, 4)):
        mine.write_text(json.dumps(_document(own_number)))
        if lent_number is not None:
            theirs.write_text(json.dumps(_document(lent_number)))
        even_out(own, lent, CLAUDE)
        newest = max(own_number, lent_number or 0)
        assert json.loads(mine.read_text()) == json.loads(theirs.read_text()) == _document(newest)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "[]",
        '{"claudeAiOauth": 1}',
        json.dumps({"claudeAiOauth": {"accessToken": "", "refreshToken": "", "expiresAt": 0}}),
        json.dumps({"claudeAiOauth": {**_tokens(9), "scopes": ["other"]}}),
        json.dumps({"claudeAiOauth": {**_tokens(9), "scopes": ["user:inference"], "expiresAt": 10**16}}),
        json.dumps({"claudeAiOauth": {**_tokens(9), "scopes": ["user:inference"], "expiresAt": "x"}}),
        "[" * 100_000,
    ],
)
def test_what_an_agent_spoils_is_not_taken_over(tmp_path: Path, written: str) -> None:
    own, lent = tmp_path / "own", tmp_path / "lent"
    own.mkdir()
    lent.mkdir()
    (own / CLAUDE.file).write_text(json.dumps(_document(1)))
    (lent / CLAUDE.file).write_text(written)
    even_out(own, lent, CLAUDE)
    assert json.loads((own / CLAUDE.file).read_text()) == _document(1)
    assert json.loads((lent / CLAUDE.file).read_text()) == _document(1)


def test_a_link_that_an_agent_lays_is_not_followed(tmp_path: Path) -> None:
    own, lent, outside = tmp_path / "own", tmp_path / "lent", tmp_path / "outside"
    own.mkdir()
    lent.mkdir()
    outside.write_text(json.dumps(_document(9)))
    (own / CLAUDE.file).write_text(json.dumps(_document(1)))
    (lent / CLAUDE.file).symlink_to(outside)
    even_out(own, lent, CLAUDE)
    assert json.loads((own / CLAUDE.file).read_text()) == _document(1)
    assert json.loads(outside.read_text()) == _document(9)
    assert not (lent / CLAUDE.file).is_symlink()


def test_a_user_who_logs_out_is_logged_out(tmp_path: Path) -> None:
    own, lent = tmp_path / "own", tmp_path / "lent"
    lent.mkdir()
    (lent / CLAUDE.file).write_text(json.dumps(_document(9)))
    even_out(own, lent, CLAUDE)
    assert not (lent / CLAUDE.file).exists()
    assert not own.exists()


def test_a_dead_programs_lock_holds_nobody_up_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logins, "_LOCK_S", 0.1)
    own, lent = tmp_path / "own", tmp_path / "lent"
    (own / CLAUDE.lock).mkdir(parents=True)
    (own / CLAUDE.file).write_text(json.dumps(_document(1)))
    even_out(own, lent, CLAUDE)
    assert (lent / CLAUDE.file).exists()
    assert (own / CLAUDE.lock).exists()


def _codex(number: int, **more: Any) -> dict[str, Any]:
    tokens = {"id_token": f"i{number}", "access_token": f"a{number}", "refresh_token": f"r{number}"}
    stamp = f"2026-11-{number:02}T10:00:00.123456789Z"
    return {"auth_mode": "chatgpt", "tokens": {**tokens, "account_id": "acc"}, "last_refresh": stamp, **more}


def test_codex_and_many_at_once(tmp_path: Path) -> None:
    own, lent = tmp_path / "own", tmp_path / "lent"
    own.mkdir()
    (own / CODEX.file).write_text(json.dumps(_codex(1, OPENAI_API_KEY="key")))
    even_out(own, lent, CODEX)
    (lent / CODEX.file).write_text(json.dumps(_codex(7)))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: even_out(own, lent, CODEX), range(40)))
    assert json.loads((own / CODEX.file).read_text()) == _codex(7, OPENAI_API_KEY="key")
    assert "key" not in json.loads((lent / CODEX.file).read_text()).values()
