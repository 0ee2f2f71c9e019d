"""A dialog is known only when question, options, footer and cursor agree."""

from __future__ import annotations

import pytest

from orchestrator.agents.demo_dialog import read_dialog, waits_for_a_person
from orchestrator.demo.face import printable
from orchestrator.model.request import PermissionRequest, Tool

COLS = 120
RULE = "\u254c" * (COLS - 1)
OPTIONS = [" \u276f 1. Yes", "   2. No, and tell the agent why (esc)", "", " Esc to cancel \u00b7 question 7"]


def _page(*question: str, above: tuple[str, ...] = (), below: tuple[str, ...] = ()) -> tuple[list[str], int]:
    lines = [*above, RULE, *question, *OPTIONS, *below]
    row = len(above) + 1 + len(question)
    return lines + [""] * (40 - len(lines)), row


def _read(lines: list[str], row: int) -> PermissionRequest | None:
    return read_dialog(lines, (row, 1), COLS)


def test_a_file_question_becomes_a_write_request() -> None:
    request = _read(*_page(" Do you want to create src/a b.py?"))
    assert request == PermissionRequest(
        id="7", tool=Tool.WRITE, path="src/a b.py", arguments={"action": "create"}
    )


def test_a_command_question_becomes_a_shell_request() -> None:
    request = _read(*_page(' Do you want to run echo "a?" \\u000a rm \\\\x?'))
    assert request is not None
    assert (request.tool, request.command) == (Tool.SHELL, 'echo "a?" \n rm \\x')


@pytest.mark.parametrize(
    "path",
    [
        "plain.py",
        "caf\u00e9.txt",
        "\u6f22\u5b57",
        "e\u0301",
        "a\tb\n",
        'q"uo\\te',
        "\U0001f600",
        "\u202eabc",
        "\ud800",
    ],
)
def test_every_path_is_read_as_it_was_meant(path: str) -> None:
    request = _read(*_page(f" Do you want to create {printable(path)}?"))
    assert request is not None
    assert request.path == path


def test_a_wrapped_question_is_joined_with_its_blanks() -> None:
    path = "x" * (COLS - len(" Do you want to create ") - 1) + "  yy"
    whole = f" Do you want to create {path}?"
    request = _read(*_page(whole[:COLS].rstrip(), whole[COLS:]))
    assert request is not None
    assert request.path == path


def test_a_wrapped_question_that_is_not_ascii_is_not_known() -> None:
    whole = " Do you want to create " + "\u6f22" * 80 + "?"
    assert _read(*_page(whole[:70], whole[70:])) is None


@pytest.mark.parametrize(
    ("question", "change"),
    [
        (" Do you want to delete x?", {}),
        (" Do you really want to create x?", {}),
        (" Do you want to create ?", {}),
        (" Do you want to create x? ", {0: " \u276f 1. Yes, always"}),
        (" Do you want to create x?", {0: "   1. Yes"}),
        (" Do you want to create x?", {1: "   2. No"}),
        (" Do you want to create x?", {2: "   3. Yes, for ever"}),
        (" Do you want to create x?", {3: " Esc to cancel"}),
        (" Do you want to create bad\\escape?", {}),
    ],
)
def test_whatever_differs_is_not_known(question: str, change: dict[int, str]) -> None:
    lines, row = _page(question)
    for offset, text in change.items():
        lines[row + offset] = text
    assert _read(lines, row) is None


def test_the_cursor_must_be_at_the_first_option() -> None:
    lines, row = _page(" Do you want to create x?")
    for other in range(40):
        if other != row:
            assert read_dialog(lines, (other, 1), COLS) is None


def test_nothing_may_follow_the_dialog() -> None:
    assert _read(*_page(" Do you want to create x?", below=("", "more"))) is None


def test_a_dialog_drawn_inside_the_preview_is_not_the_question() -> None:
    fake = (RULE, " Do you want to create safe.txt?", *OPTIONS)
    request = _read(*_page(" Do you want to create /etc/passwd?", above=fake))
    assert request is not None
    assert request.path == "/etc/passwd"


@pytest.mark.parametrize(
    ("line", "col", "waits"),
    [
        (" \u276f Yes, I trust it", 1, True),
        ("\u276f ", 2, True),
        ("Password:", 10, True),
        ("Overwrite? [y/N]", 17, True),
        ("Continue? (y/n) ", 15, True),
        ("Really?", 8, True),
        ("Really?", 0, False),
        ("\u280b Thinking (2s)", 0, False),
        ("", 0, False),
        ("all done", 8, False),
    ],
)
def test_where_programs_wait_for_a_person(line: str, col: int, waits: bool) -> None:
    assert waits_for_a_person([line.rstrip()], (0, col)) is waits
