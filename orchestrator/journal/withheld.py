"""Puts secret values back into the plan of a run: they are never kept, so they are taken again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from orchestrator.config import OrchestratorConfig
from orchestrator.errors import InputError
from orchestrator.journal.stored_plan import StoredPlan, task_from_json, task_to_json
from orchestrator.model.task import Task


def put_back(
    stored: StoredPlan,
    given: tuple[OrchestratorConfig, Sequence[Task]] | None,
    environment: Mapping[str, str],
) -> StoredPlan:
    """Return the plan with every withheld value in its place. Raises InputError when one is not to be had.

    A value is taken from the settings and tasks that are `given`; without them, one of an `env` from the
    variable of that name in `environment`.
    """
    if not stored.withheld:
        return stored
    document = _document(stored.config, stored.tasks)
    source = _document(*given) if given else None
    lacking = []
    for place in stored.withheld:
        path = _path(place, stored.tasks)
        value = _found(source, path) if source is not None else _from_environment(path, environment)
        if value is None or not _set(document, path, value):
            lacking.append(place)
    if lacking:
        raise InputError(
            f"secret values are not kept with a run, and these are needed again: {', '.join(lacking)}",
            hint="set what is in `env` as variables of the environment, or give the task file again, too",
        )
    tasks = tuple(task_from_json(task) for task in document["tasks"].values())
    return replace(stored, config=OrchestratorConfig(**document["config"]), tasks=tasks)


def _document(config: OrchestratorConfig, tasks: Sequence[Task]) -> dict[str, Any]:
    settings = config.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return {"config": settings, "tasks": {task.id: _lists(task_to_json(task)) for task in tasks}}


def _lists(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _path(place: str, tasks: Sequence[Task]) -> list[str]:
    """Take a place apart; ids of tasks may hold dots."""
    for task in sorted(tasks, key=lambda task: -len(task.id)):
        prefix = f"tasks.{task.id}."
        if place.startswith(prefix):
            return ["tasks", task.id, *place.removeprefix(prefix).split(".")]
    return ["config", *place.split(".")]


def _found(document: Any, path: Sequence[str]) -> str | None:
    for step in path:
        try:
            document = document[int(step)] if isinstance(document, list) else document[step]
        except (LookupError, TypeError, ValueError):
            return None
    return document if isinstance(document, str) else None


def _from_environment(path: Sequence[str], environment: Mapping[str, str]) -> str | None:
    return environment.get(path[-1]) if "env" in path[-2:-1] else None


def _set(document: Any, path: Sequence[str], value: str) -> bool:
    if _found(document, path) is None:
        return False
    for step in path[:-1]:
        document = document[int(step)] if isinstance(document, list) else document[step]
    if isinstance(document, list):
        document[int(path[-1])] = value
    else:
        document[path[-1]] = value
    return True
