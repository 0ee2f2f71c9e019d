"""The agent `command`: any program. It succeeds when it exits with status 0."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath

from orchestrator.model.outcome import Outcome, ProcessExit
from orchestrator.model.result import Status
from orchestrator.model.task import Task
from orchestrator.ports import Process, Session
from orchestrator.safe_text import final_text, last_line

_PLACEHOLDER = re.compile(r"\{(prompt|prompt_file)\}")
#: Control characters would act as keys on a terminal; a line feed and a tab are text.
_KEYS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
#: Linux refuses a longer single argument (MAX_ARG_STRLEN), its closing zero included.
_ARGUMENT_LIMIT = 128 * 1024
#: A program on a terminal is ready for keys when it has written and fallen quiet, or after this long.
_READY_S = 1.0
_QUIET_S = 0.1


class CommandAgent:
    """Runs `command`, with the prompt in its arguments, or else on its standard input."""

    name = "command"

    def fault(self, task: Task) -> str | None:
        """Say why this task's command cannot be run."""
        if not task.command:
            return 'agent `command` needs a command, such as command: ["python", "tool.py"]'
        return argument_fault(task.command, task.prompt)

    async def run(self, session: Session) -> Outcome:
        """Run the command to its end."""
        return await run_command(session, session.task.command, terminal=session.task.terminal)


def argument_fault(command: Sequence[str], prompt: str) -> str | None:
    """Say why `prompt` cannot be passed in the arguments of `command`; None when it can, or is not."""
    for argument in _arguments(command, prompt, prompt_file=""):
        if "\0" in argument:
            return "a zero byte cannot be passed in an argument: use {prompt_file} instead of {prompt}"
        if len(os.fsencode(argument)) >= _ARGUMENT_LIMIT:
            return "the prompt is too long for an argument (128 KiB): use {prompt_file} instead of {prompt}"
    return None


async def run_command(
    session: Session, command: Sequence[str], *, terminal: bool, env: Mapping[str, str] | None = None
) -> Outcome:
    """Run `command` to its end; a prompt that is not in its arguments is typed, or is its standard input."""
    prompt = session.task.prompt
    argv = _arguments(command, prompt, prompt_file=str(session.prompt_file))
    process = await session.spawn(argv, terminal=terminal, env=env)
    if any(map(_PLACEHOLDER.search, command)):
        await process.close_input()
    elif terminal:
        await _type(process, prompt)
    else:
        await process.write(prompt.encode())
        await process.close_input()
    return _outcome(argv[0], await process.wait(), process.tail())


def _arguments(command: Sequence[str], prompt: str, *, prompt_file: str) -> list[str]:
    values = {"prompt": prompt, "prompt_file": prompt_file}
    return [_PLACEHOLDER.sub(lambda found: values[found[1]], argument) for argument in command]


async def _type(process: Process, prompt: str) -> None:
    """Type the prompt, then Enter by itself: together they look like a paste, which does not submit."""
    await _ready(process)
    await process.write(_KEYS.sub("", prompt.strip()).encode())
    await asyncio.sleep(_QUIET_S)
    await process.write(b"\r")


async def _ready(process: Process) -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()
    while loop.time() - started < _READY_S:
        if process.tail() and loop.time() - process.last_output >= _QUIET_S:
            return
        await asyncio.sleep(_QUIET_S / 4)


def _outcome(program: str, end: ProcessExit, tail: bytes) -> Outcome:
    output = final_text(tail)
    if end.exit_code == 0:
        return Outcome(status=Status.SUCCEEDED, output=output, exit=end)
    said = last_line(tail)
    return Outcome(
        status=Status.FAILED,
        output=output,
        error_message=f"`{PurePath(program).name}` {end.describe()}" + (f": {said}" if said else ""),
        error_kind="signal" if end.signal else "exit_status",
        exit=end,
    )
