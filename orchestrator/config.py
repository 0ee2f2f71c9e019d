"""The settings of a run: their names, defaults and limits, and where state lives."""

from __future__ import annotations

import os
import re
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from orchestrator.errors import InputError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PARTS = r"\s*".join(rf"(?:([0-9]+(?:\.[0-9]+)?)\s*{unit})?" for unit in _UNITS)
_DURATION = re.compile(_PARTS)
_SECONDS = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_SIZES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,6})?)\s*([KMGTkmgt]?)(?:i?B)?")
_LONGEST = 3650 * 86400.0
_HALT = re.compile(r"never|(?:soon|now),(?:fail|success|done)=(?:[1-9][0-9]*|(?:[1-9][0-9]?|100)%)")
_PERCENT = re.compile(r"([1-9][0-9]{0,4}(?:\.[0-9]{1,3})?)\s*%")
_COUNTS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}
_COUNT = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)\s*([KMGkmg]?)")
_AUTHOR = re.compile(r"[^<>\x00-\x1f]*[^<>\s\x00-\x1f][^<>\x00-\x1f]* <[^<>\s\x00-\x1f]+>")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_AGENT_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
#: Names that mean the same to everybody; nobody can define another agent by them.
BUILT_IN_AGENTS = frozenset(
    {
        *("command", "demo", "claude", "codex", "gemini", "opencode", "qwen", "claude-acp", "codex-acp"),
        *("claude-terminal", "codex-terminal", "gemini-terminal", "aider", "mini-swe-agent"),
    }
)


def parse_duration(value: object) -> float:
    """Read seconds as a number, or a text such as `30m`, `90s`, `1.5h`, `1h30m`; must be above zero."""
    seconds = _seconds(value) if isinstance(value, str) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= _LONGEST:
        raise ValueError("expected a duration above zero and below ten years, such as 90, 90s, 30m or 1h30m")
    return float(seconds)


def _seconds(text: str) -> float | None:
    text = text.strip()
    if len(text) > 40 or not text:
        return None
    if _SECONDS.fullmatch(text):
        return float(text)
    parts = _DURATION.fullmatch(text)
    if not parts:
        return None
    return sum(
        float(number or 0) * size for number, size in zip(parts.groups(), _UNITS.values(), strict=True)
    )


def parse_size(value: object) -> int:
    """Read bytes as a whole number, or a text such as `512M`, `2G` or `1.5 GiB`; must be above zero."""
    size = value
    if isinstance(value, str) and (parts := _SIZE.fullmatch(value.strip())):
        size = int(float(parts[1]) * _SIZES[(parts[2] or "").upper()])
    if isinstance(size, bool) or not isinstance(size, int) or not 0 < size < 1 << 60:
        raise ValueError("expected a size in bytes, or such as 512M or 2G")
    return size


def parse_count(value: object) -> int:
    """Read a whole number, or a text such as `500K` or `5M` (thousands, millions); must be above zero."""
    count = value
    if isinstance(value, str) and (parts := _COUNT.fullmatch(value.strip())):
        count = int(float(parts[1]) * _COUNTS[parts[2].upper()])
    if isinstance(count, bool) or not isinstance(count, int) or not 0 < count < 1 << 60:
        raise ValueError("expected a whole number above zero, or such as 500K or 5M")
    return count


def parse_time_limit(value: object) -> float | str:
    """Read a duration, or a percentage of the median of finished tasks such as `200%`."""
    if isinstance(value, str) and (parts := _PERCENT.fullmatch(value.strip())):
        return f"{float(parts[1]):g}%"
    try:
        return parse_duration(value)
    except ValueError as err:
        raise ValueError(f"{err}, or a percentage such as 200%") from None


def split_time_limit(limit: float | str | None) -> tuple[float | None, float | None]:
    """Return the seconds and the percentage of a time limit; one of them, or none."""
    if isinstance(limit, str):
        return None, float(limit.rstrip("%"))
    return limit, None


def _halt(value: object) -> object:
    if not isinstance(value, str) or not _HALT.fullmatch(value):
        raise ValueError("expected never, or a limit such as soon,fail=2, now,fail=20% or soon,success=1")
    return value


def _author(value: object) -> object:
    if not isinstance(value, str) or not _AUTHOR.fullmatch(value):
        raise ValueError("expected `Name <address>`")
    return value


def text_fault(value: str) -> str | None:
    """Say why no file, argument or variable can hold `value`; None when they can."""
    if "\0" in value:
        return "expected text without NUL characters"
    return "expected text that UTF-8 can hold" if _SURROGATE.search(value) else None


def _text(value: str) -> str:
    if fault := text_fault(value):
        raise ValueError(fault)
    return value


