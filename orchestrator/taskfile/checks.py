"""What must hold among the tasks of one run, and for each of them wherever it came from."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from graphlib import CycleError, TopologicalSorter
from pathlib import PurePosixPath

from orchestrator.config import Fault, text_fault
from orchestrator.errors import InputError
from orchestrator.model.task import MOST_VARIANTS, Task, id_fault

NOT_IN_NAMES = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]")
_DRIVE = re.compile(r"[A-Za-z]:")


def check_tasks(tasks: Sequence[Task]) -> None:
    """Raise InputError, with every fault, when these tasks cannot be one run."""
    if not tasks:
        raise InputError("there are no tasks", hint="give at least one task to run")
    numbered = dict(enumerate(tasks))
    faults = [fault for index, task in numbered.items() for fault in _own_faults(index, task)]
    faults += find_faults(numbered, {index: task.id for index, task in numbered.items()})
    if faults:
        raise InputError("\n".join(_line(fault, tasks) for fault in faults))


def find_faults(tasks: Mapping[int, Task], ids: Mapping[int, str]) -> list[Fault]:
    """Find every fault among tasks; each leads to a task by its index, then to the key.

    `ids` are all the ids that were written, also of tasks too faulty to be among `tasks`.
    """
    faults = [*_duplicates(ids), *_unknown_needs(tasks, set(ids.values()))]
    index_of = {task.id: index for index, task in tasks.items()}
    graph = {
        task.id: [need for need in task.needs if need in index_of and need != task.id]
        for task in tasks.values()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as err:
        circle = list(reversed(err.args[1]))
        where = (index_of[circle[0]], "needs")
        return [*faults, Fault(where, f"these tasks wait for each other: {' -> '.join(circle)}")]
    return faults


def name_fault(name: str) -> str | None:
    """Say why `name` cannot be shown as a task's name; None when it can."""
    if not name.strip():
        return "expected text, not nothing"
    if NOT_IN_NAMES.search(name):
        return "expected one line without control characters"
    return None


def path_fault(path: str) -> str | None:
    """Say why `path` cannot name a file inside the repository; None when it can."""
    parts = re.split(r"[/\\]", path)
    if not path.strip() or "\0" in path or str(PurePosixPath(path)) == ".":
        return "expected the path of a file"
    if path[0] in "/\\" or _DRIVE.match(path):
        return "expected a path relative to the repository's root"
    if ".." in parts:
        return "expected a path inside the repository, without `..`"
    if any(part.lower() == ".git" for part in parts):
        return "expected a path outside `.git`"
    return None


def _line(fault: Fault, tasks: Sequence[Task]) -> str:
    index, *where = fault.where
    return f"task {tasks[int(index)].id!r}: {Fault(tuple(where), fault.message)}"


def _own_faults(index: int, task: Task) -> Iterable[Fault]:
    """Check what a Task made in Python can have wrong; from a task file it is right already."""
    if fault := id_fault(task.id):
        yield Fault((index, "id"), fault)
    if fault := name_fault(task.name):
        yield Fault((index, "name"), fault)
    if not task.prompt.strip() and not task.command:
        yield Fault((index, "prompt"), "expected text: what is the agent to do?")
    if fault := text_fault(task.prompt):
        yield Fault((index, "prompt"), fault)
    for key, paths in (("files", task.files), ("may_touch", task.may_touch)):
        for position, path in enumerate(paths):
            if fault := path_fault(path):
                yield Fault((index, key, position), f"{fault} (got {path!r})")
    yield from _limit_faults(index, task)


def _limit_faults(index: int, task: Task) -> Iterable[Fault]:
    limits = {"timeout": task.timeout_s, "idle_timeout": task.idle_timeout_s, "estimate": task.estimate_s}
    for key, seconds in limits.items():
        if seconds is not None and not seconds > 0:
            yield Fault((index, key), f"expected a duration above zero (got {seconds!r})")
    amounts = {"max_cost": task.max_cost_usd, "budget": task.budget_usd, "timeout": task.timeout_percent}
    for key, amount in amounts.items():
        if amount is not None and not amount > 0:
            yield Fault((index, key), f"expected a number above zero (got {amount!r})")
    if task.fix_rounds is not None and not 0 <= task.fix_rounds <= 20:
        yield Fault((index, "fix_rounds"), f"expected 0 to 20 (got {task.fix_rounds!r})")
    yield from _variant_faults(index, task)
    if task.retries is not None and task.retries < 0:
        yield Fault((index, "retries"), f"expected 0 or more (got {task.retries!r})")


def _variant_faults(index: int, task: Task) -> Iterable[Fault]:
    if task.attempts is not None and not 1 <= task.attempts <= MOST_VARIANTS:
        yield Fault((index, "attempts"), f"expected 1 to {MOST_VARIANTS} (got {task.attempts!r})")
    for key, names in (("agents", task.agents), ("models", task.models)):
        if len(names) > (task.attempts or MOST_VARIANTS):
            most = task.attempts or MOST_VARIANTS
            yield Fault((index, key), f"names {len(names)} for {most} variants; `attempts` says how many")
        if names and getattr(task, key[:-1]) and not task.variants:
            yield Fault((index, key), f"give `{key[:-1]}` or `{key}`, not both")


def _duplicates(ids: Mapping[int, str]) -> Iterable[Fault]:
    first: dict[str, str] = {}
    for index, task_id in ids.items():
        other = first.get(task_id.lower())
        if other is None:
            first[task_id.lower()] = task_id
        else:
            same = "" if other == task_id else f" as `{other}`; upper and lower case are one on many disks"
            yield Fault((index, "id"), f"`{task_id}` is given twice{same}")


def _unknown_needs(tasks: Mapping[int, Task], known: Collection[str]) -> Iterable[Fault]:
    for index, task in tasks.items():
        for position, need in enumerate(task.needs):
            where = (index, "needs", position)
            if need == task.id:
                yield Fault(where, f"`{need}` cannot need itself")
            elif need not in known:
                yield Fault(where, f"there is no task `{need}`{_near(need, known)}")


def _near(need: str, known: Collection[str]) -> str:
    near = get_close_matches(need, known, n=1)
    return f"; did you mean `{near[0]}`?" if near else ""


def contended_files(tasks: Sequence[Task]) -> list[str]:
    """Say which declared outputs two tasks share that can run at once: their work would conflict.

    The tasks are right otherwise (`check_tasks`). In an order that fits the needs it is enough that each
    of a file's tasks builds on the one before it.
    """
    by_id = {task.id: task for task in tasks}
    order = list(TopologicalSorter({task.id: task.needs for task in tasks}).static_order())
    before: dict[str, int] = {}  # a bit for each task that must end first, and for the task itself
    for position, task_id in enumerate(order):
        before[task_id] = 1 << position
        for need in by_id[task_id].needs:
            before[task_id] |= before[need]
    position_of = {task_id: position for position, task_id in enumerate(order)}
    last: dict[str, str] = {}
    found = []
    for task_id in order:
        for path in by_id[task_id].files:
            other = last.get(path, task_id)
            if not before[task_id] >> position_of[other] & 1:
                found.append(
                    f"`{other}` and `{task_id}` both declare {path!r} and neither needs the other: "
                    "their work will conflict"
                )
            last[path] = task_id
    return found
