"""Reads a program's screen by its signature: works, asks something known, is done, or none of these."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.agents.terminal_certainty import doubt_about
from orchestrator.agents.terminal_signatures import Prompt, Signature

#: A question may take this many rows.
_QUESTION_ROWS = 3
#: No list of options is longer.
_OPTION_ROWS = 30
#: How far below the dialog a cursor that is parked below it may stand.
_BELOW_ROWS = 3

Cursor = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One choice of a dialog."""

    number: str | None
    label: str
    row: int
    pointed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A known prompt on the screen. With a doubt, its arguments are not certain, whatever they look like."""

    prompt: Prompt
    rows: tuple[str, ...]  #: all of it, as shown
    command: str | None = None
    path: str | None = None
    url: str | None = None
    doubt: str | None = None
    options: tuple[Option, ...] = ()

    def same_question(self, other: Asked | None) -> bool:
        """Whether nothing but the pointer and what was typed differs."""
        if other is None or self.prompt is not other.prompt:
            return False
        mine = (self.command, self.path, self.url, self.doubt, [option.label for option in self.options])
        others = (other.command, other.path, other.url, other.doubt)
        return mine == (*others, [option.label for option in other.options])

    def option(self, wanted: re.Pattern[str] | None) -> Option | None:
        """Return the only option with such a label."""
        found = [option for option in self.options if wanted and wanted.fullmatch(option.label)]
        return found[0] if len(found) == 1 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What the screen shows at one moment."""

    lines: Sequence[str]
    cursor: Cursor
    cols: int


def works(signature: Signature, view: View) -> bool:
    """Whether the program shows that it works."""
    shown = [line for line in view.lines if line][-signature.working_rows :]
    return any(pattern.search(line) for line in shown for pattern in signature.working)


def idles(signature: Signature, view: View) -> bool:
    """Whether the program waits at its main prompt."""
    idle, (row, col) = signature.idle, view.cursor
    if idle is None or row >= len(view.lines) or (idle.column is not None and col != idle.column):
        return False
    return bool(idle.row.fullmatch(view.lines[row])) and not works(signature, view)


def typed_text(signature: Signature, view: View) -> str | None:
    """Return what stands in the input box, as far as the cursor; None when there is no box."""
    if signature.typed is None:
        return None
    last = view.cursor[0]
    for row in range(min(last, len(view.lines) - 1), -1, -1):
        if found := signature.typed.fullmatch(view.lines[row]):
            return " ".join([found["text"], *(line.strip() for line in view.lines[row + 1 : last + 1])])
    return None


def read_prompt(signature: Signature, view: View) -> Asked | None:
    """Return the known prompt that the screen shows; None when there is none for certain."""
    rows = _unframed(signature, view.lines)
    found = [asked for prompt in signature.prompts if (asked := _match(signature, prompt, rows, view))]
    certain = [asked for asked in found if asked.doubt is None]
    return next(iter(certain or found), None)


def _unframed(signature: Signature, lines: Sequence[str]) -> list[str]:
    if signature.frame is None:
        return list(lines)
    inside = (signature.frame.fullmatch(line) for line in lines)
    return [found["row"].rstrip() if found else "" for found in inside]


def _match(signature: Signature, prompt: Prompt, rows: list[str], view: View) -> Asked | None:
    end = max((index for index, row in enumerate(rows) if row), default=-1) + 1
    if prompt.answer == "keys":
        return _line_prompt(signature, prompt, rows, view, end)
    footer = _footer(prompt, rows, end)
    if footer is None:
        return None
    options = _options(signature, rows, footer)
    if not options or not _cursor_fits(prompt, view.cursor, options, footer, end):
        return None
    top = _question_top(prompt, rows, options[0].row)
    if top is None:
        return None
    asked = Asked(prompt=prompt, rows=(), options=options)
    if asked.option(prompt.allow) is None or asked.option(prompt.deny) is None:
        return None
    return _with_body(signature, asked, rows, (top, end), view.cols)


def _line_prompt(signature: Signature, prompt: Prompt, rows: list[str], view: View, end: int) -> Asked | None:
    row, col = view.cursor
    if prompt.question is None or row != end - 1 or col < len(rows[row]):
        return None
    top = _question_top(prompt, rows, end)
    return _with_body(signature, Asked(prompt=prompt, rows=()), rows, (top, end), view.cols) if top else None