def _filled(value: str) -> str:
    if not value.strip():
        raise ValueError("expected text, not nothing")
    return _text(value)


def _variable(value: str) -> str:
    if not _VARIABLE.fullmatch(value):
        raise ValueError("expected a variable name of A-Z a-z 0-9 _, not starting with a digit")
    return value


def _agent_name(value: str) -> str:
    if not _AGENT_NAME.fullmatch(value):
        raise ValueError("expected a name of 1 to 64 of a-z 0-9 . _ -, not starting with . _ -")
    if value in BUILT_IN_AGENTS:
        raise ValueError("the name of a built-in agent; give yours another one")
    return value


_DURATION_SCHEMA = {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string"}]}
Duration = Annotated[float, BeforeValidator(parse_duration), WithJsonSchema(_DURATION_SCHEMA)]
_SIZE_SCHEMA = {"anyOf": [{"type": "integer", "exclusiveMinimum": 0}, {"type": "string"}]}
Size = Annotated[int, BeforeValidator(parse_size), WithJsonSchema(_SIZE_SCHEMA)]
#: Seconds, or a percentage such as `200%`.
TimeLimit = Annotated[float | str, BeforeValidator(parse_time_limit), WithJsonSchema(_DURATION_SCHEMA)]
Count = Annotated[int, BeforeValidator(parse_count), WithJsonSchema(_SIZE_SCHEMA)]
#: US dollars.
Cost = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Percent = Annotated[float, Field(gt=0, le=100)]
#: Text that a program's arguments and environment can hold.
Text = Annotated[str, AfterValidator(_text)]
#: The same, and never empty or blank.
FilledText = Annotated[str, AfterValidator(_filled)]
#: A program, or a command line for the shell; never empty.
CommandLine = FilledText
#: A name that an environment can hold.
VariableName = Annotated[str, AfterValidator(_variable)]
#: A name that tasks can call an agent by.
AgentName = Annotated[str, AfterValidator(_agent_name)]

#: How each channel can hand a prompt over; the first is what it does unless told.
PROMPT_WAYS = {
    "command": ("stdin", "argument", "file", "typed"),
    "acp": (),
    "terminal": ("argument", "typed", "file"),
}


class AgentKeys(BaseModel):
    """An agent that the user defines: a program, and how to drive it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    command: Annotated[tuple[FilledText, ...], Field(strict=False)]
    channel: Literal["command", "acp", "terminal"] = "command"
    env: Mapping[VariableName, Text] = {}
    pass_env: tuple[VariableName, ...] = Field(default=(), strict=False)  #: of the user's own environment
    model: tuple[FilledText, ...] = Field(default=(), strict=False)  #: arguments that name the model
    prompt: Literal["argument", "stdin", "file", "typed"] | None = None  #: None: as fits the channel
    signature: Annotated[FilledText | None, Field(validate_default=True)] = (
        None  #: what describes its screens: a shipped one's name, or a file
    )
    install: FilledText | None = None  #: what a person has to do to get it

    @field_validator("command", mode="before")
    @classmethod
    def _check_command(cls, value: object) -> object:
        if isinstance(value, str):
            raise ValueError('expected a list of words, such as ["tool", "--flag"]')  # noqa: TRY004 (pydantic)
        if isinstance(value, list | tuple) and not value:
            raise ValueError("expected a program to run, not an empty list")
        return value

    @field_validator("model")
    @classmethod
    def _check_model(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if value and not any("{model}" in word for word in value):
            raise ValueError('expected arguments with {model} in them, such as ["--model", "{model}"]')
        return value

    @field_validator("prompt")
    @classmethod
    def _check_prompt(cls, value: str | None, info: ValidationInfo) -> str | None:
        ways = PROMPT_WAYS.get(info.data.get("channel", ""), (value,))
        if value is not None and value not in ways:
            channel = info.data["channel"]
            raise ValueError(
                f"expected {' or '.join(map(str, ways))} for channel `{channel}`"
                if ways
                else f"expected nothing: channel `{channel}` has its own way to hand a prompt over"
            )
        return value

    @field_validator("signature")
    @classmethod
    def _check_signature(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("channel", "terminal") != "terminal":
            raise ValueError("expected nothing: only channel `terminal` reads screens")
        if value is None and (info.data.get("channel"), info.data.get("prompt")) == ("terminal", "typed"):
            raise ValueError("expected a signature: it says when the program is ready to be typed to")
        return value


class BudgetKeys(BaseModel):
    """What a run may cost. Without a limit nothing is held back."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    cost: Cost | None = None  #: in US dollars
    tokens: Count | None = None
    expected_cost: Price = 1.0  #: of an attempt that did not tell, and of the first ones
    expected_tokens: Count = 1_000_000
    stop: Literal["soon", "now"] = "soon"  #: once it is spent: start nothing more, or stop what runs too


class JudgeKeys(BaseModel):
    """Who chooses among the variants of a task: a program, asked and answering in JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    command: Annotated[tuple[FilledText, ...], Field(strict=False, min_length=1)]


class PressureKeys(BaseModel):
    """Beyond which share of the last ten seconds nothing starts, in percent; None: whatever it is.

    Linux counts how long some process waited for the processor, and how long all of them waited for memory
    and for the disk.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    cpu: Percent | None = None
    memory: Percent | None = 20.0
    io: Percent | None = 60.0


class OrchestratorConfig(BaseModel):
    """The settings of a run, with the names that the task file uses. Durations become seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    def __init__(self, /, **values: Any) -> None:
        """Raise InputError, with every fault, when a value cannot be used."""
        try:
            super().__init__(**values)
        except ValidationError as err:
            raise InputError("\n".join(str(fault) for fault in faults_of(err, type(self)))) from err

    repo: Annotated[Path, Field(strict=False)] = Path()
    base: FilledText = "HEAD"
    agent: FilledText | None = None  #: None: `command` for a task with a command, else `claude`
    agents: Mapping[AgentName, AgentKeys] = {}  #: the user's own, by name
    model: FilledText | None = None
    max_workers: Annotated[int, Field(ge=1)] | None = None  #: None: from cores and memory
    timeout: Duration | None = 1800.0  #: the whole run; None: no limit
    task_timeout: TimeLimit | None = None  #: for each attempt's agent, unless its task has a `timeout`
    fallback: tuple[FilledText, ...] = Field(default=(), strict=False)  #: agents to go on with at a limit
    isolation: Literal["auto", "worktree", "clone", "none"] = "auto"
    sandbox: Literal["auto", "on", "off"] = "auto"
    network: Literal["shared", "none"] | Annotated[tuple[FilledText, ...], Field(strict=False)] = "shared"
    readable: tuple[FilledText, ...] = Field(default=(), strict=False)  #: of your home, for sandboxed agents
    writable: tuple[FilledText, ...] = Field(default=(), strict=False)
    setup: tuple[CommandLine, ...] = Field(default=(), strict=False)
    setup_timeout: Duration = 600.0  #: for each `setup` command
    copy_files: tuple[FilledText, ...] = Field(default=(), alias="copy", strict=False)
    verify: tuple[CommandLine, ...] = Field(default=(), strict=False)
    verify_timeout: Duration = 600.0  #: for each `verify` command
    judge: JudgeKeys | None = None  #: chooses among variants that succeeded
    fix_rounds: Annotated[int, Field(ge=0, le=20)] = 0  #: how often a failing gate is given back to its agent
    resolve_rounds: Annotated[int, Field(ge=0, le=20)] = 0  #: how often a conflict is given to its agent
    verify_retries: Annotated[int, Field(ge=0, le=100)] = 0  #: how often a failing gate is run again
    base_gate: Literal["warn", "require", "off"] = "warn"  #: the gate on the base commit
    land: bool = False  #: at the end of the run, put together what succeeded
    union: tuple[FilledText, ...] = Field(default=(), strict=False)  #: files whose lines of both sides stay
    lock_files: Mapping[FilledText, CommandLine] = {}  #: what makes each anew; never merged as text
    halt: Annotated[str, BeforeValidator(_halt)] = "never"
    policy: FilledText | None = None
    ask_timeout: Duration = 600.0  #: how long a question waits for a person before it is denied
    budget: BudgetKeys = BudgetKeys()
    max_cost: Cost | None = None  #: in US dollars, for each attempt of a task that names no other
    retries: Annotated[int, Field(ge=0)] = 0
    env: Mapping[VariableName, Text] = {}
    pass_env: tuple[VariableName, ...] = Field(default=(), strict=False)  #: of the user's own environment
    author: Annotated[str, BeforeValidator(_author)] = "orchestrator <orchestrator@localhost>"
    keep: Literal["never", "failed", "always"] = "never"  #: which workspaces stay after the run
    salvage_ignored: bool = False  #: ignored files are kept too before a workspace goes
    log_limit: Annotated[int, Field(ge=4096)] = 64 * 1024 * 1024  #: bytes kept of each log

    max_memory: Size | None = None  #: of all processes of one worker together
    max_processes: Annotated[int, Field(ge=1)] | None = None  #: of one worker at once
    max_disk: Size | None = None  #: that one worker's workspace and TMPDIR may grow by
    min_free_memory: Size | None = None  #: nothing starts below it; None: 256 MiB
    min_free_disk: Size | None = None  #: where workspaces lie; None: 256 MiB, or a twentieth of a small disk
    max_pressure: PressureKeys = PressureKeys()
    start_interval: Duration | None = None  #: between two starts of one agent
    tripwire: Literal["all", "git", "off"] = "all"  #: what of yours must not change under running agents

    @classmethod
    def default(cls) -> Self:
        """Return the settings that nobody changed."""
        return cls()


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with values that a person wrote."""

    where: tuple[str | int, ...]  #: the keys and indexes that lead to it
    message: str
    kind: str = ""  #: pydantic's word for it
    at_key: bool = False  #: the key itself is wrong, not its value

    def under(self, where: tuple[str | int, ...]) -> Self:
        """Return the fault as seen from further up."""
        return replace(self, where=where + self.where)

    def __str__(self) -> str:
        return f"{'.'.join(str(part) for part in self.where)}: {self.message}".removeprefix(": ")


#: Our words for pydantic's kinds of faults; `{…}` comes from the fault's own context.
_WORDS = {
    "missing": "missing; expected a value for this key",
    "string_type": "expected text",
    "string_unicode": "expected text that UTF-8 can hold",
    "int_type": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_type": "expected a number",
    "bool_type": "expected true or false",
    "path_type": "expected a path",
    "tuple_type": "expected a list",
    "mapping_type": "expected a mapping of keys to values",
    "dict_type": "expected a mapping of keys to values",
    "greater_than": "expected more than {gt}",
    "finite_number": "expected a number that is not endless",
    "greater_than_equal": "expected {ge} or more",
    "literal_error": "expected one of {expected}",
    "invalid_key": "expected text as the key",
}


def faults_of(err: ValidationError, model: type[BaseModel]) -> list[Fault]:
    """Put pydantic's faults into our words, with the right key suggested for one that is mistyped."""
    return [_fault(details, _keys_at(model, details["loc"])) for details in err.errors(include_url=False)]


def _keys_at(model: type[BaseModel], where: Sequence[str | int]) -> list[str]:
    """Name the keys of `model`, or of an agent's definition within it."""
    parts: dict[str | int, type[BaseModel]] = {"budget": BudgetKeys, "max_pressure": PressureKeys}
    within = AgentKeys if len(where) > 2 and where[0] == "agents" else model
    if len(where) > 1 and model is OrchestratorConfig:
        within = parts.get(where[0], within)
    return [field.alias or name for name, field in within.model_fields.items()]


def _fault(details: ErrorDetails, keys: Sequence[str]) -> Fault:
    where, kind = details["loc"], details["type"]
    at_key = where[-1:] == ("[key]",)
    if kind == "extra_forbidden":
        return Fault(where, "unknown key; " + suggestion(str(where[-1]), keys), kind, at_key=True)
    words = _WORDS.get(kind, details["msg"].removeprefix("Value error, "))
    message = words.format(**details.get("ctx", {})) if kind in _WORDS else words
    if kind != "missing":
        message += f" (got {_short(details['input'])})"
    return Fault(where[:-1] if at_key else where, message, kind, at_key=at_key)


def suggestion(wrong: str, right: Sequence[str]) -> str:
    """Name the nearest of the `right` words, or all of them when none is near."""
    near = get_close_matches(wrong.lower().replace("-", "_"), right, n=1)
    return f"did you mean `{near[0]}`?" if near else f"expected one of {', '.join(right)}"


def _short(value: object) -> str:
    """Show a value without its content where that could be long or deep: aliases make small bombs."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple | set | frozenset):
        return "a list"
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else value[:59] + "…")
    if value is None:
        return "nothing"
    if isinstance(value, int) and value.bit_length() > 128:
        return "a huge number"
    return reprlib.repr(value)


def home() -> Path:
    """Where state and workspaces live: $ORCHESTRATOR_HOME, else the user's XDG state folder."""
    if chosen := os.environ.get("ORCHESTRATOR_HOME"):
        return Path(chosen).expanduser().absolute()
    state = os.environ.get("XDG_STATE_HOME")
    # Its specification says to ignore a relative path.
    base = Path(state) if state and Path(state).is_absolute() else Path.home() / ".local" / "state"
    return base / "orchestrator"


def settings_dir() -> Path:
    """Where the user's own settings for all repositories live: the XDG configuration folder."""
    chosen = os.environ.get("XDG_CONFIG_HOME")
    base = Path(chosen) if chosen and Path(chosen).is_absolute() else Path.home() / ".config"
    return base / "orchestrator"


def runs_dir() -> Path:
    """One folder per run: its journal, its lock and its logs."""
    return home() / "runs"


def workspaces_dir() -> Path:
    """One folder per run: its workers' checkouts."""
    return home() / "workspaces"
