"""One exchange with a model, whatever the API: what a client asks, and what it is told."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from orchestrator.conformance.script import Step, Stop, marks
from orchestrator.conformance.tools import Call, calls_of

#: Names a turn in the ids of its calls; some clients put words of their own before it.
_TURN = re.compile(r"turn[0-9a-f]{12}")
#: Codex's tool `exec` may come back before its JavaScript has ended; the tool `wait` goes on with it.
_CELL = re.compile(r"Script running with cell ID (\w+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One entry of a conversation."""

    role: str  #: user, model, result or other
    text: str = ""
    call_ids: tuple[str, ...] = ()  #: of the tools that this entry of the model called


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """What a client sent to the model."""

    model: str
    items: Sequence[Item]
    tools: Mapping[str, str]  #: names of the tools that it offers, and their kind
    stream: bool
    schema: Mapping[str, Any] | None = None  #: the JSON schema that the answer must have
    limit: int | None = None  #: the most tokens that it wants

    def mark(self) -> str | None:
        """The script that its newest prompt names."""
        found = [name for item in self.items if item.role == "user" for name in marks(item.text)]
        return found[-1] if found else None

    def step_number(self) -> int:
        """How many turns the model has had since the newest prompt that names a script.

        A turn is a run of entries of the model. Some clients put results between the calls of one turn;
        the calls' ids, which name the turn, hold it together.
        """
        count, inside, seen = 0, False, set[str]()
        for item in self.items:
            if item.role == "user" and marks(item.text):
                count, inside, seen = 0, False, set()
            if item.role != "model":
                inside = False
                continue
            turns = {turn for call_id in item.call_ids for turn in _TURN.findall(call_id)}
            if not inside and not turns & seen:
                count += 1
            seen |= turns
            inside = True
        return count

    def results(self) -> tuple[str, ...]:
        """What the client's tools gave back, as the model reads it."""
        return tuple(item.text for item in self.items if item.role == "result")

    def unfinished(self) -> Step | None:
        """The waiting that has to come before the next turn, for what the last one started still runs."""
        ends = [place for place, item in enumerate(self.items) if item.role == "model"]
        newest = self.items[ends[-1] + 1 :] if ends else ()
        cells = [cell for item in newest if item.role == "result" for cell in _CELL.findall(item.text)]
        return Step(tool=("wait", {"cell_id": cells[-1]})) if cells else None

    def turn(self) -> str:
        """The name of the turn that goes on in what is answered now."""
        ids = [call_id for item in self.items for call_id in item.call_ids]
        names = [name for call_id in ids for name in _TURN.findall(call_id)]
        return names[-1] if names and self.unfinished() else f"turn{uuid.uuid4().hex[:12]}"

    def is_aside(self) -> bool:
        """Whether it is the client's own question (a title, a summary, a test of the key)."""
        return self.schema is not None or self.limit == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReply:
    """One turn of the model."""

    text: str
    calls: Sequence[tuple[str, Call]] = ()  #: each with its id
    stop: Stop | None = None
    input_tokens: int
    output_tokens: int

    def pieces(self) -> list[str]:
        """The text in the pieces that it is streamed in."""
        size = max(8, len(self.text) // 4)
        return [self.text[start : start + size] for start in range(0, len(self.text), size)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """An answer that is an error."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How one request is answered."""

    step: Step
    whole: Mapping[str, Any]
    events: Sequence[Mapping[str, Any] | str]
    named: bool  #: whether each event of the stream carries its type as a name
    refused: Refused | None = None


def reply_to(request: ModelRequest, step: Step) -> ModelReply:
    """Say and do what the step says, with the tools that the client offers."""
    calls = calls_of(step, request.tools)
    turn = request.turn()
    text = step.say
    if step.stop == "refusal":
        text = text or "I will not do that."
    if step.acts() and not calls:
        text = text or "(the client offers no tool for this step)"
    return ModelReply(
        text=text,
        calls=[(f"{turn}_{place}_{uuid.uuid4().hex[:8]}", call) for place, call in enumerate(calls)],
        stop=step.stop,
        input_tokens=step.input_tokens,
        output_tokens=step.output_tokens,
    )
