"""Agents on a terminal: any interactive program, read through a screen model by its signature."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrator.agents.terminal_end import carried_out
from orchestrator.agents.terminal_page import Page
from orchestrator.agents.terminal_settings import TerminalSettings
from orchestrator.agents.terminal_signatures import Signature, load_signature
from orchestrator.agents.terminal_turn import Turn
from orchestrator.errors import InputError, SpawnError
from orchestrator.model.installation import Installation
from orchestrator.model.outcome import Outcome
from orchestrator.model.task import Task
from orchestrator.model.transcript import Role
from orchestrator.ports import OnOutput, Process, Session

#: Linux refuses a longer single argument.
_ARGUMENT_LIMIT = 128 * 1024
#: A prompt that begins otherwise could be an option or a command of the program.
_SPECIAL = re.compile(r"[^\w\"'(\[*]")


class TerminalAgent:
    """Drives one interactive program."""

    def __init__(self, settings: TerminalSettings) -> None:
        self.name = settings.name
        self.variables: Sequence[str] = settings.variables
        self._settings = settings

    def fault(self, task: Task) -> str | None:
        """Say why this agent cannot take the task: no program, a wrong signature, a prompt too long."""
        settings = self._settings
        if task.command:
            return f"agent `{self.name}` has a command of its own: leave out the task's `command`"
        if _program(settings, os.environ) is None:
            return (
                f"agent `{self.name}` needs `{settings.command[0]}`, which was not found; {_mend(settings)}"
            )
        try:
            load_signature(settings.signature, os.environ)
        except InputError as err:
            return f"agent `{self.name}`: {err.message}"
        if settings.prompt == "argument" and len(os.fsencode(task.prompt)) >= _ARGUMENT_LIMIT - 16:
            return f"the prompt is too long for an argument of `{self.name}` (128 KiB): put it into a file"
        if settings.prompt == "argument" and "\0" in task.prompt:
            return "a zero byte cannot be passed in an argument"
        return None

    def look(self, env: Mapping[str, str]) -> Installation:
        """Look for the program and a login; nothing is started."""
        settings = self._settings
        program = _program(settings, env)
        key = next((name for name in settings.keys if env.get(name)), None)
        lacks = [] if program else [_mend(settings)]
        if settings.keys and key is None:
            lacks.append(f"set {' or '.join(settings.keys)}")
        return Installation(
            channel="terminal",
            program=program,
            tested=settings.tested,
            login=f"{key} is set" if key else None,
            lacks=tuple(lacks),
        )

    async def run(self, session: Session) -> Outcome:
        """Carry the task out, answering the prompts it knows by `session.decide`."""
        program = _program(self._settings, session.env)
        if program is None:
            raise SpawnError(f"`{self._settings.command[0]}` was not found", hint=_mend(self._settings))
        signature = load_signature(self._settings.signature, os.environ)
        async with self._settings.prepare(session) as env:
            return await self._run(session, signature, _arguments(self._settings, session, program), env)

    async def _run(
        self, session: Session, signature: Signature, argv: Sequence[str], env: Mapping[str, str]
    ) -> Outcome:
        replies: asyncio.Queue[bytes] = asyncio.Queue()
        page = Page(signature, replies.put_nowait)
        own = {
            name: value.replace("{config_dir}", str(session.config_dir))
            for name, value in self._settings.env.items()
        }
        process = await _spawn(session, argv, {**own, **env}, page.receive)
        replying = asyncio.ensure_future(_reply(process, replies))
        ended = asyncio.ensure_future(process.wait())
        ended.add_done_callback(lambda _: page.changed.set())
        turn = Turn(
            session=session,
            process=process,
            page=page,
            ended=ended,
            records_dir=session.config_dir / self._settings.config_folder,
            typed=self._settings.prompt == "typed" and signature.idle is not None,
        )
        session.transcribe(Role.PROMPT, session.task.prompt)
        try:
            return await carried_out(turn)
        finally:
            replying.cancel()
            ended.cancel()


async def _spawn(session: Session, argv: Sequence[str], env: Mapping[str, str], heard: OnOutput) -> Process:
    return await session.spawn(argv, env=env, terminal=True, on_output=heard)


async def _reply(process: Process, replies: asyncio.Queue[bytes]) -> None:
    """Send what the terminal answers, in order."""
    while True:
        await process.write(await replies.get())


def _program(settings: TerminalSettings, env: Mapping[str, str]) -> Path | None:
    if settings.native is not None:
        native = settings.native(env)
        return native if isinstance(native, Path) else None
    found = shutil.which(settings.command[0], path=env.get("PATH", os.defpath))
    return Path(found) if found else None


def _mend(settings: TerminalSettings) -> str:
    return settings.install or f"install `{settings.command[0]}`, or correct the agent's command"


def _arguments(settings: TerminalSettings, session: Session, program: Path) -> list[str]:
    task = session.task
    model, resumed = task.model or "", session.resume_id or ""
    words = [
        *(word.replace("{session}", resumed) for word in settings.resume_arguments if resumed),
        *(word.replace("{model}", model) for word in settings.model_arguments if model),
        *settings.command[1:],
    ]
    place = {"argument": "{prompt}", "file": "{prompt_file}"}.get(settings.prompt)
    if place and not any(place in word for word in words):
        words.append(place)
    values = {"{prompt}": _as_argument(task.prompt), "{prompt_file}": str(session.prompt_file)}
    return [str(program), *(_filled(word, values) for word in words)]


def _filled(word: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\{prompt(?:_file)?\}", lambda found: values[found[0]], word)


def _as_argument(prompt: str) -> str:
    """Keep `-`, `/`, `!`, `@` and their like from acting."""
    return f"Task: {prompt}" if _SPECIAL.match(prompt) else prompt
