"""Tasks from Markdown files and from bare prompts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from orchestrator.config import Fault, OrchestratorConfig, text_fault
from orchestrator.errors import InputError, TaskFileError
from orchestrator.model.task import Task, id_fault
from orchestrator.taskfile.checks import NOT_IN_NAMES, find_faults
from orchestrator.taskfile.document import Document, YamlMap, fault_error, read_document
from orchestrator.taskfile.files import read_text
from orchestrator.taskfile.keys import TaskKeys, task_of
from orchestrator.taskfile.load import Plan, read_model

_FRONT = re.compile(r"---[ \t]*\n(.*?)^(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_OPENING = re.compile(r"---[ \t]*\n")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_HEADING = re.compile(r" {0,3}#{1,6}[ \t]+(.*?)(?:[ \t]+#+)?[ \t]*")
_NAME_LENGTH = 60


def load_markdown_tasks(paths: Sequence[Path]) -> Plan:
    """Read one task from each Markdown file: its text is the prompt, its front matter holds other keys.

    The id comes from the file's name, the name from its first heading. Raises TaskFileError with all faults.
    """
    if not paths:
        raise InputError("there are no tasks", hint="give at least one Markdown file")
    lines: list[str] = []
    tasks: dict[int, Task] = {}
    documents: dict[int, Document] = {}
    for index, path in enumerate(paths):
        try:
            documents[index], tasks[index] = _read(path, index)
        except TaskFileError as err:
            lines += err.faults
    slugs = {index: _slug(path, index) for index, path in enumerate(paths)}
    for fault in find_faults(tasks, slugs | {index: task.id for index, task in tasks.items()}):
        index = int(fault.where[0])
        if index in documents:
            lines.append(documents[index].line(Fault(fault.where[1:], fault.message)))
    if lines:
        twice = any("is given twice" in line for line in lines)
        raise fault_error(lines, hint="an `id:` in a file's front matter names its task" if twice else None)
    source = ", ".join(str(path) for path in paths)
    return Plan(config=OrchestratorConfig(), tasks=tuple(tasks.values()), source=source)


def tasks_from_prompts(prompts: Sequence[str]) -> tuple[Task, ...]:
    """Make a task of each prompt: `task_01`, `task_02` and so on, named by its first line."""
    digits = max(2, len(str(len(prompts))))
    tasks = []
    for number, prompt in enumerate(prompts, 1):
        if fault := "expected text, not nothing" if not prompt.strip() else text_fault(prompt):
            raise InputError(f"prompt {number}: {fault}")
        task_id = f"task_{number:0{digits}d}"
        tasks.append(Task(id=task_id, name=_name(prompt) or task_id, prompt=prompt))
    return tuple(tasks)


def _read(path: Path, index: int) -> tuple[Document, Task]:
    text = read_text(path).replace("\r\n", "\n")
    front, prompt = _split(path, text)
    document = read_document(front or "", str(path), first_line=1 if front is None else 2)
    values = {"id": _slug(path, index), "name": _name(_heading(prompt) or path.stem) or _slug(path, index)}
    keys, faults = read_model(TaskKeys, document, values | _front_values(document), ())
    if keys is None:
        raise document.error(faults)
    if not prompt.strip() and not keys.command:
        raise document.error([Fault((), "expected text: what is the agent to do?")])
    return document, task_of(keys, prompt.strip("\n"))


def _split(path: Path, text: str) -> tuple[str | None, str]:
    """Part the front matter, None where there is none, from the prompt."""
    if not _OPENING.match(text):
        return None, text
    front = _FRONT.match(text)
    if front is None:
        raise TaskFileError([f"{path}:1:1: the front matter is not closed: expected a second line of `---`"])
    return front[1], text[front.end() :]


def _front_values(document: Document) -> dict[str, Any]:
    if document.root is None:
        return {}
    if not isinstance(document.root, YamlMap):
        raise document.error([Fault((), "expected front matter of `key: value` lines")])
    twice = [key for key in ("prompt", "prompt_file") if key in document.root]
    if twice:
        raise document.error([Fault((key,), "the file's text is the prompt", at_key=True) for key in twice])
    return dict(document.root)


def _heading(text: str) -> str:
    """Return the first heading that is not part of a code block; empty when there is none."""
    fence = ""
    for line in text.split("\n"):
        if mark := _FENCE.match(line):
            fence = "" if fence and mark[1].startswith(fence) else fence or mark[1]
        elif not fence and (heading := _HEADING.fullmatch(line)) and heading[1].strip():
            return heading[1]
    return ""


def _name(text: str) -> str:
    """Return the first line of `text` that is not blank, fit to be a task's name."""
    for line in text.splitlines():
        name = " ".join(NOT_IN_NAMES.sub(" ", line).split())
        if name:
            return name if len(name) <= _NAME_LENGTH else name[: _NAME_LENGTH - 1] + "…"
    return ""


def _slug(path: Path, index: int) -> str:
    """Make a task's id of a file's name."""
    plain = unicodedata.normalize("NFKD", path.stem).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^A-Za-z0-9_.-]+|\.{2,}", "-", plain).strip("-._")[:64].rstrip(".")
    return slug if slug and not id_fault(slug) else f"task_{index + 1:02d}"
