"""Every Protocol on one page: what the floors of the house promise each other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from orchestrator.model.confinement import Confinement, GitFolders
from orchestrator.model.event import EventKind
from orchestrator.model.installation import Installation
from orchestrator.model.outcome import Outcome, ProcessExit
from orchestrator.model.request import Decision, PermissionRequest
from orchestrator.model.result import Restored
from orchestrator.model.salvage import Salvaged
from orchestrator.model.task import Task
from orchestrator.model.transcript import Role

#: Receives raw output bytes in the loop's thread; must return at once.
OnOutput = Callable[[bytes], None]


class Clock(Protocol):
    """Time, so that tests can own it."""

    def monotonic(self) -> float:
        """Seconds that never go back; for durations and deadlines."""
        ...

    def now(self) -> datetime:
        """Aware UTC; for stamps only."""
        ...


class Process(Protocol):
    """One running process tree. Its output is always read to the end and kept, whoever listens."""

    @property
    def pid(self) -> int: ...

    @property
    def last_output(self) -> float:
        """Monotonic instant of its last byte of output (its start, before any)."""
        ...

    def tail(self) -> bytes:
        """The last bytes it wrote, 64 KiB at most."""
        ...

    async def write(self, data: bytes) -> None:
        """Send bytes to its standard input or terminal. A process that is gone is not an error."""
        ...

    async def close_input(self) -> None:
        """End its standard input (on a terminal: nothing to do)."""
        ...

    async def wait(self) -> ProcessExit:
        """Wait until it ended, its descendants are gone and its output was read to the end."""
        ...

    async def stop(self, *, now: bool = False) -> ProcessExit:
        """Interrupt, then TERM, then KILL the whole tree (`now`: KILL at once); as `wait` after that."""
        ...


class Session(Protocol):
    """All that an agent adapter is given. It never sees the journal, the policy's rules or the slot."""

    @property
    def task(self) -> Task: ...

    @property
    def workspace(self) -> Path: ...

    @property
    def prompt_file(self) -> Path:
        """A file that holds the prompt, outside the workspace."""
        ...

    @property
    def env(self) -> Mapping[str, str]:
        """The whole environment that the agent's processes get."""
        ...

    @property
    def config_dir(self) -> Path:
        """The worker's own folder for its agent's settings and sessions; kept for its next attempt."""
        ...

    @property
    def login_dir(self) -> Path | None:
        """Where the user's login is lent to sandboxed workers; None: it is in reach where it lies."""
        ...

    @property
    def resume_id(self) -> str | None:
        """The agent's own session to go on with; None: a new one."""
        ...

    @property
    def follow_up(self) -> bool:
        """Whether the prompt is the next thing to say in that session, and not its task once more."""
        ...

    def emit(self, kind: EventKind, **data: Any) -> None:
        """Record something that the agent did or said."""
        ...

    def transcribe(self, role: Role, text: str, **data: Any) -> None:
        """Add an entry to the attempt's transcript, for people: what was said, done and answered."""
        ...

    async def decide(self, request: PermissionRequest) -> Decision:
        """Ask the policy, or a person. Never raises: a fault is a denial."""
        ...

    async def spawn(
        self,
        argv: Sequence[str],
        *,
        terminal: bool = False,
        env: Mapping[str, str] | None = None,
        errors_apart: bool = False,
        on_output: OnOutput | None = None,
    ) -> Process:
        """Start a process in the workspace; stdout and stderr go to the attempt's log and `on_output`.

        `env` comes on top of the session's own. With `errors_apart`, stderr goes to a log of its own and
        never to `on_output`: for protocols on stdout.
        Raises SpawnError when the program cannot be started.
        """
        ...


class Agent(Protocol):
    """Drives one kind of coding-agent program. Holds no state between tasks."""

    @property
    def name(self) -> str: ...

    def fault(self, task: Task) -> str | None:
        """Say why this agent cannot take `task`, before anything starts; None when it can."""
        ...

    async def run(self, session: Session) -> Outcome:
        """Carry the task out, to the end of the agent's turn; the caller stops what is left running."""
        ...


@runtime_checkable
class ProgramAgent(Agent, Protocol):
    """An agent whose program may be missing, of an unknown version, or not logged in."""

    @property
    def variables(self) -> Sequence[str]:
        """Names of the user's variables that its program needs: keys, endpoints."""
        ...

    def look(self, env: Mapping[str, str]) -> Installation:
        """Say what there is of it on this machine, without a paid request. May run its program: seconds."""
        ...


class Workspace(Protocol):
    """A worker's private checkout, once made."""

    @property
    def path(self) -> Path: ...

    @property
    def branch(self) -> str | None: ...

    @property
    def git_folders(self) -> GitFolders | None:
        """Where its git keeps what lies outside `path`; None without git, or when nothing does."""
        ...

    @property
    def start_commit(self) -> str | None:
        """The commit it began from: the run's base, or the work of the task's needs on top of it."""
        ...

    async def commit(self, message: str) -> str | None:
        """Commit what the agent left uncommitted; return the branch's tip, None without git."""
        ...

    async def restore(self, commit: str) -> Restored | None:
        """Let its tracked files be those of `commit`, for a gate on exactly that; None without git."""
        ...

    async def files_changed(self) -> tuple[str, ...]:
        """Paths that differ from `start_commit` in the committed work, sorted."""
        ...

    async def remove(self) -> Salvaged | None:
        """Take the checkout away, and its branch too when it holds no work of its own.

        What no branch holds is salvaged first; returns what that was. Raises WorkspaceError, and removes
        nothing, when it cannot be.
        """
        ...


class Workspaces(Protocol):
    """One strategy of isolation: makes workspaces for a run."""

    async def create(self, worker_id: str, attempt: int, needs: Sequence[str]) -> Workspace:
        """Make the workspace of one attempt; `needs` are the commits it builds on. Raises WorkspaceError."""
        ...

    async def reopen(self, worker_id: str, attempt: int) -> Workspace | None:
        """Return the workspace of an earlier attempt as it was left; None when it is not whole."""
        ...


#: Turns a command line into the one that really starts. Raises SpawnError when the program is not there.
Wrap = Callable[[Sequence[str]], list[str]]


class Sandbox(Protocol):
    """What stands between an attempt's processes and the machine."""

    def confine(self, place: Confinement, env: Mapping[str, str]) -> Wrap:
        """Prepare an attempt's places, before any of its processes runs."""
        ...


class Policy(Protocol):
    """Judges permission requests. Deterministic; anything it does not understand is not safe."""

    def judge(self, request: PermissionRequest, workspace: Path) -> Decision: ...


#: Where an attempt's events go: (kind, data).
EventSink = Callable[[EventKind, Mapping[str, Any]], None]
#: The same for events that must be durable before the caller goes on.
DurableSink = Callable[[EventKind, Mapping[str, Any]], Awaitable[None]]
#: Puts a request to people, with the policy's decision to ask; gives their answer, which is never `ask`.
Ask = Callable[[PermissionRequest, Decision], Awaitable[Decision]]
