"""The commented task file that `orchestrator init` writes."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from orchestrator.errors import InputError


def template(name: str = "tasks.yaml") -> str:
    """Return the text of a task file that will be called `name`."""
    text = files("orchestrator.taskfile").joinpath("template.yaml").read_text(encoding="utf-8")
    return text.replace("{name}", name, 1)


def write_template(path: Path) -> None:
    """Write a task file to start from. Raises InputError rather than replace a file."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(template(path.name))
    except FileExistsError as err:
        raise InputError(f"{path} exists already", hint="give another name, or remove it first") from err
    except OSError as err:
        raise InputError(f"{path} cannot be written: {err.strerror}") from err
