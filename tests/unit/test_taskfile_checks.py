"""What must hold among tasks, and tasks given from Python."""

import random
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from orchestrator.errors import InputError
from orchestrator.model.task import Task
from orchestrator.taskfile import check_tasks, contended_files, task_from_mapping


def _task(task_id: str, **keys: Any) -> Task:
    return Task(id=task_id, name=keys.pop("name", task_id), prompt=keys.pop("prompt", "x"), **keys)


def _faults(*tasks: Task) -> list[str]:
    with pytest.raises(InputError) as caught:
        check_tasks(tasks)
    return str(caught.value).splitlines()


def test_sound_tasks_pass() -> None:
    check_tasks([_task("a", needs=("b",), files=("f",)), _task("b", files=("f",)), _task("c", files=("g",))])


def test_no_tasks() -> None:
    assert _faults()[0] == "there are no tasks"


def test_duplicates_without_regard_to_case() -> None:
    assert _faults(_task("a"), _task("b"), _task("a"), _task("B")) == [
        "task 'a': id: `a` is given twice",
        "task 'B': id: `B` is given twice as `b`; upper and lower case are one on many disks",
    ]


def test_unknown_need_suggests_the_nearest() -> None:
    assert _faults(_task("worker_01"), _task("b", needs=("worker_1", "zzz"))) == [
        "task 'b': needs.0: there is no task `worker_1`; did you mean `worker_01`?",
        "task 'b': needs.1: there is no task `zzz`",
    ]


def test_circle_is_shown_in_the_order_of_waiting() -> None:
    assert _faults(_task("a", needs=("b",)), _task("b", needs=("a",))) in (
        ["task 'a': needs: these tasks wait for each other: a -> b -> a"],
        ["task 'b': needs: these tasks wait for each other: b -> a -> b"],
    )
    assert _faults(_task("a", needs=("a",))) == ["task 'a': needs.0: `a` cannot need itself"]


def test_same_file_in_tasks_that_may_run_at_once() -> None:
    (said,) = contended_files([_task("a", files=("f",)), _task("b", files=("g", "f"))])
    assert said == "`a` and `b` both declare 'f' and neither needs the other: their work will conflict"
    shared = [_task("a", may_touch=("f",)), _task("b", may_touch=("f",)), _task("c", files=("f",))]
    assert contended_files(shared) == []
    assert contended_files([_task("a", files=("f", "f"))]) == []


def test_same_file_along_a_chain_is_right_and_beside_it_is_not() -> None:
    chain = [_task("c", needs=("b",), files=("f",)), _task("a", files=("f",)), _task("b", needs=("a",))]
    assert contended_files(chain) == []
    assert len(contended_files([*chain, _task("d", needs=("a",), files=("f",))])) == 1


def test_file_check_agrees_with_the_plain_definition() -> None:
    """All pairs, by walking the needs: slow and plainly right."""
    seed = random.randrange(2**32)
    dice = random.Random(seed)
    for _ in range(300):
        names = [f"t{number}" for number in range(dice.randint(2, 7))]
        tasks = [
            _task(
                name,
                needs=tuple(n for n in names[:at] if dice.random() < 0.4),
                files=tuple(dice.choices("fg", k=1)),
            )
            for at, name in enumerate(names)
        ]
        by_id = {task.id: task for task in tasks}

        def reaches(task: Task, other: str, by_id: dict[str, Task] = by_id) -> bool:
            return any(need == other or reaches(by_id[need], other) for need in task.needs)

        contended = any(
            a.files == b.files and not reaches(a, b.id) and not reaches(b, a.id)
            for a in tasks
            for b in tasks
            if a is not b
        )
        dice.shuffle(tasks)
        assert bool(contended_files(tasks)) is contended, seed


