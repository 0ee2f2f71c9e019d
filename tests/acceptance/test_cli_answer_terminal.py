"""Questions answered by keys in the terminal of a foreground run: a real pty."""

from __future__ import annotations

import signal
import termios
import time
from collections.abc import Callable, Iterator
from typing import Any

import pexpect
import pytest
from cli_fixtures import COMMAND, Person, person
from test_cli_answer import asked, task_file

from orchestrator.sessions.screen import Screen

__all__ = ["person"]
KEYS = "[a] allow once  [A] allow for this run  [d] deny"


class Terminal:
    """A run on a terminal of its own, and what it shows."""

    def __init__(self, person: Person, *args: str, columns: int = 100, rows: int = 24) -> None:
        self.child = pexpect.spawn(
            COMMAND[0],
            [*COMMAND[1:], "run", *args],
            cwd=str(person.folder),
            env=person.env,
            dimensions=(rows, columns),
            timeout=60,
        )
        self.screen = Screen(40, columns)
        self.before = self.settings()

    def settings(self) -> list[Any]:
        return termios.tcgetattr(self.child.fileno())[:6]

    def shows(self, *words: str, seconds: float = 60) -> str:
        """Wait until the screen shows all of this."""
        deadline = time.monotonic() + seconds
        while not all(word in self.text for word in words):
            assert time.monotonic() < deadline, f"never {words}:\n{self.text}"
            self._read()
        return self.text

    def _read(self) -> None:
        try:
            self.screen.feed(self.child.read_nonblocking(65536, timeout=0.5))
        except (pexpect.TIMEOUT, pexpect.EOF):  # it may end with what is waited for as its last words
            return

    @property
    def text(self) -> str:
        return "\n".join(self.screen.lines())

    def press(self, key: str, *, until: str) -> None:
        """Press the key, again if it was taken for one that came too early, until the screen shows this."""
        deadline = time.monotonic() + 30
        while until not in self.text:
            assert time.monotonic() < deadline, f"never {until!r}:\n{self.text}"
            self.child.send(key)
            self._read()
            self._read()

    def end(self) -> int | None:
        while True:
            try:
                self.screen.feed(self.child.read_nonblocking(65536, timeout=60))
            except pexpect.EOF:
                break
        self.child.close()
        return self.child.exitstatus


@pytest.fixture
def terminal(person: Person) -> Iterator[Callable[..., Terminal]]:
    started: list[Terminal] = []

    def start(*args: str, **size: int) -> Terminal:
        started.append(Terminal(person, *args, **size))
        return started[-1]

    yield start
    for one in started:
        one.child.close(force=True)


def test_keys_answer_the_question_that_is_shown(person: Person, terminal: Callable[..., Terminal]) -> None:
    run = terminal(task_file(person, one=["echo first", "echo second", "echo second", "echo third"]))
    run.shows("? 1: one asks: shell", "command   echo first", KEYS)
    assert "waiting for an answer: shell echo first" in run.text
    assert run.settings() != run.before  # keys come at once, unseen
    run.press("a", until="command   echo second")
    run.press("A", until="command   echo third")
    run.press("d", until="1/1 done")
    assert run.end() == 1
    assert "echo third" in run.text  # refused, and said so


def test_a_number_chooses_and_the_others_go_on_waiting(
    person: Person, terminal: Callable[..., Terminal]
) -> None:
    run = terminal(task_file(person, one=["echo 1"], two=["echo 2"], three=["echo 3"]))
    run.shows("? 1:", "2 more wait", "[number] another")
    chosen = next(entry for entry in asked(person, 3) if entry["id"] == 3)
    run.press("3", until=f"? 3: {chosen['worker_id']} asks")
    run.press("a", until="1 more wait")
    assert {entry["id"] for entry in asked(person, 2)} == {1, 2}
    assert person.orchestrator("answer", "1", "--allow").returncode == 0  # from elsewhere at the same time
    run.shows("? 2:")
    run.press("a", until="3/3 done")
    assert run.end() == 0


def test_nothing_is_allowed_that_was_not_shown_whole(
    person: Person, terminal: Callable[..., Terminal]
) -> None:
    long = "echo " + " ".join(f"word{number:04}" for number in range(400))
    run = terminal(task_file(person, one=[long]))
    run.shows("[d] deny  shown in part; all of it: orchestrator answer")
    for _ in range(5):
        run.child.send("a")
        time.sleep(0.2)
    assert len(asked(person, 1)) == 1
    run.press("d", until="1/1 done")
    assert run.end() == 1


def test_the_terminal_is_as_it_was_after_ctrl_c(person: Person, terminal: Callable[..., Terminal]) -> None:
    run = terminal(task_file(person, one=["echo 1"]))
    run.shows(KEYS)
    assert run.settings() != run.before
    run.child.sendintr()
    run.shows("1/1 done", "cancelled")
    deadline = time.monotonic() + 30
    while run.settings() != run.before:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert run.end() == 130


def test_the_terminal_is_as_it_was_between_questions(
    person: Person, terminal: Callable[..., Terminal]
) -> None:
    run = terminal(task_file(person, one=["while [ ! -e ../../gate ]; do sleep 0.05; done"]))
    run.shows(KEYS)
    run.press("a", until="running")
    deadline = time.monotonic() + 30
    while run.settings() != run.before:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    run.child.sendintr()
    assert run.end() == 130


CRASH = """
import asyncio, signal
from orchestrator.cli.questions import Prompt
from orchestrator.clock import SystemClock
from orchestrator.core.approvals import Approvals, Asker
from orchestrator.model.request import Decision, Level, PermissionRequest, Tool, Verdict

async def crash():
    approvals = Approvals(timeout_s=60, clock=SystemClock())
    prompt = Prompt(approvals)
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, told.set)
    async def published(_):
        prompt.settle()
        print("asked", flush=True)
    with prompt.taking_keys():
        asking = asyncio.ensure_future(approvals.ask(
            Asker(worker_id="a", attempt=1, agent="demo"),
            PermissionRequest(id="1", tool=Tool.SHELL, command="x"),
            Decision(verdict=Verdict.ASK, level=Level.CAUTION, rule="r", reason=""), published))
        await told.wait()
        raise RuntimeError("crashed")

asyncio.run(crash())
"""


def test_the_terminal_is_as_it_was_after_a_crash(person: Person) -> None:
    child = pexpect.spawn(
        COMMAND[0], ["-c", CRASH], cwd=str(person.folder), env=person.env, timeout=60, echo=True
    )
    before = termios.tcgetattr(child.fileno())[:6]
    child.expect("asked")
    assert termios.tcgetattr(child.fileno())[:6] != before
    child.kill(signal.SIGUSR1)
    child.expect("RuntimeError: crashed")
    assert termios.tcgetattr(child.fileno())[:6] == before
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 1
