"""Signatures: how one version of a program's screens look when it works, asks, or is done. Data, in YAML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from orchestrator.errors import InputError
from orchestrator.model.outcome import TurnEnd
from orchestrator.model.request import Tool

#: A user's own signatures are looked for here, below `$XDG_CONFIG_HOME`; one with a shipped name replaces it.
USER_FOLDER = Path("orchestrator") / "signatures"
#: A larger file is no signature.
_FILE_LIMIT = 256 * 1024
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


def _compiled(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("expected a regular expression, as text")  # noqa: TRY004 (pydantic reports it so)
    try:
        return re.compile(value)
    except re.error as err:
        raise ValueError(f"not a regular expression: {err}") from err


#: Matches whole rows of the page, or several joined by newlines.
Pattern = Annotated[re.Pattern[str], BeforeValidator(_compiled)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Idle(_Strict):
    """The main prompt: the cursor's row, and the cursor's column when it is always the same."""

    row: Pattern
    column: int | None = None


class Failure(_Strict):
    """A row that says why a turn came to nothing."""

    row: Pattern
    kind: TurnEnd


class Prompt(_Strict):
    """One question that the program is known to ask.

    From top to bottom: `start`, `body`, `question` if it has one, then options and `footer`, which ends the
    page. A prompt that is answered by keys has no options: its question is the cursor's row.
    """

    name: str
    tool: Tool
    start: Pattern
    body: Pattern | None = None  #: the rows between start and question; groups command, path, url
    question: Pattern | None = None
    allow: Pattern | None = None  #: the label of the option that allows this once
    deny: Pattern | None = None
    footer: tuple[Pattern, ...] = ()
    answer: Literal["number", "number-enter", "arrows", "keys"]
    allow_keys: tuple[str, ...] = ()
    deny_keys: tuple[str, ...] = ()  #: `{reason}` stands for the reason
    cursor: Literal["footer", "pointer", "below", "question"]
    #: Answered without asking anybody: only for what grants nothing.
    settled: Literal["allow", "deny"] | None = None
    doubt: str | None = None  #: why what it shows is never certain
    unmark: Pattern | None = None  #: a row of the command as it is shown; group text

    @model_validator(mode="after")
    def _whole(self) -> Prompt:
        if self.answer == "keys":
            if not (self.allow_keys and self.deny_keys and self.question):
                raise ValueError("answer `keys` needs question, allow_keys and deny_keys")
        elif self.allow is None or self.deny is None:
            raise ValueError(f"answer `{self.answer}` needs the labels `allow` and `deny`")
        return self


class Signature(_Strict):
    """How to read one program's screens."""

    version: Literal[1]
    name: str = Field(pattern=_NAME.pattern)
    program: str
    tested: tuple[str, ...] = ()
    records: Literal["claude", "codex"] | None = None  #: its session files tell exact arguments
    option: Pattern | None = None  #: a row of an option; groups pointer, number, label
    frame: Pattern | None = None  #: a row within a box; group row
    cut: tuple[Pattern, ...] = ()  #: rows that say that something is not shown
    margin: int = Field(default=10, ge=0, le=60)  #: a row that comes so near to the edge may be wrapped
    #: Found in one of the page's last rows while it works. Without any, silence is no question.
    working: tuple[Pattern, ...] = ()
    working_rows: int = Field(default=8, ge=1, le=100)
    finished: tuple[Pattern, ...] = ()  #: rows that only a finished turn leaves
    idle: Idle | None = None  #: without one, the program's exit is the end of its turn
    typed: Pattern | None = None  #: the first row of its input box with text in it; group text
    failures: tuple[Failure, ...] = ()
    message: Pattern | None = None  #: the first row of the agent's last message; group text
    session: Pattern | None = None  #: where the program tells its session's id, at its end; group id
    usage: Pattern | None = None  #: the same for tokens; groups input, output
    leave: tuple[str, ...] = ()  #: keys that end the program
    prompts: tuple[Prompt, ...] = ()

    @model_validator(mode="after")
    def _complete(self) -> Signature:
        if self.option is None and any(prompt.allow for prompt in self.prompts):
            raise ValueError("prompts with options need `option`, the pattern of an option's row")
        return self


def load_signature(name: str, env: Mapping[str, str]) -> Signature:
    """Return the signature of that name or at that path. Raises InputError, saying what is wrong with it."""
    if "/" in name or name.endswith((".yaml", ".yml")):
        return _read(Path(name))
    if not _NAME.fullmatch(name):
        raise InputError(f"`{name}` is no name of a signature", hint="use letters, digits and `-`, or a path")
    own = user_folder(env) / f"{name}.yaml"
    if own.is_file():
        return _read(own)
    shipped = files("orchestrator.agents") / "signatures" / f"{name}.yaml"
    if not shipped.is_file():
        raise InputError(
            f"there is no signature `{name}`; shipped are: {', '.join(shipped_names())}",
            hint=f"put your own into {own}",
        )
    return _shipped(name)


def user_folder(env: Mapping[str, str]) -> Path:
    """Return where a user's own signatures lie."""
    home = env.get("XDG_CONFIG_HOME") or str(Path(env.get("HOME", "/")) / ".config")
    return Path(home) / USER_FOLDER


def shipped_names() -> tuple[str, ...]:
    """Return the names of the signatures that come with the package."""
    folder = files("orchestrator.agents") / "signatures"
    return tuple(sorted(Path(item.name).stem for item in folder.iterdir() if item.name.endswith(".yaml")))


@cache
def _shipped(name: str) -> Signature:
    source = files("orchestrator.agents") / "signatures" / f"{name}.yaml"
    return _parse(source.read_text(encoding="utf-8"), f"{name}.yaml")


def _read(path: Path) -> Signature:
    try:
        if path.stat().st_size > _FILE_LIMIT:
            raise InputError(f"{path} is too large for a signature")
        return _parse(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as err:
        raise InputError(f"the signature {path} cannot be read: {err}") from err


def _parse(text: str, where: str) -> Signature:
    try:
        document: Any = yaml.safe_load(text)
        return Signature.model_validate(document)
    except yaml.YAMLError as err:
        raise InputError(f"{where}: not YAML: {err}") from err
    except ValidationError as err:
        faults = [
            f"{where}: {'.'.join(map(str, fault['loc']))}: {fault['msg']}"
            for fault in err.errors(include_url=False)
        ]
        raise InputError("\n".join(faults), hint="compare it with a shipped signature") from err