def test_tasks_made_in_python_are_checked_too() -> None:
    bad = _task(
        "a",
        name="x\n",
        prompt=" ",
        files=("/etc",),
        may_touch=("..",),
        timeout_s=0,
        idle_timeout_s=-1.0,
        retries=-1,
    )
    assert _faults(bad, _task("../x")) == [
        "task 'a': name: expected one line without control characters",
        "task 'a': prompt: expected text: what is the agent to do?",
        "task 'a': files.0: expected a path relative to the repository's root (got '/etc')",
        "task 'a': may_touch.0: expected a path inside the repository, without `..` (got '..')",
        "task 'a': timeout: expected a duration above zero (got 0)",
        "task 'a': idle_timeout: expected a duration above zero (got -1.0)",
        "task 'a': retries: expected 0 or more (got -1)",
        "task '../x': id: expected 1 to 64 of A-Z a-z 0-9 . _ -, starting with a letter or a digit",
    ]


def test_thousands_of_tasks() -> None:
    chain = [_task(f"t{n}", needs=(f"t{n - 1}",) if n else (), files=("f",)) for n in range(3000)]
    check_tasks(chain)


def test_mapping_is_never_changed() -> None:
    given = MappingProxyType({"name": "Add", "prompt": "Add 1 and 2."})
    for number in range(8):
        assert task_from_mapping(f"w{number}", given) == _task(
            f"w{number}", name="Add", prompt="Add 1 and 2."
        )


def test_mapping_takes_any_key_of_a_task() -> None:
    task = task_from_mapping(
        "w",
        {
            "prompt": "p",
            "command": ["a", "b"],
            "needs": ("v",),
            "timeout": "5m",
            "env": {"A": "b"},
            "files": ["./f"],
        },
    )
    assert (task.name, task.command, task.needs, task.timeout_s) == ("w", ("a", "b"), ("v",), 300.0)
    assert (task.env, task.files) == ({"A": "b"}, ("f",))
    assert task_from_mapping("w", {"name": "N", "command": ["a"]}).prompt == ""


def test_prompt_file_of_a_mapping_is_relative_to_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "p.md").write_text("Do it.")
    monkeypatch.chdir(tmp_path)
    assert task_from_mapping("w", {"name": "N", "prompt_file": "p.md"}).prompt == "Do it."
    with pytest.raises(InputError, match="task 'w': prompt_file: there is no such file"):
        task_from_mapping("w", {"name": "N", "prompt_file": "q.md"})


def test_task_with_another_id_is_renamed_in_a_copy() -> None:
    task = _task("a", needs=("z",))
    assert task_from_mapping("b", task) == replace(task, id="b")
    assert task_from_mapping("a", task) is task
    with pytest.raises(InputError, match="task 'b/': id: expected"):
        task_from_mapping("b/", task)


@pytest.mark.parametrize(
    ("worker_id", "given", "message"),
    [
        ("w", {"name": "n", "promt": "p"}, "task 'w': promt: unknown key; did you mean `prompt`?"),
        ("w", {"name": "n"}, "task 'w': expected `prompt` or `prompt_file`"),
        ("w", {"name": "", "prompt": "p"}, "task 'w': name: expected text, not nothing"),
        ("w", {"prompt": "\ud800"}, "task 'w': prompt: expected text that UTF-8 can hold"),
        ("w", {"name": 5, "prompt": "p"}, "task 'w': name: expected text (got 5)"),
        ("w", {"prompt": "p", 5: 6}, "task 'w': 5: expected text as the key"),
        ("w", {"prompt": "p", "command": "ls"}, "task 'w': command: expected a list of words"),
        ("w", {"prompt": "p", "timeout": 0}, "task 'w': timeout: expected a duration above zero"),
        ("w w", {"prompt": "p"}, "task 'w w': id: expected 1 to 64"),
        (5, {"prompt": "p"}, "task 5: id: expected text"),
        (5, _task("a"), "task 5: id: expected text"),
        ("w", "p", "task 'w': expected a mapping with `name` and `prompt`, or a Task"),
        ("w", None, "task 'w': expected a mapping"),
    ],
)
def test_wrong_mapping(worker_id: Any, given: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        task_from_mapping(worker_id, given)
    assert str(caught.value).startswith(message)
