"""Any program is an agent: the prompt reaches it, its exit status decides."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.agents.command import CommandAgent
from orchestrator.errors import SpawnError
from orchestrator.model.outcome import Outcome
from orchestrator.model.result import Status
from orchestrator.model.task import Task
from tests.integration.demo_fixtures import SmallSession, session

SHOW_ARGUMENTS = (sys.executable, "-c", "import sys; print(sys.argv[1:])")
SHOW_INPUT = (sys.executable, "-c", "import sys; print(ascii(sys.stdin.read()))")


def _run(run: SmallSession) -> Outcome:
    return asyncio.run(asyncio.wait_for(CommandAgent().run(run), 20))


def _fault(prompt: str, *command: str) -> str | None:
    return CommandAgent().fault(Task(id="t", name="t", prompt=prompt, command=command))


def test_placeholders_are_replaced_and_other_braces_are_not(tmp_path: Path) -> None:
    command = (*SHOW_ARGUMENTS, "--p={prompt}", "{prompt_file}", "{x}", "{}", "{{prompt}}", "$HOME;`id`")
    run = session(tmp_path, "say {prompt_file}; $(touch x)", command=command)
    shown = [
        "--p=say {prompt_file}; $(touch x)",
        str(run.prompt_file),
        "{x}",
        "{}",
        "{say {prompt_file}; $(touch x)}",
    ]
    assert _run(run).output == str([*shown, "$HOME;`id`"])


def test_without_a_placeholder_the_prompt_comes_on_standard_input(tmp_path: Path) -> None:
    outcome = _run(session(tmp_path, "na\u00efve\nprompt", command=SHOW_INPUT))
    assert (outcome.status, outcome.output) == (Status.SUCCEEDED, "'na\\xefve\\nprompt'")


def test_with_a_placeholder_standard_input_is_empty(tmp_path: Path) -> None:
    assert _run(session(tmp_path, "p", command=(*SHOW_INPUT, "{prompt}"))).output == "''"


def test_a_large_prompt_to_a_program_that_never_reads_it(tmp_path: Path) -> None:
    assert _run(session(tmp_path, "x" * 1_000_000, command=("true",))).status is Status.SUCCEEDED


@pytest.mark.parametrize(
    ("line", "message", "kind"),
    [
        ("echo out; echo why >&2; exit 3", "`sh` exited with status 3: why", "exit_status"),
        ("exit 7", "`sh` exited with status 7", "exit_status"),
        ("kill -9 $$", "`sh` was ended by SIGKILL", "signal"),
    ],
)
def test_anything_but_status_0_is_a_failure(tmp_path: Path, line: str, message: str, kind: str) -> None:
    outcome = _run(session(tmp_path, command=("/bin/sh", "-c", line)))
    assert (outcome.status, outcome.error_message, outcome.error_kind) == (Status.FAILED, message, kind)


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SpawnError, match="no-such-program"):
        _run(session(tmp_path, command=("no-such-program",)))


def test_on_a_terminal_the_prompt_is_typed_and_entered(tmp_path: Path) -> None:
    program = "import sys, os; print(os.isatty(0)); print('got', ascii(input('> ')))"
    run = session(
        tmp_path, "type \u00e9 this\x03\x1b[A\n", command=(sys.executable, "-c", program), terminal=True
    )
    outcome = _run(run)
    assert outcome.status is Status.SUCCEEDED
    assert outcome.output.endswith("got 'type \\xe9 this[A'")
    assert outcome.output.startswith("True")


def test_on_a_terminal_enter_comes_apart_from_the_text(tmp_path: Path) -> None:
    program = (
        "import os, tty; tty.setraw(0); print('ready', end='', flush=True); got = [];\n"
        "while not got or got[-1] != b'\\r': got.append(os.read(0, 100))\n"
        "print(got)"
    )
    outcome = _run(session(tmp_path, "two\nlines", command=(sys.executable, "-c", program), terminal=True))
    assert outcome.output.endswith(r"[b'two\nlines', b'\r']")


@pytest.mark.parametrize(
    ("prompt", "command", "said"),
    [
        ("p", (), "needs a command"),
        ("x" * 128 * 1024, ("tool", "{prompt}"), "too long for an argument"),
        ("\u00e9" * 64 * 1024, ("tool", "{prompt}"), "{prompt_file}"),
        ("a\0b", ("tool", "{prompt}"), "zero byte"),
    ],
)
def test_what_cannot_be_run_is_said_before_the_start(
    prompt: str, command: tuple[str, ...], said: str
) -> None:
    assert said in (_fault(prompt, *command) or "")


@pytest.mark.parametrize(
    "values", [("x" * 10**6, "tool"), ("x" * 10**6, "tool", "{prompt_file}"), ("p", "tool", "{prompt}")]
)
def test_what_can_be_run_has_no_fault(values: Any) -> None:
    assert _fault(*values) is None
