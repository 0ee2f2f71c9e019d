"""The settings of a run: their names, defaults and limits, and where state lives."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from orchestrator.errors import InputError

_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|)")
_HALT = re.compile(r"never|(?:soon|now),fail=[1-9]\d*%?")


def parse_duration(value: object) -> float:
    """Read seconds as a number, or a text such as `30m`, `90s`, `1.5h`, `1h30m`; must be above zero."""
    expected = "expected a duration above zero, such as 90, 90s, 30m or 1h30m"
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(expected)  # noqa: TRY004 (pydantic turns only ValueError into a fault)
    seconds = _seconds(value) if isinstance(value, str) else float(value)
    if seconds is None or not 0 < seconds < float("inf"):
        raise ValueError(expected)
    return seconds


def _seconds(text: str) -> float | None:
    parts = _DURATION.findall(text.strip())
    if not parts or _DURATION.sub("", text.strip()).strip():
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def _halt(value: object) -> object:
    if not isinstance(value, str) or not _HALT.fullmatch(value):
        raise ValueError("expected never, or a limit such as soon,fail=2 or now,fail=20%")
    return value


def _author(value: object) -> object:
    if not isinstance(value, str) or not re.fullmatch(r"[^<>\n]+ <[^<>\s]+>", value):
        raise ValueError("expected `Name <address>`")
    return value


Duration = Annotated[float, BeforeValidator(parse_duration)]
#: A program, or a command line for the shell; never empty.
CommandLine = Annotated[str, Field(min_length=1, pattern=r"\S")]
#: A name that an environment can hold.
VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class OrchestratorConfig(BaseModel):
    """The settings of a run, with the names that the task file uses. Durations become seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=False)

    def __init__(self, **values: Any) -> None:
        """Raise InputError, with every fault, when a value cannot be used."""
        try:
            super().__init__(**values)
        except ValidationError as err:
            raise InputError(_describe(err)) from err

    repo: Annotated[Path, Field(strict=False)] = Path()
    base: Annotated[str, Field(min_length=1)] = "HEAD"
    agent: str | None = None  #: None: `command` for a task with a command, else `claude`
    model: str | None = None
    max_workers: Annotated[int, Field(ge=1)] | None = None  #: None: from cores and memory
    timeout: Duration | None = 1800.0  #: the whole run; None: no limit
    isolation: Literal["auto", "worktree", "clone", "none"] = "auto"
    sandbox: Literal["auto", "on", "off"] = "auto"
    setup: tuple[CommandLine, ...] = Field(default=(), strict=False)
    setup_timeout: Duration = 600.0  #: for each `setup` command
    copy_files: tuple[str, ...] = Field(default=(), alias="copy", strict=False)
    verify: tuple[CommandLine, ...] = Field(default=(), strict=False)
    verify_timeout: Duration = 600.0  #: for each `verify` command
    halt: Annotated[str, BeforeValidator(_halt)] = "never"
    policy: str | None = None
    retries: Annotated[int, Field(ge=0)] = 0
    env: Mapping[VariableName, str] = {}
    pass_env: tuple[VariableName, ...] = Field(default=(), strict=False)  #: of the user's own environment
    author: Annotated[str, BeforeValidator(_author)] = "orchestrator <orchestrator@localhost>"
    keep: Literal["never", "failed", "always"] = "never"  #: which workspaces stay after the run
    log_limit: Annotated[int, Field(ge=4096)] = 64 * 1024 * 1024  #: bytes kept of each log

    @classmethod
    def default(cls) -> Self:
        """Return the settings that nobody changed."""
        return cls()


def _describe(err: ValidationError) -> str:
    """One line per fault: the field's name, what was given and what was expected."""
    return "\n".join(
        f"{'.'.join(str(part) for part in fault['loc']) or 'config'}: "
        f"{fault['msg'].removeprefix('Value error, ')} (got {fault['input']!r})"
        for fault in err.errors()
    )


def home() -> Path:
    """Where state and workspaces live: $ORCHESTRATOR_HOME, else the user's XDG state folder."""
    if chosen := os.environ.get("ORCHESTRATOR_HOME"):
        return Path(chosen).expanduser().absolute()
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state).absolute() if state else Path.home() / ".local" / "state") / "orchestrator"


def runs_dir() -> Path:
    """One folder per run: its journal, its lock and its logs."""
    return home() / "runs"


def workspaces_dir() -> Path:
    """One folder per run: its workers' checkouts."""
    return home() / "workspaces"
