"""What makes one ACP agent differ from another: plain data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType


def no_files(env: Mapping[str, str], workspace: Path) -> Mapping[str, str]:
    """The agent needs no files of its own."""
    del env, workspace
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class AcpSettings:
    """One agent that speaks the Agent Client Protocol on its standard streams."""

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    #: Names of the user's variables that pass to it.
    variables: tuple[str, ...] = ()
    #: Any one of these variables is a login.
    keys: tuple[str, ...] = ()
    #: A file below the user's home that is a login as well.
    login_file: str | None = None
    #: Files to lay below the worker's own folder before a start, from the environment and the workspace.
    files: Callable[[Mapping[str, str], Path], Mapping[str, str]] = no_files
    model_arguments: tuple[str, ...] = ()  #: with {model}; empty: the model is chosen through the protocol
    mode: str | None = None  #: the mode in which it asks; None: the first that is known to
    auth_method: str | None = None  #: to log in with when it asks for that and a key is there
    client_files: bool = True  #: offer to read and write files for it, each one judged
    command_in_title: bool = False  #: a shell command is the title of its tool call, in full
    usage_is_whole: bool = True  #: its figures are for the whole turn
    version_arguments: tuple[str, ...] = ("--version",)
    tested: tuple[str, ...] = ()
    install: str | None = None  #: how a person gets it
