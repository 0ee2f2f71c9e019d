"""The keys of one task: their types and limits, and the way from what a person wrote to a Task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from orchestrator.config import (
    CommandLine,
    Cost,
    Count,
    Duration,
    Fault,
    FilledText,
    JudgeKeys,
    Price,
    Text,
    TimeLimit,
    VariableName,
    faults_of,
    split_time_limit,
)
from orchestrator.errors import InputError
from orchestrator.model.task import MOST_VARIANTS, Task, id_fault
from orchestrator.taskfile.checks import name_fault, path_fault
from orchestrator.taskfile.files import read_prompt


def _id(value: str) -> str:
    if fault := id_fault(value):
        raise ValueError(fault)
    return value


def _name(value: str) -> str:
    if fault := name_fault(value):
        raise ValueError(fault)
    return value


def _path(value: str) -> str:
    if fault := path_fault(value):
        raise ValueError(fault)
    return str(PurePosixPath(value))


def _words(value: object) -> object:
    if isinstance(value, str):
        raise ValueError('expected a list of words, such as ["python", "tool.py"]')  # noqa: TRY004 (pydantic)
    if isinstance(value, list | tuple) and not value:
        raise ValueError("expected a program to run, not an empty list")
    return value


_List = Field(default=(), strict=False)
_TaskPath = Annotated[str, AfterValidator(_path)]


class TaskBudgetKeys(BaseModel):
    """What all attempts of one task may cost together."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    cost: Cost | None = None
    tokens: Count | None = None
    expected_cost: Price | None = None  #: of one attempt
    expected_tokens: Count | None = None


class TaskKeys(BaseModel):
    """A task as the task file writes it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: Annotated[str, AfterValidator(_id)]
    name: Annotated[str, AfterValidator(_name)] | None = None
    prompt: FilledText | None = None
    prompt_file: FilledText | None = None
    needs: tuple[str, ...] = _List
    files: tuple[_TaskPath, ...] = _List
    may_touch: tuple[_TaskPath, ...] = _List
    agent: FilledText | None = None
    model: FilledText | None = None
    command: Annotated[tuple[Text, ...], BeforeValidator(_words)] = _List
    terminal: bool = False
    timeout: TimeLimit | None = None
    idle_timeout: Duration | None = None
    max_cost: Cost | None = None
    budget: TaskBudgetKeys = TaskBudgetKeys()
    fallback: Annotated[tuple[FilledText, ...], Field(strict=False)] | None = None
    retries: Annotated[int, Field(ge=0)] | None = None
    attempts: Annotated[int, Field(ge=1, le=MOST_VARIANTS)] | None = None
    agents: Annotated[tuple[FilledText, ...], Field(strict=False)] = ()
    judge: JudgeKeys | None = None
    models: Annotated[tuple[FilledText, ...], Field(strict=False)] = ()
    fix_rounds: Annotated[int, Field(ge=0, le=20)] | None = None
    estimate: Duration | None = None
    verify: Annotated[tuple[CommandLine, ...], Field(strict=False)] | None = None
    env: Mapping[VariableName, Text] = {}


def task_of(keys: TaskKeys, prompt: str) -> Task:
    """Make the task; `prompt` is what `keys` say, wherever it stands."""
    timeout_s, timeout_percent = split_time_limit(keys.timeout)
    return Task(
        id=keys.id,
        name=keys.name or keys.id,
        prompt=prompt,
        needs=keys.needs,
        files=keys.files,
        may_touch=keys.may_touch,
        agent=keys.agent,
        model=keys.model,
        command=keys.command,
        terminal=keys.terminal,
        timeout_s=timeout_s,
        timeout_percent=timeout_percent,
        idle_timeout_s=keys.idle_timeout,
        max_cost_usd=keys.max_cost,
        budget_usd=keys.budget.cost,
        budget_tokens=keys.budget.tokens,
        expected_cost_usd=keys.budget.expected_cost,
        expected_tokens=keys.budget.expected_tokens,
        fallback=keys.fallback,
        retries=keys.retries,
        fix_rounds=keys.fix_rounds,
        attempts=keys.attempts,
        agents=keys.agents,
        models=keys.models,
        judge=keys.judge.command if keys.judge else (),
        estimate_s=keys.estimate,
        verify=keys.verify,
        env=MappingProxyType(dict(keys.env)),
    )


def prompt_faults(keys: TaskKeys) -> list[Fault]:
    """Say when a task has no prompt and needs one, or has two."""
    if keys.prompt is not None and keys.prompt_file is not None:
        return [Fault(("prompt_file",), "give `prompt` or `prompt_file`, not both", at_key=True)]
    if keys.prompt is None and keys.prompt_file is None and not keys.command:
        return [Fault((), "expected `prompt` or `prompt_file`: what is the agent to do?")]
    return []


def task_from_mapping(worker_id: str, mapping: Mapping[str, Any] | Task) -> Task:
    """Make the task of `worker_id` from `name`, `prompt` and any key of a task. Raises InputError.

    A `prompt_file` is relative to the current folder. What was given is never changed.
    """
    given: object = mapping  # callers without a type checker give anything
    if isinstance(given, Task):
        return _with_id(worker_id, given)
    if not isinstance(given, Mapping):
        raise InputError(f"task {worker_id!r}: expected a mapping with `name` and `prompt`, or a Task")
    try:
        keys = TaskKeys.model_validate({**given, "id": worker_id})
    except ValidationError as err:
        raise _input_error(worker_id, faults_of(err, TaskKeys)) from err
    if faults := prompt_faults(keys):
        raise _input_error(worker_id, faults)
    if keys.prompt_file is None:
        return task_of(keys, keys.prompt or "")
    text, fault = read_prompt(keys.prompt_file, Path(), [Path()])
    if fault:
        raise _input_error(worker_id, [Fault(("prompt_file",), fault)])
    return task_of(keys, text)


def _with_id(worker_id: object, task: Task) -> Task:
    fault = id_fault(worker_id) if isinstance(worker_id, str) else "expected text"
    if fault:
        raise _input_error(worker_id, [Fault(("id",), fault)])
    return task if task.id == worker_id else replace(task, id=str(worker_id))


def _input_error(worker_id: object, faults: list[Fault]) -> InputError:
    return InputError("\n".join(f"task {worker_id!r}: {fault}" for fault in faults))
