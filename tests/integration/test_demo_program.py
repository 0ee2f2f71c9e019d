"""The demo program behaves like a real coding CLI, and makes every fault its table promises."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from orchestrator.demo import program
from orchestrator.sessions.screen import Screen
from orchestrator.sessions.terminal import open_terminal
from tests.integration.demo_fixtures import ENV

PROGRAM = [sys.executable, "-I", "-S", str(Path(program.__file__))]


def _prompt(*steps: Any) -> str:
    return f"Do what you are told\n\n```demo\n{json.dumps(list(steps))}\n```\n"


def _run(
    cwd: Path, *steps: Any, answers: str = "", args: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    argv = [*PROGRAM, *args, _prompt(*steps)] if steps else [*PROGRAM, *args]
    return subprocess.run(
        argv, cwd=cwd, env=ENV, input=answers, capture_output=True, text=True, timeout=30, check=False
    )


class Terminal:
    """The demo program on a pty, and a person before it."""

    def __init__(self, cwd: Path, *steps: Any) -> None:
        self.master, slave, _ = open_terminal()
        argv = [*PROGRAM, _prompt(*steps)]
        self.popen = subprocess.Popen(
            argv, cwd=cwd, env=ENV, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
        os.close(slave)
        self.raw = bytearray()
        self.screen = Screen()

    def read(self, timeout_s: float = 10.0) -> bytes:
        if not select.select([self.master], [], [], timeout_s)[0]:
            raise TimeoutError(f"nothing more came; the screen shows:\n{self.screen.text()}")
        try:
            chunk = os.read(self.master, 65536)
        except OSError:
            chunk = b""
        self.raw += chunk
        self.screen.feed(chunk)
        return chunk

    def until(self, text: str) -> None:
        while text not in self.screen.text():
            assert self.read(), f"ended before {text!r}:\n{self.screen.text()}"

    def press(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def end(self) -> int:
        while self.read():
            pass
        return self.popen.wait(10)


@contextmanager
def _terminal(cwd: Path, *steps: Any) -> Iterator[Terminal]:
    terminal = Terminal(cwd, *steps)
    try:
        yield terminal
    finally:
        if terminal.popen.poll() is None:
            terminal.popen.kill()
            terminal.popen.wait()
        os.close(terminal.master)


WRITE = {"write": {"path": "src/x.py", "text": "print(1)\n"}}


# On pipes


def test_on_pipes_it_asks_in_lines_and_obeys(tmp_path: Path) -> None:
    other = {"write": {"path": "no.txt", "text": "no"}}
    done = _run(tmp_path, WRITE, other, {"ask": "touch ran"}, answers="1\n2\ny\n")
    assert done.returncode == 0
    assert (tmp_path / "src/x.py").read_text() == "print(1)\n"
    assert (tmp_path / "ran").exists()
    assert not (tmp_path / "no.txt").exists()
    assert "Do you want to create src/x.py? 1. Yes / 2. No" in done.stdout
    assert "I could not finish. Refused: create no.txt." in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize("answer", ["", "\n", "n\n", "esc\n", "11\n", "maybe\n"])
def test_anything_but_a_yes_is_a_no(tmp_path: Path, answer: str) -> None:
    assert "Refused" in _run(tmp_path, WRITE, answers=answer).stdout
    assert list(tmp_path.glob("src")) == []


def test_a_file_that_is_there_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/x.py").write_text("old")
    assert "Do you want to overwrite src/x.py?" in _run(tmp_path, WRITE, answers="1\n").stdout


def test_it_commits_only_what_it_wrote_and_only_when_told(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, env=ENV, check=True)
    (tmp_path / "mine.txt").write_text("not the agent's")
    done = _run(tmp_path, WRITE, {"commit": "feat(x): say one"}, answers="1\n")
    log = subprocess.run(
        ["git", "log", "--format=%s", "--name-only"], cwd=tmp_path, env=ENV, capture_output=True, check=True
    )
    assert "Committed: feat(x): say one" in done.stdout
    assert log.stdout.split() == [b"feat(x):", b"say", b"one", b"src/x.py"]


def test_outside_a_work_tree_it_does_not_commit(tmp_path: Path) -> None:
    done = _run(tmp_path, WRITE, {"commit": "feat: x"}, answers="1\n")
    assert done.returncode == 0
    assert "Not committed" in done.stdout


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is 17 + 25?", "17 + 25 = 42"),
        ("6 * 7", "6 * 7 = 42"),
        ("9 / 2?", "9 / 2 = 4.5"),
        ("5-8", "5-8 = -3"),
    ],
)
def test_without_a_script_it_answers_a_sum(tmp_path: Path, question: str, answer: str) -> None:
    assert f"\u23fa {answer}\n" in _run(tmp_path, args=(question,)).stdout


def test_without_a_script_it_writes_the_declared_files(tmp_path: Path) -> None:
    prompt = tmp_path / "prompt.md"
    prompt.write_text("Write the parser\nin detail")
    args = ("--prompt-file", str(prompt), "--file", "src/a.py", "--file", "docs/b.md")
    assert _run(tmp_path, args=args, answers="1\n1\n").returncode == 0
    assert (tmp_path / "src/a.py").read_text() == "# Write the parser\n"
    assert (tmp_path / "docs/b.md").read_text() == "Write the parser\n"


def test_a_prompt_may_come_on_standard_input(tmp_path: Path) -> None:
    assert "\u23fa 2 + 2 = 4\n" in _run(tmp_path, answers="what is 2 + 2").stdout


def test_a_script_may_come_from_a_file(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text('[{"say": "from a file"}]')
    assert "\u23fa from a file" in _run(tmp_path, args=("--script", str(script), "prompt")).stdout


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("```demo\nnope\n```\n",), "the script is not JSON"),
        (("```demo\n{}\n```\n",), "not a list of steps"),
        (("```demo\n[7]\n```\n",), "a step is a name"),
        (("--prompt-file", "/does/not/exist"), "No such file"),
        (("--script",), "--script needs a value"),
    ],
)
def test_a_wrong_call_ends_with_status_2(tmp_path: Path, args: tuple[str, ...], message: str) -> None:
    done = _run(tmp_path, args=args)
    assert done.returncode == 2
    assert message in done.stderr


def test_an_unknown_step_is_named(tmp_path: Path) -> None:
    done = _run(tmp_path, {"say": "hi"}, {"dance": 1})
    assert done.returncode == 1
    assert "unknown step `dance`; known: ask," in done.stdout


# On a terminal


def test_on_a_terminal_the_question_is_only_on_the_screen_not_in_the_bytes(tmp_path: Path) -> None:
    with _terminal(tmp_path, {"say": "hello"}, {"work": 0.4}, WRITE) as terminal:
        terminal.until("Do you want to create src/x.py?")
        lines = terminal.screen.lines()
        row = terminal.screen.cursor[0]
        assert lines[row : row + 2] == [" \u276f 1. Yes", "   2. No, and tell the agent why (esc)"]
        terminal.press(b"1")
        assert terminal.end() == 0
        assert "1. Yes" not in terminal.screen.text()
    assert b"Do you want to" not in terminal.raw
    assert b"\x1b]0;" in terminal.raw
    assert b"Thinking" in terminal.raw
    assert "Thinking" not in terminal.screen.text()
    assert (tmp_path / "src/x.py").read_text() == "print(1)\n"


@pytest.mark.parametrize(
    ("keys", "written"),
    [
        (b"1", True),
        (b"y", True),
        (b"\r", True),
        (b"2", False),
        (b"n", False),
        (b"\x1b", False),
    ],
)
def test_keys_answer_as_in_the_real_ones(tmp_path: Path, keys: bytes, written: bool) -> None:
    with _terminal(tmp_path, WRITE) as terminal:
        terminal.until("Esc to cancel")
        terminal.press(keys)
        assert terminal.end() == 0
    assert (tmp_path / "src/x.py").exists() is written


def test_arrows_move_the_selection(tmp_path: Path) -> None:
    with _terminal(tmp_path, WRITE) as terminal:
        terminal.until("Esc to cancel")
        terminal.press(b"\x1b[B")
        terminal.until("\u276f 2. No")
        terminal.press(b"\r")
        assert terminal.end() == 0
    assert not (tmp_path / "src/x.py").exists()


def test_what_was_typed_before_the_question_does_not_answer_it(tmp_path: Path) -> None:
    with _terminal(tmp_path, {"say": "ready"}, {"work": 0.3}, WRITE) as terminal:
        terminal.until("ready")
        terminal.press(b"1\r1\r")
        terminal.until("Esc to cancel")
        with pytest.raises(TimeoutError):
            terminal.read(0.3)
        terminal.press(b"2")
        assert terminal.end() == 0
    assert not (tmp_path / "src/x.py").exists()


def test_it_waits_for_a_typed_line(tmp_path: Path) -> None:
    with _terminal(tmp_path, {"expect": "go on"}, {"say": "went on"}) as terminal:
        terminal.until("Waiting for your input:")
        terminal.press(b"go on\r")
        assert terminal.end() == 0
        assert "went on" in terminal.screen.text()


def test_an_interrupt_ends_it_with_130(tmp_path: Path) -> None:
    with _terminal(tmp_path, {"say": "ready"}, {"work": 60}) as terminal:
        terminal.until("Thinking")
        terminal.popen.send_signal(signal.SIGINT)
        assert terminal.end() == 130


# Faults


@pytest.mark.parametrize(("value", "status"), [(3, 3), ("SEGV", -11), ("KILL", -9), ("SIGTERM", -15)])
def test_crash(tmp_path: Path, value: int | str, status: int) -> None:
    done = _run(tmp_path, {"say": "so far"}, {"crash": value}, {"say": "never"})
    assert done.returncode == status
    assert "so far" in done.stdout
    assert "never" not in done.stdout


def test_no_output(tmp_path: Path) -> None:
    done = _run(
        tmp_path, "no_output", {"say": "x"}, {"work": 0.1}, {"write": {"path": "f", "text": "", "ask": False}}
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "f").exists()


def test_slow_start_shows_nothing_before(tmp_path: Path) -> None:
    with _terminal(tmp_path, {"slow_start": 0.6}, {"say": "up"}) as terminal:
        with pytest.raises(TimeoutError):
            terminal.read(0.3)
        assert terminal.end() == 0


def test_hang_ignoring_every_polite_signal(tmp_path: Path) -> None:
    with _terminal(tmp_path, {"say": "ready"}, "ignore_term", {"say": "deaf"}, "hang") as terminal:
        terminal.until("deaf")
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            terminal.popen.send_signal(number)
        with pytest.raises(TimeoutError):
            terminal.read(0.3)
        assert terminal.popen.poll() is None
        terminal.popen.kill()
        assert terminal.end() == -9


@pytest.mark.parametrize("to", ["stdout", "stderr"])
def test_flood(tmp_path: Path, to: str) -> None:
    done = _run(tmp_path, {"flood": {"bytes": 3_000_000, "to": to}})
    assert 3_000_000 <= len(getattr(done, to)) < 3_001_000


def test_binary_output_does_not_hide_what_follows(tmp_path: Path) -> None:
    with _terminal(tmp_path, {"binary": 20_000}, WRITE) as terminal:
        terminal.until("Do you want to create src/x.py?")
        assert "split: \u00e9 \u6f22 \U0001f600" in terminal.screen.text()
        terminal.press(b"1")
        assert terminal.end() == 0


def test_write_outside_without_asking(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    _run(tmp_path / "in", {"write_outside": {"path": "../out.txt", "text": "o", "ask": False}})
    assert (tmp_path / "out.txt").read_text() == "o"


def test_memory_is_really_taken(tmp_path: Path) -> None:
    with _terminal(tmp_path, {"memory": 80}, {"say": "full"}, "hang") as terminal:
        terminal.until("full")
        assert psutil.Process(terminal.popen.pid).memory_info().rss > 80 << 20


def _pids(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().split()]


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _kill(pids: list[int]) -> None:
    for pid in pids:
        if psutil.pid_exists(pid):
            os.kill(pid, signal.SIGKILL)


def test_children_live_on_in_the_same_group(tmp_path: Path) -> None:
    pid_file = tmp_path / "pids"
    with _terminal(tmp_path, {"spawn_children": {"count": 3, "pid_file": str(pid_file)}}) as terminal:
        assert terminal.end() == 0
        pids = _pids(pid_file)
        try:
            assert len(pids) == 3
            assert {os.getpgid(pid) for pid in pids} == {terminal.popen.pid}
        finally:
            _kill(pids)


def test_a_daemon_has_left_the_tree_without_a_trace(tmp_path: Path) -> None:
    pid_file = tmp_path / "pids"
    done = _run(tmp_path, {"daemonise": {"pid_file": str(pid_file), "hops": 2}})
    pids = _pids(pid_file)
    try:
        assert done.returncode == 0
        assert len(set(pids)) == 3
        daemon = psutil.Process(pids[-1])
        assert os.getsid(daemon.pid) not in {os.getsid(0), 0}
        assert daemon.environ() == {}
        assert not any(_lives(pid) for pid in pids[:-1])
    finally:
        _kill(pids)


def test_a_held_output_stays_open_after_the_end(tmp_path: Path) -> None:
    pid_file = tmp_path / "pids"
    argv = [*PROGRAM, _prompt({"hold_output": {"pid_file": str(pid_file)}})]
    with subprocess.Popen(argv, cwd=tmp_path, env=ENV, stdout=subprocess.PIPE) as popen:
        assert popen.wait(10) == 0
        assert popen.stdout is not None
        text = b""
        while b"session" not in text or not text.rstrip().endswith(re.findall(rb"\$\S+", text)[-1:][0]):
            text += os.read(popen.stdout.fileno(), 4096)
        assert not select.select([popen.stdout], [], [], 0.2)[0], "the output ended with the program"
        _kill(_pids(pid_file))
        assert popen.stdout.read() == b""


def test_work_takes_its_time(tmp_path: Path) -> None:
    started = time.monotonic()
    done = _run(tmp_path, {"work": {"seconds": 0.5, "lines": ["one", "two"]}})
    assert time.monotonic() - started >= 0.5
    assert done.stdout.index("one") < done.stdout.index("two")
