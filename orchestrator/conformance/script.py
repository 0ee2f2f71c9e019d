"""What a model does, as plain data: a script is a list of steps, one for each of the model's turns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

#: Names the script in a prompt. What follows the slash tells conversations of one script apart.
_MARK = re.compile(r"SCRIPT:([A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)?)")

#: How a turn of the model ends when it is not simply done.
Stop = Literal["refusal", "length", "context"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An answer by HTTP status instead of a turn; the first `times` requests of the step get it."""

    status: int
    message: str = "scripted failure"
    kind: str | None = None  #: the API's own word for it; None: what goes with the status
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    details: Mapping[str, Any] = field(
        default_factory=lambda: MappingProxyType({})
    )  #: more keys of the error
    times: int = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One turn of the model: something said, actions (in this order), or a fault."""

    say: str = ""
    write: tuple[str, str] | None = None  #: path, content
    edit: tuple[str, str, str] | None = (
        None  #: path, old lines, new lines: whole lines, for some clients patch by line
    )
    read: str | None = None  #: path
    shell: str | None = None
    tool: tuple[str, Mapping[str, Any]] | None = None  #: a client's own tool, by name, with its arguments
    also: tuple[Step, ...] = ()  #: further actions in the same turn
    stop: Stop | None = None
    failure: Failure | None = None
    delay_s: float = 0.0  #: before the first byte of the answer
    chunk_delay_s: float = 0.0  #: before each further piece of it
    hang: bool = False  #: never answer
    cut: bool = False  #: break the connection in the middle of the answer
    input_tokens: int = 100
    output_tokens: int = 20

    def acts(self) -> bool:
        """Whether it needs a tool."""
        own = (self.write, self.edit, self.read, self.shell, self.tool)
        return bool(self.also) or any(action is not None for action in own)


Script = Sequence[Step]
#: What a conversation without a script, or after its end, is told.
NO_SCRIPT = Step(say="There is no script for this conversation.")
SCRIPT_OVER = Step(say="The script is over.")


def prompt_for(name: str, text: str = "Do what the model says.") -> str:
    """A prompt that makes the model play the script `name`."""
    return f"{text}\nSCRIPT:{name}"


def marks(text: str) -> list[str]:
    """The scripts that a prompt names, in order."""
    return [str(found) for found in _MARK.findall(text)]


def step_at(scripts: Mapping[str, Script], mark: str | None, number: int) -> Step:
    """The step that a conversation has come to."""
    script = scripts.get(mark.partition("/")[0]) if mark else None
    if script is None:
        return NO_SCRIPT
    return script[number] if number < len(script) else SCRIPT_OVER
