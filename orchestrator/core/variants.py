"""Lays out the variants of a task: the same work by several workers at once, and one that chooses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from orchestrator.errors import InputError
from orchestrator.model.task import Task, id_fault


def expand(tasks: Sequence[Task]) -> tuple[Task, ...]:
    """Put the variants `ID.v1`, `ID.v2`, … before each task that asks for some; it then only chooses.

    What was expanded before stays as it is. Raises InputError for a variant's id that cannot be used.
    """
    made: list[Task] = []
    for task in tasks:
        made += [task] if task.variants else _variants(task)
    _check_ids(made, tasks)
    return tuple(made)


def _variants(task: Task) -> list[Task]:
    count = task.attempts or max(len(task.agents), len(task.models), 1)
    plain = replace(task, attempts=None, agents=(), models=())
    variants = [
        replace(
            plain,
            agent=_nth(task.agents, number) or task.agent,
            model=_nth(task.models, number) or task.model,
        )
        for number in range(count)
    ]
    if count == 1:
        return variants
    made = [
        replace(one, id=f"{task.id}.v{number}", name=f"{task.name} (variant {number})", variant_of=task.id)
        for number, one in enumerate(variants, 1)
    ]
    chooser = replace(
        task,
        agent=variants[0].agent,
        model=variants[0].model,
        retries=0,
        fallback=(),
        variants=tuple(one.id for one in made),
    )
    return [*made, chooser]


def _nth(names: Sequence[str], number: int) -> str | None:
    """Fewer names than variants go round."""
    return names[number % len(names)] if names else None


def _check_ids(made: Sequence[Task], tasks: Sequence[Task]) -> None:
    given = {task.id.lower(): task.id for task in tasks if task.variant_of is None}
    faults = []
    for task in made:
        if task.variant_of is None:
            continue
        where = f"task `{task.variant_of}`: attempts: its variant `{task.id}`"
        if fault := id_fault(task.id):
            faults.append(f"{where} cannot be named so: {fault}")
        elif other := given.get(task.id.lower()):
            faults.append(f"{where} has the id of the task `{other}`")
    if faults:
        raise InputError("\n".join(faults), hint="give the task another id")
