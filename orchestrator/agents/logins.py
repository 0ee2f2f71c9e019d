"""Logins that lie in files, used by many workers at once without logging each other out.

Refresh tokens are good for one use: whoever refreshes a copy logs the others out. So all workers use one
file, the user's own where they can reach it. Inside a sandbox they cannot, for beside it lies what the
user's own sessions would execute: there a folder of ours is mounted that holds nothing but the login, lent
before an attempt and given back after it, whichever is newer.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from orchestrator.config import home
from orchestrator.errors import WorkspaceError
from orchestrator.ports import Session

_LARGEST = 1 << 20
_LOCK_S = 3.0
#: No token is newer, or lasts longer, than this from now.
_LONGEST_S = 400 * 86400.0
Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """How one program keeps its login. `path` leads to the part that changes with a refresh."""

    file: str
    variable: str  #: names the program's folder
    folder: str  #: that folder in the user's home, unless the variable is set
    keys: tuple[str, ...]  #: with one of these variables the file is not needed
    part: str  #: of the document: the login itself; nothing else is lent
    tokens: tuple[str, ...]  #: of that part: what a refresh changes; the first three must be there
    stamp: str | None  #: of the document: when it was refreshed, which changes as well
    lock: str  #: what the program itself holds while it writes the file
    lock_is_folder: bool
    newness: Callable[[Document], float]  #: of two logins the greater one counts; seconds


def _claude_newness(document: Document) -> float:
    return float(document["claudeAiOauth"]["expiresAt"]) / 1000


def _codex_newness(document: Document) -> float:
    return datetime.fromisoformat(document["last_refresh"].replace("Z", "+00:00")).timestamp()


CLAUDE = Login(
    file=".credentials.json",
    variable="CLAUDE_CONFIG_DIR",
    folder=".claude",
    keys=("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"),
    part="claudeAiOauth",
    tokens=("accessToken", "refreshToken", "expiresAt", "refreshTokenExpiresAt"),
    stamp=None,
    lock=".storage-write.lock",
    lock_is_folder=True,
    newness=_claude_newness,
)
CODEX = Login(
    file="auth.json",
    variable="CODEX_HOME",
    folder=".codex",
    keys=("OPENAI_API_KEY", "CODEX_API_KEY"),
    part="tokens",
    tokens=("id_token", "access_token", "refresh_token"),
    stamp="last_refresh",
    lock="auth.json.lock",
    lock_is_folder=False,
    newness=_codex_newness,
)
#: By agent: whose login it uses.
_LOGINS = {"claude": CLAUDE, "claude-terminal": CLAUDE, "codex": CODEX, "codex-terminal": CODEX}


def lent_folder(agent: str) -> Path | None:
    """Return the folder in which the agent's login is lent to sandboxed workers; None when it needs none."""
    return home() / "logins" / _LOGINS[agent].folder.lstrip(".") if agent in _LOGINS else None


def account(agent: str, env: Mapping[str, str]) -> str:
    """Name whose limits hold for the agent: tasks with the same login, or the same key, share one.

    `env` is what the agent gets. The name holds nothing of a key but a short digest.
    """
    login = _LOGINS.get(agent)
    if login is None:
        return agent
    kind = next(name for name, known in _LOGINS.items() if known is login)
    key = next((env[name] for name in login.keys if env.get(name)), None)
    return kind if key is None else f"{kind} (key {hashlib.sha256(key.encode()).hexdigest()[:6]})"


@asynccontextmanager
async def shared_login(session: Session, login: Login) -> AsyncIterator[Path | None]:
    """Give the folder that holds the login for all workers; None when a variable is the login.

    Raises WorkspaceError when it cannot be lent.
    """
    if any(session.env.get(key) for key in login.keys):
        yield None
        return
    own = Path(os.environ.get(login.variable) or Path.home() / login.folder)
    if session.login_dir is None:
        yield own
        return
    await asyncio.to_thread(even_out, own, session.login_dir, login)
    try:
        yield session.login_dir
    finally:
        await asyncio.to_thread(even_out, own, session.login_dir, login)


def even_out(own: Path, lent: Path, login: Login) -> None:
    """Bring the user's own login and the lent one to the newer of the two. Raises WorkspaceError."""
    try:
        lent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with ExitStack() as held:
            # Ours lies outside the lent folder, where no agent can hold it.
            held.enter_context(_file_lock(lent.with_name(f"{lent.name}.lock")))
            for folder in (own, lent):
                if folder.is_dir():
                    held.enter_context(_program_lock(folder, login))
            _even_out(own / login.file, lent / login.file, login)
    except OSError as err:
        raise WorkspaceError(f"the login in {own / login.file} cannot be lent to the sandbox: {err}") from err


def _even_out(own: Path, lent: Path, login: Login) -> None:
    mine, theirs = _read(own.resolve(), login), _read(lent, login)
    if mine is None:
        lent.unlink(missing_ok=True)  # the user logged out
    elif theirs is not None and _is_refresh(mine, theirs, login):
        _write(own.resolve(), _refreshed(mine, theirs, login))
    else:
        _write(lent, _lendable(mine, login))


def _read(path: Path, login: Login) -> Document | None:
    """Return the document when it holds a login; an agent may have put anything there, such as a link."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            document = json.loads(file.read(_LARGEST))
        login.newness(document)
        whole = all(_is_token(document[login.part][name]) for name in login.tokens[:3])
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    except OSError as err:
        if err.errno != errno.ELOOP:
            raise
        return None
    return document if whole else None


def _is_token(value: object) -> bool:
    return isinstance(value, str | int) and bool(value)


def _is_refresh(mine: Document, theirs: Document, login: Login) -> bool:
    """Whether `theirs` is the same login with newer tokens."""

    def lasting(document: Document) -> dict[str, Any]:
        return {name: value for name, value in document[login.part].items() if name not in login.tokens}

    newest = time.time() + _LONGEST_S
    return lasting(mine) == lasting(theirs) and login.newness(mine) < login.newness(theirs) < newest


def _refreshed(mine: Document, theirs: Document, login: Login) -> Document:
    """Take over the tokens, and nothing else."""
    held = theirs[login.part]
    tokens = {name: held[name] for name in login.tokens if _is_token(held.get(name))}
    stamp = {login.stamp: theirs[login.stamp]} if login.stamp else {}
    return {**mine, **stamp, login.part: {**mine[login.part], **tokens}}


def _lendable(mine: Document, login: Login) -> Document:
    """Leave out what is no part of the login, such as those of MCP servers and keys."""
    names = ("auth_mode", login.stamp, login.part)
    return {name: value for name, value in mine.items() if name in names}


def _write(path: Path, document: Document) -> None:
    text = json.dumps(document)
    if path.is_file() and not path.is_symlink() and path.read_text(errors="replace") == text:
        return
    new = path.with_name(f"{path.name}.{os.getpid()}.{time.monotonic_ns()}")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


@contextmanager
def _file_lock(path: Path) -> Iterator[None]:
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _program_lock(folder: Path, login: Login) -> Iterator[None]:
    """Hold the program's own lock on its file. After a while go on without: its holder may have died."""
    path = folder / login.lock
    take = _take_folder if login.lock_is_folder else _take_file
    deadline = time.monotonic() + _LOCK_S
    while (release := take(path)) is None and time.monotonic() < deadline:
        time.sleep(0.02)
    try:
        yield
    finally:
        if release:
            release()


def _take_folder(path: Path) -> Callable[[], None] | None:
    try:
        path.mkdir()
    except FileExistsError:
        return None
    return path.rmdir


def _take_file(path: Path) -> Callable[[], None] | None:
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    return lambda: os.close(file)
