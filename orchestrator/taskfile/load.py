"""From a YAML task file to the plan of a run."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from orchestrator.config import AgentKeys, Fault, OrchestratorConfig, faults_of, suggestion
from orchestrator.errors import InputError
from orchestrator.model.task import Task
from orchestrator.taskfile.checks import find_faults
from orchestrator.taskfile.document import Document, YamlList, YamlMap, read_document
from orchestrator.taskfile.files import read_prompt, read_text
from orchestrator.taskfile.keys import TaskKeys, prompt_faults, task_of

_Model = TypeVar("_Model", bound=BaseModel)
_VERSION = 1
_SETTINGS = [field.alias or name for name, field in OrchestratorConfig.model_fields.items()]
_TEXT_KINDS = ("string_type", "path_type")
_TOP_KEYS = ["version", *_SETTINGS, "tasks"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a person asked for: the settings of a run and its tasks, in their order."""

    config: OrchestratorConfig
    tasks: tuple[Task, ...]
    source: str  #: where it was written, for messages


def load_task_file(path: Path) -> Plan:
    """Read a YAML task file. Raises TaskFileError with all its faults, each with its line and column.

    Paths in it are relative to its folder.
    """
    document = read_document(read_text(path), str(path))
    root = document.root
    if not isinstance(root, YamlMap):
        raise document.error([Fault((), "expected a mapping with `version: 1` and `tasks:`")])
    faults = _top_faults(root)
    config, more = _config(document, root, path.parent)
    faults += more
    tasks: dict[int, Task] = {}
    listed = root.get("tasks")
    count = len(listed) if isinstance(listed, YamlList) else 0
    for index in range(count):
        task, more = _task_at(document, ("tasks", index), path.parent, config.repo)
        faults += more
        if task:
            tasks[index] = task
    ids = _written_ids(document, count)
    faults += [fault.under(("tasks",)) for fault in find_faults(tasks, ids)]
    if faults:
        raise document.error(faults)
    return Plan(config=config, tasks=tuple(tasks.values()), source=str(path))


def load_agents(path: Path) -> dict[str, AgentKeys]:
    """Read a user's file of agents: a mapping with `agents:`, as in a task file. Raises TaskFileError."""
    document = read_document(read_text(path), str(path))
    root = document.root
    if not isinstance(root, YamlMap) or "agents" not in root:
        raise document.error([Fault((), "expected a mapping with `agents:`")])
    faults = [Fault((key,), "unknown key; expected `agents`", at_key=True) for key in root if key != "agents"]
    config, more = _config(document, YamlMap(agents=root["agents"]), path.parent)
    if faults or more:
        raise document.error([*faults, *more])
    return dict(config.agents)


def _task_at(
    document: Document, where: tuple[str | int, ...], folder: Path, repo: Path
) -> tuple[Task | None, list[Fault]]:
    """Read the task that stands at `where`; of a faulty one its sound keys, for the checks among tasks."""
    written = document.value(where)
    if not isinstance(written, YamlMap):
        return None, [Fault(where, "expected a task: a mapping with `id` and `prompt`")]
    keys, faults = read_model(TaskKeys, document, written, where)
    if keys is None:
        wrong = {fault.where[len(where)] for fault in faults}
        sound = {key: value for key, value in written.items() if key not in wrong}
        keys, _ = read_model(TaskKeys, document, sound, where)
        return task_of(keys, "") if keys else None, faults
    prompt, faults = _prompt(keys, folder, repo)
    return task_of(keys, prompt), [fault.under(where) for fault in faults]


def _prompt(keys: TaskKeys, folder: Path, repo: Path) -> tuple[str, list[Fault]]:
    if faults := prompt_faults(keys):
        return "", faults
    if keys.prompt_file is None:
        return keys.prompt or "", []
    prompt, fault = read_prompt(keys.prompt_file, folder, [folder, repo])
    return prompt, [Fault(("prompt_file",), fault)] if fault else []


def read_model(
    model: type[_Model], document: Document, values: dict[str, Any], where: tuple[str | int, ...]
) -> tuple[_Model | None, list[Fault]]:
    """Make a model of `values`, which stand at `where`.

    An unquoted number, or `true`, is the text as it was written where text is expected.
    """
    made, faults = _made(model, values)
    texts = {fault.where: text for fault in faults if (text := _written_text(document, where, fault))}
    if texts:
        made, faults = _made(model, _with_texts(values, texts))
    return made, [fault.under(where) for fault in faults]


def _written_ids(document: Document, count: int) -> dict[int, str]:
    """Return the ids as written, also of tasks that are wrong otherwise."""
    found = ((index, ("tasks", index, "id")) for index in range(count))
    items = ((index, where, item) for index, where in found if (item := document.item(where)))
    return {index: item.written or str(document.value(where)) for index, where, item in items}


def _made(model: type[_Model], values: dict[str, Any]) -> tuple[_Model | None, list[Fault]]:
    try:
        return model(**values), []
    except ValidationError as err:
        return None, faults_of(err, model)
    except InputError as err:
        assert isinstance(err.__cause__, ValidationError)
        return None, faults_of(err.__cause__, model)


def _written_text(document: Document, where: tuple[str | int, ...], fault: Fault) -> str | None:
    item = document.item(where + fault.where) if fault.kind in _TEXT_KINDS else None
    if item is None or document.value(where + fault.where) is None:
        return None
    return item.written


def _with_texts(values: dict[str, Any], texts: dict[tuple[str | int, ...], str]) -> dict[str, Any]:
    changed = copy.deepcopy(dict(values))
    for where, text in texts.items():
        holder: Any = changed
        for part in where[:-1]:
            holder = holder[part]
        holder[where[-1]] = text
    return changed


def _top_faults(root: YamlMap) -> list[Fault]:
    faults = []
    version = root.get("version")
    if version != _VERSION or not isinstance(version, int) or isinstance(version, bool):
        got = f" (got {version!r})" if isinstance(version, int | str | float) else ""
        faults.append(Fault(("version",), f"expected {_VERSION}, the one version understood here{got}"))
    for key in root:
        if key in TaskKeys.model_fields and key not in _TOP_KEYS:
            faults.append(Fault((key,), "belongs to a task, under `tasks:`", at_key=True))
        elif key not in _TOP_KEYS:
            faults.append(Fault((key,), f"unknown key; {suggestion(key, _TOP_KEYS)}", at_key=True))
    tasks = root.get("tasks")
    if not isinstance(tasks, YamlList) or not tasks:
        faults.append(Fault(("tasks",), "expected a list of at least one task"))
    return faults


def _config(document: Document, root: YamlMap, folder: Path) -> tuple[OrchestratorConfig, list[Fault]]:
    settings = {key: value for key, value in root.items() if key in _SETTINGS}
    config, faults = read_model(OrchestratorConfig, document, settings, ())
    if config is None:
        return OrchestratorConfig(), faults
    paths: dict[str, Any] = {}
    if "repo" in settings:
        paths["repo"] = folder / config.repo
    if config.policy is not None:
        paths["policy"] = str(folder / config.policy)
    if config.agents:
        paths["agents"] = {name: _placed(keys, folder) for name, keys in config.agents.items()}
    return config.model_copy(update=paths), []


def _placed(keys: AgentKeys, folder: Path) -> AgentKeys:
    """Find a signature's file beside the file that names it; a plain word is the name of a shipped one."""
    named = keys.signature or ""
    if "/" not in named and not named.endswith((".yaml", ".yml")):
        return keys
    return keys.model_copy(update={"signature": str((folder / named).absolute())})
