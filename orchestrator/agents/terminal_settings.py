"""What makes one agent on a terminal differ from another: plain data."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from orchestrator.ports import Session

#: Lays out the worker's own settings; gives variables for the program's environment.
Prepare = Callable[[Session], AbstractAsyncContextManager[Mapping[str, str]]]


@asynccontextmanager
async def no_preparation(session: Session) -> AsyncIterator[Mapping[str, str]]:
    """The program needs no files of its own."""
    del session
    yield {}


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminalSettings:
    """One interactive program, and how to hand it a task."""

    name: str
    command: tuple[str, ...]
    signature: str = "plain"  #: the name of a signature, or the path of a file
    #: `argument`: put in the place of {prompt}, or last. `file`: {prompt_file}. `typed`: as one line.
    prompt: Literal["argument", "file", "typed"] = "typed"
    env: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))  #: with {config_dir}
    variables: tuple[str, ...] = ()  #: names of the user's variables that pass to it
    keys: tuple[str, ...] = ()  #: any one of these variables is a login
    model_arguments: tuple[str, ...] = ()  #: with {model}
    resume_arguments: tuple[str, ...] = ()  #: with {session}; they come right after the program
    prepare: Prepare = no_preparation
    config_folder: str = ""  #: below the worker's own folder: where its session files lie
    native: Callable[[Mapping[str, str]], object] | None = None  #: finds the program where PATH is not enough
    tested: tuple[str, ...] = ()
    install: str | None = None  #: how a person gets it
