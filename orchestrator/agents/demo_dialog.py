"""Reads the demo agent's permission dialog off the screen: question, options and cursor together."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from orchestrator.model.request import PermissionRequest, Tool

#: The sign before the selected option.
POINTER = "\u276f"

_OPTIONS = (f" {POINTER} 1. Yes", "   2. No, and tell the agent why (esc)", "")
_FOOTER = re.compile(r" Esc to cancel \u00b7 question (\d+)")
_QUESTION = re.compile(r" Do you want to (create|overwrite|run) (.+)\?")
_ABOVE_QUESTION = "\u254c\u254c\u254c"
_LINE_PROMPT = re.compile(r"(?:[?:]|[\[(][yY]/[nN][\])]) *$")


def read_dialog(lines: Sequence[str], cursor: tuple[int, int], cols: int) -> PermissionRequest | None:
    """Return what the dialog under the cursor asks; None when there is none that is known for certain."""
    row = cursor[0]
    if tuple(lines[row : row + 3]) != _OPTIONS or any(lines[row + 4 :]):
        return None
    footer = _FOOTER.fullmatch(lines[row + 3]) if row + 3 < len(lines) else None
    question = _QUESTION.fullmatch(_question(lines[:row], cols))
    if not footer or not question:
        return None
    return _request(footer[1], question[1], question[2])


def _question(above: Sequence[str], cols: int) -> str:
    """Join the rows between the dialog's last rule and its options as they were before they wrapped."""
    rows: list[str] = []
    for row in reversed(above):
        if row.startswith(_ABOVE_QUESTION):
            break
        rows.insert(0, row.ljust(cols))
    text = "".join(rows).rstrip()
    # A wide character that did not fit at a row's end leaves a blank that was not in the text.
    return text if len(rows) == 1 or text.isascii() else ""


def _request(number: str, verb: str, shown: str) -> PermissionRequest | None:
    """Undo the dialog's escapes; what is not escaped as it should be is not known."""
    try:
        subject = json.loads('"' + shown.replace('"', '\\"') + '"')
    except ValueError:
        return None
    if verb == "run":
        return PermissionRequest(id=number, tool=Tool.SHELL, command=subject)
    return PermissionRequest(id=number, tool=Tool.WRITE, path=subject, arguments={"action": verb})


def waits_for_a_person(lines: Sequence[str], cursor: tuple[int, int]) -> bool:
    """Whether the cursor rests where programs wait for an answer: at a selected option or a line prompt."""
    row, col = cursor
    line = lines[row]
    if line.lstrip().startswith(POINTER):
        return True
    return bool(_LINE_PROMPT.search(line.ljust(col)[:col]))
