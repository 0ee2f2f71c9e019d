"""A command is certain only when nothing of it can be hidden; then screen and records must agree."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.agents.terminal_reader import Asked, View, read_prompt
from orchestrator.agents.terminal_records import Call, Records, confirmed, read_records
from orchestrator.agents.terminal_signatures import load_signature

HEAD = ["  Would you like to run the following command?", "", "  Environment: local", ""]
TAIL = [
    "",
    "\u203a 1. Yes, proceed (y)",
    "  2. No, and tell Codex what to do differently (esc)",
    "",
    "  Press enter to confirm or esc to cancel",
]


def _asked(*rows: str, above: tuple[str, ...] = (), cols: int = 120) -> Asked | None:
    lines = [*above, *HEAD, f"  $ {rows[0]}", *(f"  {row}" for row in rows[1:]), *TAIL]
    return read_prompt(
        load_signature("codex", {}), View(lines=lines, cursor=(len(lines) - 1, cols), cols=cols)
    )


def _certain(*rows: str) -> str | None:
    asked = _asked(*rows)
    assert asked is not None
    return None if asked.doubt else asked.command


def test_what_fits_is_certain() -> None:
    assert _certain("ls -l") == "ls -l"
    assert _certain("echo one", "", "  echo two") == "echo one\n\n  echo two"


@pytest.mark.parametrize(
    "rows",
    [
        ["x" * 113],
        ["touch " + "a" * 90, "b" * 30],
        ["echo ok …"],
        ["cat <<EOF", "rm -rf /", "EOF"],
        ["echo ok \\", "rm -rf /"],
        ["echo a\u200bb"],
        ["echo ok", "[… 54 lines] ^a view all"],
    ],
)
def test_what_may_hide_something_is_not(rows: list[str]) -> None:
    assert _certain(*rows) is None


def test_a_dialog_without_its_beginning_is_known_but_not_certain() -> None:
    lines = ["  touch x", *TAIL]
    asked = read_prompt(
        load_signature("codex", {}), View(lines=lines, cursor=(len(lines) - 1, 120), cols=120)
    )
    assert asked is not None
    assert asked.doubt is not None


def test_a_dialog_counts_only_at_the_end_of_the_page_and_with_the_cursor_there() -> None:
    signature, lines = load_signature("codex", {}), [*HEAD, "  $ ls", *TAIL]
    assert read_prompt(signature, View(lines=lines, cursor=(0, 0), cols=120)) is None
    below = [*lines, "", "\u203a Ask Codex to do anything"]
    assert read_prompt(signature, View(lines=below, cursor=(len(lines) - 1, 120), cols=120)) is None


def _records(*commands: str, description: str = "") -> Records:
    calls = tuple(Call({"cmd": command, "description": description}) for command in commands)
    return Records(open_calls=calls)


def test_the_record_tells_the_tab_that_the_screen_leaves_out() -> None:
    asked = _asked("rm -rf build/home/x")
    assert asked is not None
    assert confirmed(asked, _records("rm -rf build\t/home/x")).command == "rm -rf build\t/home/x"


def test_the_record_joins_what_the_screen_wraps() -> None:
    asked = _asked("touch " + "a" * 90, "b" * 30)
    assert asked is not None
    exact = confirmed(asked, _records("touch " + "a" * 90 + " " + "b" * 30))
    assert (exact.command, exact.doubt) == ("touch " + "a" * 90 + " " + "b" * 30, None)


@pytest.mark.parametrize(
    "records",
    [Records(), _records("ls -a"), _records("rm a b", "rm ab"), _records("rm ab; rm c")],
)
def test_screen_and_record_that_differ_leave_a_doubt(records: Records) -> None:
    asked = _asked("rm ab")
    assert asked is not None
    assert confirmed(asked, records).doubt is not None


def test_a_description_may_stand_before_the_command() -> None:
    asked = _asked("List it", "ls -l")
    assert asked is not None
    assert confirmed(asked, _records("ls -l", description="List it")).command == "ls -l"
    assert confirmed(asked, _records("ls -l", description="Other")).doubt is not None


def test_the_open_calls_are_those_without_a_result(tmp_path: Path) -> None:
    folder = tmp_path / "projects" / "place"
    folder.mkdir(parents=True)
    use = [{"type": "tool_use", "id": key, "input": {"command": key}} for key in ("a", "b")]
    said = [{"type": "text", "text": "first"}, {"type": "text", "text": "last"}]
    lines = [
        {"type": "assistant", "message": {"content": [*said, *use]}},
        {"type": "user", "message": {"content": [{"type": "tool_result", "tool_use_id": "a"}]}},
        {"type": "user", "message": {"content": "text"}},
        ["no object"],
    ]
    name = "0" * 36 + ".jsonl"
    (folder / name).write_text("cut off}\n" + "".join(json.dumps(line) + "\n" for line in lines) + '{"half')
    records = read_records("claude", tmp_path)
    assert [call.command for call in records.open_calls] == ["b"]
    assert (records.message, records.session_id) == ("last", "0" * 36)
    assert read_records("claude", tmp_path / "nothing") == Records()
    assert read_records(None, tmp_path) == Records()
