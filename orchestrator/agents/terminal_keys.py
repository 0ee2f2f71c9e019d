"""Presses keys, each with proof on the screen that the one before it arrived."""

from __future__ import annotations

import re

from orchestrator.agents.terminal_page import Page
from orchestrator.agents.terminal_reader import Asked, Option, View, idles, read_prompt, typed_text, works
from orchestrator.ports import Process

_ENTER = b"\r"
_DOWN = b"\x1b[B"
#: How long a program may take to show what was typed, and to take it.
_SHOWN_S = 5.0
_TAKEN_S = 10.0
_KEY_S = 2.0
#: Control characters would act as keys.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_BLANKS = re.compile(r"\s+")
#: A typed line is no longer: programs fold long pastes into a placeholder.
LINE_LIMIT = 700


def one_line(text: str) -> str:
    """Return `text` as one line that can be typed."""
    return _BLANKS.sub(" ", _CONTROLS.sub(" ", text)).strip()


async def submit(page: Page, process: Process, text: str) -> bool:
    """Type a line, see it in the input box, press Enter, see it gone. Return whether it was taken."""
    line = one_line(text)
    wanted = _dense(line)

    def shown(view: View) -> bool:
        return _dense(typed_text(page.signature, view) or "") == wanted

    await process.write(line.encode())
    if not await page.until(shown, _SHOWN_S):
        return False
    for _ in range(2):  # a program that took text and Enter for a paste keeps both in its box
        await process.write(_ENTER)
        if await page.until(lambda view: not shown(view), _TAKEN_S / 2):
            return True
    return False


def _dense(text: str) -> str:
    return _BLANKS.sub("", text)


async def answer(page: Page, process: Process, asked: Asked, *, allow: bool, reason: str) -> bool:
    """Give the answer to exactly this prompt. Return False when it could not be given as it should."""
    prompt = asked.prompt
    if prompt.answer == "keys":
        return await _by_keys(page, process, prompt.allow_keys if allow else prompt.deny_keys, reason)
    option = asked.option(prompt.allow if allow else prompt.deny)
    if option is None:
        return False
    if prompt.answer == "arrows":
        return await _by_arrows(page, process, asked, option)
    return await _by_number(page, process, asked, option)


async def _by_number(page: Page, process: Process, asked: Asked, option: Option) -> bool:
    if option.number is None:
        return False
    await process.write(option.number.encode())
    if asked.prompt.answer == "number":
        return True
    if not await page.until(lambda view: _echoed(page, view, asked, option), _KEY_S):
        return False
    await process.write(_ENTER)
    return True


def _echoed(page: Page, view: View, asked: Asked, option: Option) -> bool:
    row = view.lines[view.cursor[0]] if view.cursor[0] < len(view.lines) else ""
    return row.endswith(f": {option.number}") and asked.same_question(read_prompt(page.signature, view))


async def _by_arrows(page: Page, process: Process, asked: Asked, option: Option) -> bool:
    for _ in range(len(asked.options)):
        now = page.prompt()
        if not asked.same_question(now):
            return False
        if now and any(one.pointed and one.label == option.label for one in now.options):
            await process.write(_ENTER)
            return True
        page.changed.clear()
        await process.write(_DOWN)
        await page.news(_KEY_S)
        await page.still()
    return False


async def _by_keys(page: Page, process: Process, keys: tuple[str, ...], reason: str) -> bool:
    """Type what the signature says; before Enter, the typed text must stand at the cursor."""
    for key in keys:
        if key == "\r":
            await process.write(_ENTER)
            continue
        text = one_line(key.replace("{reason}", reason))[:LINE_LIMIT] or "no"
        await process.write(text.encode())
        if not await page.until(lambda view, text=text: _ends_with(view, text), _KEY_S):  # type: ignore[misc]
            return False
    return True


def _ends_with(view: View, text: str) -> bool:
    row = view.cursor[0]
    shown = "".join(view.lines[max(0, row - LINE_LIMIT // view.cols - 1) : row + 1])
    return _dense(shown).endswith(_dense(text))


async def leave(page: Page, process: Process) -> None:
    """Ask the program to end, as a person would."""
    for key in page.signature.leave:
        if key == "\r":
            await process.write(_ENTER)
        else:
            await process.write(key.encode())
            await page.until(lambda view, key=key: _leaving(page, view, key), _KEY_S)  # type: ignore[misc]


def _leaving(page: Page, view: View, key: str) -> bool:
    return _dense(typed_text(page.signature, view) or "") == _dense(key)


def turn_over(page: Page, view: View) -> bool:
    """Whether the program waits at its main prompt and has nothing left to draw."""
    return idles(page.signature, view) and not works(page.signature, view)
