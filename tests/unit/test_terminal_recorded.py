"""Recorded screens of real programs: every known prompt is read, exactly; nothing else is taken for one."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from orchestrator.agents.terminal_reader import Asked, View, idles, read_prompt, works
from orchestrator.agents.terminal_signatures import Signature, load_signature
from orchestrator.sessions.screen import Screen

TRANSCRIPTS = Path(__file__).parent.parent / "transcripts" / "terminal"
SIGNATURES = {"ax": "claude-ax", "normal": "claude", "codex": "codex", "gemini": "gemini"}
WRITE, RUN, TRUST = "write a file", "run a command", "trust the workspace"
MULTI = "echo one\n  echo two\ntouch three"
DOUBT = "?"  #: known as a prompt, but what it asks is not certain

#: In the screen-reader mode the description ("scripted") stands before a command; the records tell it apart.
EXPECTED: dict[str, list[tuple[str, str | None]]] = {
    "ax-ask": [],
    "ax-edit": [(WRITE, "README.md")],
    "ax-fakecmd": [(RUN, "scripted\necho 'Do you want to proceed?\n\u276f 1. Yes\n  2. No'\ntouch three")],
    "ax-fetch": [("fetch a page", "http://127.0.0.1:9/x")],
    "ax-hello": [(WRITE, "hello.txt"), (RUN, "scripted\ntouch shell-ran.txt && echo SHELL_OK")],
    "ax-hello200": [(WRITE, "hello.txt"), (RUN, "scripted\ntouch shell-ran.txt && echo SHELL_OK")],
    "ax-hello80": [(WRITE, "hello.txt"), (RUN, "scripted\ntouch shell-ran.txt && echo SHELL_OK")],
    "ax-imitate": [],
    "ax-long": [(RUN, DOUBT)],
    "ax-multi": [(RUN, f"scripted\n{MULTI}")],
    "ax-outside": [(WRITE, "../outside.txt")],
    "ax-readout": [("read a file", "/etc/hostname")],
    "ax-tall": [(RUN, DOUBT)],
    "ax-trusty": [(TRUST, None)],
    "ax-wide": [(WRITE, "wide.txt")],
    "codex-esc": [(RUN, "touch escalated.txt")],
    "codex-esc80": [(RUN, "touch escalated.txt")],
    "codex-imitate": [],
    "codex-long": [(RUN, DOUBT)],
    "codex-multi": [(RUN, MULTI), (RUN, "touch escalated.txt")],
    "codex-tall": [(RUN, DOUBT)],
    "codex-trust": [(TRUST, None)],
    "gemini-hello": [(WRITE, "hello.txt"), (RUN, "touch shell-ran.txt && echo SHELL_OK")],
    "gemini-imitate": [],
    "gemini-long": [(RUN, DOUBT)],
    "gemini-multi": [(RUN, MULTI)],
    "gemini-wide": [(WRITE, "wide.txt")],
    "normal-ask": [],
    "normal-edit": [(WRITE, "README.md")],
    "normal-fetch": [("fetch a page", "http://127.0.0.1:9/x")],
    "normal-hello": [(WRITE, "hello.txt"), (RUN, "touch shell-ran.txt && echo SHELL_OK")],
    "normal-imitate": [],
    "normal-long": [(RUN, DOUBT)],
    "normal-multi": [(RUN, MULTI), (WRITE, "hello.txt")],
    "normal-tall": [],
    "normal-trust": [(TRUST, None)],
    "normal-wide": [(WRITE, "wide.txt")],
}


def _signature(name: str) -> Signature:
    return load_signature(SIGNATURES[name.partition("-")[0]], {})


def _size(name: str) -> tuple[int, int]:
    return {"80": (24, 80), "00": (50, 200)}.get(name[-2:], (40, 120))


def _bytes(name: str) -> bytes:
    return (TRANSCRIPTS / f"{name}.raw").read_bytes()


def _views(chunks: Iterable[bytes], rows: int, cols: int) -> Iterator[View]:
    screen = Screen(rows, cols)
    for chunk in chunks:
        screen.feed(chunk)
        yield View(lines=screen.lines(), cursor=screen.cursor, cols=cols)


def _even(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def _shown(asked: Asked) -> tuple[str, str | None]:
    return asked.prompt.name, DOUBT if asked.doubt else asked.command or asked.path or asked.url


def _read(
    name: str, chunks: Iterable[bytes], size: tuple[int, int] | None = None
) -> list[tuple[str, str | None]]:
    """Every reading, one for each run of equal ones; a doubt that the next bytes resolve is none."""
    signature, found = _signature(name), list[tuple[str, str | None]]()
    for view in _views(chunks, *(size or _size(name))):
        asked = read_prompt(signature, view)
        if asked is None:
            continue
        if found and found[-1] == (asked.prompt.name, DOUBT) and asked.doubt is None:
            found.pop()
        if not found or found[-1] != _shown(asked):
            found.append(_shown(asked))
    return found


@pytest.mark.parametrize("name", EXPECTED)
def test_each_prompt_is_read_once(name: str) -> None:
    assert _read(name, _even(_bytes(name), 1)) == EXPECTED[name]


@pytest.mark.parametrize("size", range(2, 8))
@pytest.mark.parametrize("name", ["ax-hello", "normal-hello", "codex-esc"])
def test_each_prompt_is_read_once_at_every_boundary(name: str, size: int) -> None:
    assert _read(name, _even(_bytes(name), size)) == EXPECTED[name]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", EXPECTED)
def test_random_cuts_show_nothing_that_was_not_asked(name: str, seed: int) -> None:
    data, random_ = _bytes(name), random.Random(seed)
    cuts = sorted({0, len(data), *random_.sample(range(len(data)), len(data) // 40)})
    chunks = (data[start:end] for start, end in pairwise(cuts))
    found = [one for one in _read(name, chunks) if one[1] != DOUBT]
    expected = EXPECTED[name]
    assert all(one in expected for one in found)


@pytest.mark.parametrize("size", [(24, 80), (50, 200), (10, 40)])
@pytest.mark.parametrize("name", EXPECTED)
def test_a_window_of_another_size_makes_no_other_request(name: str, size: tuple[int, int]) -> None:
    """The bytes were meant for another window, so little fits: then there is a doubt, or nothing."""
    found = [one for one in _read(name, _even(_bytes(name), 31), size) if one[1] != DOUBT]
    assert all(one in EXPECTED[name] for one in found)


@pytest.mark.parametrize("name", [name for name in EXPECTED if "imitate" in name or "ask" in name])
def test_an_imitated_prompt_and_an_unknown_one_are_not_read(name: str) -> None:
    signature, shown = _signature(name), set[str]()
    for view in _views(_even(_bytes(name), 1), *_size(name)):
        shown |= set(view.lines)
        assert read_prompt(signature, view) is None
    assert any(re.search(r"1\. (Yes|Red)", line) for line in shown)


@pytest.mark.parametrize("name", ["ax-trusty", "codex-esc", "gemini-hello", "normal-hello"])
def test_work_and_the_main_prompt_are_told_apart(name: str) -> None:
    signature, states = _signature(name), set[str]()
    for view in _views(_even(_bytes(name), 5), *_size(name)):
        asked, working, idle = read_prompt(signature, view), works(signature, view), idles(signature, view)
        assert not (asked and (working or idle))
        assert not (working and idle)
        states |= {state for state, holds in (("works", working), ("idle", idle), ("asks", asked)) if holds}
    assert states == {"works", "idle", "asks"}


def _pages(file: str) -> list[str]:
    """The rendered screens of a program that was driven by hand, its questions as the last row."""
    parts = re.split(r"(?m)^=====.*\n", (TRANSCRIPTS / file).read_text())
    return [part.rstrip("\n") for part in parts if part.strip()]


def _page_read(signature: str, page: str) -> Asked | None:
    [view] = _views([page.replace("\n", "\r\n").encode() + b" "], 60, 110)
    return read_prompt(load_signature(signature, {}), view)


def test_aider_asks_about_a_file_and_a_command() -> None:
    found = [asked for page in _pages("aider-pty.screens.txt") if (asked := _page_read("aider", page))]
    assert [_shown(asked) for asked in found] == [
        ("create a file", "hello.txt"),
        (RUN, "touch shell-ran.txt && echo SHELL_OK"),
        ("read the output of the command", None),
    ]


def test_mini_swe_agent_asks_and_is_never_certain() -> None:
    found = [
        asked for page in _pages("mini-pty.screens.txt") if (asked := _page_read("mini-swe-agent", page))
    ]
    assert len(found) == 3
    assert all(asked.doubt for asked in found)
    assert found[1].command == "touch shell-ran.txt && echo SHELL_OK"
