"""The documents hold what they say: task files load and run, Python runs, commands and links exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from orchestrator.cli.main import PURPOSES, cli
from orchestrator.taskfile import load_markdown_tasks, load_task_file
from tests.acceptance.cli_fixtures import Person, person

__all__ = ["person"]

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
TASK_FILES = sorted((ROOT / "docs").rglob("*.yaml"))

_FENCE = re.compile(
    r"^(?P<fence>`{3,})(?P<about>[^\n`]*)\n(?P<text>.*?)^(?P=fence)[ ]*$", re.DOTALL | re.MULTILINE
)
_TYPED = re.compile(r"^\s*(?:\$ )+(?:\w+=\S+ )*(orchestrator .*)$", re.MULTILINE)
_INLINE = re.compile(r"`(orchestrator [^`\n]+)`")
_LINK = re.compile(r"(?<!!)\[[^\]\n]+\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
_SHELLS = {"sh", "bash", "console"}


@dataclass(frozen=True)
class Block:
    """A fenced block: the words after its fence, its text, and the `text` block that follows it."""

    page: str
    line: int
    about: tuple[str, ...]
    text: str
    shown: str | None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text()
    found = list(_FENCE.finditer(text))
    blocks = []
    for match, after in zip(found, [*found, None][1:], strict=True):
        shown = None
        if after and after["about"] == "text" and not text[match.end() : after.start()].strip():
            shown = after["text"]
        line = text.count("\n", 0, match.start()) + 1
        about = tuple(match["about"].split())
        blocks.append(Block(str(page.relative_to(ROOT)), line, about, match["text"], shown))
    return blocks


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
YAML = [
    block
    for block in BLOCKS
    if block.about[:1] == ("yaml",) and re.search(r"^tasks:", block.text, re.MULTILINE)
]
PYTHON = [block for block in BLOCKS if block.about == ("python", "runnable")]
RUN = [block for block in YAML if {"runs", "fails"} & set(block.about)]


def commands() -> Iterator[tuple[str, str]]:
    """Every command line of ours that a page shows, and the page."""
    for page in PAGES:
        text = page.read_text()
        name = str(page.relative_to(ROOT))
        lines = [
            line
            for block in blocks_of(page)
            if set(block.about) & _SHELLS
            for line in block.text.splitlines()
        ]
        shown = [line for line in lines if line.startswith("orchestrator ")]
        for line in [*shown, *_TYPED.findall(text), *_INLINE.findall(text)]:
            if "…" not in line:
                yield name, line


def test_there_is_something_to_check() -> None:
    """A pattern that finds nothing would let every other test here pass."""
    assert len(YAML) >= 5
    assert len(PYTHON) >= 5
    assert len(RUN) >= 2
    assert len(TASK_FILES) >= 1
    assert len(set(commands())) >= 20


@pytest.mark.parametrize("block", YAML, ids=str)
def test_task_files_in_pages_load(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "tasks.yaml"
    path.write_text(block.text)
    for name in re.findall(r"prompt_file: (\S+)", block.text):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("Do it.\n")
    assert load_task_file(path).tasks


@pytest.mark.parametrize("path", TASK_FILES, ids=lambda path: path.name)
def test_example_task_files_load(path: Path) -> None:
    assert load_task_file(path).tasks


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.about == ("markdown", "task")], ids=str)
def test_markdown_tasks_load(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "greeting.md"
    path.write_text(block.text)
    assert load_markdown_tasks([path]).tasks[0].prompt


@pytest.mark.parametrize("block", RUN, ids=str)
def test_task_files_run_as_told(block: Block, person: Person) -> None:
    person.write("../tasks.yaml", block.text)
    done = person.orchestrator("run", "../tasks.yaml")
    assert done.returncode == (1 if "fails" in block.about else 0), done.stdout + done.stderr


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_python_runs_and_says_what_is_shown(block: Block, person: Person) -> None:
    script = person.write("../example.py", block.text)
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=person.folder,
        env=person.env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    if block.shown is not None:
        pattern = ".*?".join(map(re.escape, block.shown.split("…")))
        assert re.fullmatch(pattern, done.stdout), done.stdout


@pytest.mark.parametrize(("page", "line"), sorted(set(commands())))
def test_commands_exist_with_these_options(page: str, line: str) -> None:
    del page
    words = list(shlex.shlex(line, posix=True, punctuation_chars=True))
    words = (
        shlex.split(line, comments=True) if not set(words) & {"|", ">", "&&", ";"} else _first_command(line)
    )
    arguments = words[1:]
    with click.Context(cli, info_name="orchestrator") as context:
        if arguments[0].startswith("-"):
            cli.make_context("orchestrator", arguments, resilient_parsing=True)
            return
        assert arguments[0] in PURPOSES
        command = cli.get_command(context, arguments[0])
        assert command is not None
        try:
            command.make_context(arguments[0], arguments[1:], parent=context)
        except click.exceptions.Exit as ended:  # --help
            assert ended.exit_code == 0


def _first_command(line: str) -> list[str]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words = []
    for word in lexer:
        if set(word) <= set("|>&;<"):
            break
        words.append(word)
    return words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in _LINK.findall(_FENCE.sub("", page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), f"{target} does not exist"
        assert path.is_relative_to(ROOT), f"{target} leads out of the project"
        if anchor:
            assert anchor in {_slug(heading) for heading in _HEADING.findall(path.read_text())}, target


def _slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", [*PAGES, *TASK_FILES], ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_names_the_machine_it_was_written_on(page: Path) -> None:
    assert not re.search(r"/work/|/root/|/tmp/(?:venv|pytest)", page.read_text())