def _footer(prompt: Prompt, rows: list[str], end: int) -> int | None:
    """Return the first row of the footer that ends the page; `end` when there is no footer."""
    top = end
    for pattern in reversed(prompt.footer):
        while top > 0 and not rows[top - 1]:
            top -= 1
        if top == 0 or not pattern.fullmatch(rows[top - 1]):
            return None
        top -= 1
    return top


def _options(signature: Signature, rows: list[str], end: int) -> tuple[Option, ...]:
    """Return the options above `end`, from the first one on; none when they are not a list."""
    if signature.option is None:
        return ()
    found: list[Option] = []
    more: list[str] = []
    for row in range(end - 1, max(-1, end - 1 - _OPTION_ROWS), -1):
        if not rows[row]:
            if found and found[-1].number is None:
                break
            continue
        option = signature.option.fullmatch(rows[row])
        if option is None:
            if found and found[-1].number is None:
                break
            more.insert(0, rows[row].strip())
            continue
        fields = option.groupdict()
        label = " ".join([fields["label"].strip(), *more])
        pointed = bool((fields.get("pointer") or "").strip())
        found.append(Option(number=fields.get("number"), label=label, row=row, pointed=pointed))
        more = []
        if fields.get("number") in {"1", "y"}:
            break
    return _in_order(found[::-1]) if not more else ()


def _in_order(options: list[Option]) -> tuple[Option, ...]:
    numbers = [option.number for option in options]
    counted = [str(number) for number in range(1, len(options) + 1)]
    return tuple(options) if numbers in (counted, ["y", "n"], [None] * len(options)) else ()


def _cursor_fits(prompt: Prompt, cursor: Cursor, options: tuple[Option, ...], footer: int, end: int) -> bool:
    row = cursor[0]
    if prompt.cursor == "below":
        return end <= row <= end + _BELOW_ROWS
    if prompt.cursor == "footer":
        return row == footer
    pointed = [option.row for option in options if option.pointed]
    return pointed == [row]


def _question_top(prompt: Prompt, rows: list[str], end: int) -> int | None:
    """Return the first row of the question that ends above `end`; without a question, `end`."""
    if prompt.question is None:
        return end
    while end > 0 and not rows[end - 1]:
        end -= 1
    for top in range(end - 1, max(-1, end - 1 - _QUESTION_ROWS), -1):
        if prompt.question.fullmatch(" ".join(row.strip() for row in rows[top:end])):
            return top
    return None


def _with_body(
    signature: Signature, asked: Asked, rows: list[str], dialog: tuple[int, int], cols: int
) -> Asked:
    """Find the dialog's beginning, and what it asks about."""
    prompt, (top, end) = asked.prompt, dialog
    start = next((row for row in range(top - 1, -1, -1) if prompt.start.fullmatch(rows[row])), None)
    if start is None:
        shown = tuple(rows[:end])
        return _told(asked, shown, {}, "the beginning of what it asks is not on the screen")
    shown, between = tuple(rows[start:end]), [row.rstrip() for row in rows[start + 1 : top]]
    groups: dict[str, str | None] = dict(prompt.start.fullmatch(rows[start]).groupdict())  # type: ignore[union-attr]
    if prompt.body is not None:
        body = prompt.body.fullmatch("\n".join(between).strip("\n"))
        if body is None:
            return _told(asked, shown, {}, "what it asks about does not look as it should")
        groups |= body.groupdict()
    return _told(asked, shown, groups, doubt_about(signature, prompt, groups, between, cols))


def _told(asked: Asked, shown: tuple[str, ...], groups: dict[str, str | None], doubt: str | None) -> Asked:
    command = groups.get("command")
    if command is not None:
        command = unmarked(asked.prompt, command)
    return Asked(
        prompt=asked.prompt,
        rows=shown,
        options=asked.options,
        command=command,
        path=groups.get("path"),
        url=groups.get("url"),
        doubt=doubt or asked.prompt.doubt,
    )


def unmarked(prompt: Prompt, shown: str) -> str:
    """Return a command without the marks before its rows."""
    if prompt.unmark is None:
        return shown
    rows = [(row, prompt.unmark.fullmatch(row)) for row in shown.split("\n")]
    return "\n".join((found["text"] or "").rstrip() if found else row for row, found in rows)
