"""A transcript reads well for a person, and nothing in it reaches their terminal."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.cli.transcript_text import entry_text, transcript_shower
from orchestrator.model.transcript import Role


@pytest.fixture(autouse=True)
def _screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TZ", "UTC")


def _entry(role: str, text: str, **data: Any) -> bytes:
    return json.dumps({"at": "2026-11-23T19:30:05+00:00", "role": role, "text": text, **data}).encode()


def _shown(role: str, text: str, **data: Any) -> list[str]:
    return entry_text(_entry(role, text, **data)).split("\n")


@pytest.mark.parametrize("role", Role)
def test_every_role_has_its_word_and_its_time(role: Role) -> None:
    head, body = _shown(role.value, "something", name="Bash", verdict="allow", tool="shell", rule="r")
    assert head[2] == head[5] == ":"
    assert head[8:10] == "  "
    assert head[10:]
    assert body == " " * 10 + "something"


def test_long_lines_break_at_words_and_keep_their_indent() -> None:
    path = "/very/long/path/that/must/stay/whole/to/be/copied/from/here.txt"
    head, *body = _shown("agent", f"{'word ' * 20}\n    indented {'more ' * 12}\n{path}")
    assert head.endswith("agent")
    assert all(line.startswith(" " * 10) for line in body)
    assert all(len(line) <= 60 for line in body if path not in line)
    assert body[2].startswith(" " * 14)
    assert body[-1].strip() == path


def test_a_long_result_is_shortened_and_says_by_how_much() -> None:
    body = _shown("result", "\n".join(f"line {n}" for n in range(1000)))[1:]
    assert len(body) == 9
    assert body[-1].strip() == "… 992 more lines"
    assert len(_shown("result", "word " * 5000)) == 10
    assert len(_shown("agent", "\n".join("x" * 1000))) > 900


def test_an_answer_names_its_rule_and_a_denial_its_reason() -> None:
    asked = {"tool": "shell", "rule": "git.push", "reason": "nobody pushes"}
    assert "asked shell: allowed by git.push" in _shown("permission", "x", verdict="allow", **asked)[0]
    denied = _shown("permission", "git push", verdict="deny", **asked)
    assert "asked shell: denied by git.push (nobody pushes)" in denied[0]
    assert denied[1].strip() == "git push"


def test_nothing_steers_the_terminal() -> None:
    hostile = "a\x1b[2Jb\x1b]0;title\x07c\u202ed\nnext"
    text = entry_text(_entry("tool", hostile, name="Bash\x1b[31m\n2nd line"))
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\u202e" not in text
    assert len(text.split("\n")) == 3
    reason = entry_text(_entry("permission", "", verdict="deny", tool=hostile, rule=hostile, reason=hostile))
    assert "\x1b" not in reason
    assert len(reason.split("\n")) == 1


@pytest.mark.parametrize("line", [b"{", b"[]", b"\xff\xfe", b'"text"'])
def test_what_is_no_entry_is_said_to_be_none(line: bytes) -> None:
    assert "cannot be read" in entry_text(line)


def test_an_unknown_role_and_a_wrong_time_are_shown_as_they_are() -> None:
    line = json.dumps({"at": 5, "role": "dream", "text": "x"}).encode()
    assert entry_text(line).split("\n")[0].startswith("--:--:--  dream")


def test_entries_that_come_in_pieces(capsys: pytest.CaptureFixture[str]) -> None:
    show = transcript_shower(as_json=True)
    data = _entry("agent", "one") + b"\n" + _entry("agent", "two") + b"\n" + b'{"cut of'
    for start in range(0, len(data), 7):
        show(data[start : start + 7])
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["one", "two"]
