"""What a run was asked to do, kept in its folder: `land`, `resume` and `retry` need it in a later process.

Secret values are never written. Which were left out is recorded, so that nobody goes on with a mask in
the place of a key.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from orchestrator.config import OrchestratorConfig
from orchestrator.errors import JournalError, OrchestratorError
from orchestrator.model.task import Task
from orchestrator.state_file import write_state_file

_NAME = "plan.json"
_HINT = "another version may have written it, or the run died before it was whole"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPlan:
    """The settings and tasks of a run, as they were when it started."""

    config: OrchestratorConfig
    tasks: tuple[Task, ...]
    base_commit: str | None
    withheld: tuple[str, ...]  #: places of secret values, such as `env.API_KEY` or `tasks.w1.env.API_KEY`


def store_plan(
    folder: Path,
    config: OrchestratorConfig,
    tasks: Iterable[Task],
    *,
    base_commit: str | None,
    mask: Callable[[str], str],
) -> None:
    """Write what was asked for into the run's `folder`, durable; `mask` hides secrets in a text."""
    withheld: list[str] = []
    document = {
        "version": 1,
        "config": config.model_dump(mode="json", by_alias=True, exclude_unset=True),
        "tasks": {task.id: task_to_json(task) for task in tasks},
        "base_commit": base_commit,
    }
    document = _masked(document, mask, (), withheld)
    write_state_file(folder / _NAME, json.dumps({**document, "withheld": withheld}, indent=1).encode())


def load_plan(folder: Path) -> StoredPlan:
    """Read it back. Raises JournalError when there is none, or when it is damaged."""
    path = folder / _NAME
    try:
        document = json.loads(path.read_bytes())
        return StoredPlan(
            config=OrchestratorConfig(**document["config"]),
            tasks=tuple(task_from_json(task) for task in document["tasks"].values()),
            base_commit=document["base_commit"],
            withheld=tuple(document["withheld"]),
        )
    except OSError as err:
        raise JournalError(f"what the run was asked to do cannot be read: {path}: {err.strerror}") from err
    except (ValueError, LookupError, TypeError, AttributeError, OrchestratorError) as err:
        raise JournalError(f"what the run was asked to do is damaged: {path}: {err}", hint=_HINT) from err


def task_to_json(task: Task) -> dict[str, Any]:
    values = {f.name: getattr(task, f.name) for f in fields(task)}
    return {name: dict(value) if isinstance(value, Mapping) else value for name, value in values.items()}


def task_from_json(document: Mapping[str, Any]) -> Task:
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in document.items()
    }
    return Task(**{**values, "env": MappingProxyType(values["env"])})


def _masked(value: Any, mask: Callable[[str], str], where: tuple[str, ...], withheld: list[str]) -> Any:
    if isinstance(value, Mapping):
        return {name: _masked(item, mask, (*where, name), withheld) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(item, mask, (*where, str(place)), withheld) for place, item in enumerate(value)]
    if not isinstance(value, str):
        return value
    shown = mask(value)
    if shown != value:
        withheld.append(".".join(part for part in where if part != "config"))
    return shown
