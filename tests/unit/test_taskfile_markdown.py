"""Tasks from Markdown files and from bare prompts."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.errors import InputError, TaskFileError
from orchestrator.model.task import id_fault
from orchestrator.taskfile import Plan, load_markdown_tasks, tasks_from_prompts


def _load(folder: Path, **texts: str) -> Plan:
    paths = []
    for name, text in texts.items():
        paths.append(folder / f"{name}.md")
        paths[-1].write_text(text, newline="")
    return load_markdown_tasks(paths)


def _faults(folder: Path, **texts: str) -> list[str]:
    with pytest.raises(TaskFileError) as caught:
        _load(folder, **texts)
    return [fault.removeprefix(f"{folder}/") for fault in caught.value.faults]


def test_plain_file(tmp_path: Path) -> None:
    plan = _load(tmp_path, task_module_01="Intro\n\n```\n# no heading\n```\n## Post list ##\n\nWrite it.\n")
    (task,) = plan.tasks
    assert (task.id, task.name) == ("task_module_01", "Post list")
    assert task.prompt == "Intro\n\n```\n# no heading\n```\n## Post list ##\n\nWrite it."


def test_without_a_heading_the_file_names_the_task(tmp_path: Path) -> None:
    assert _load(tmp_path, fix_it="Just do it.").tasks[0].name == "fix_it"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_front_matter_holds_other_keys(tmp_path: Path, end: str) -> None:
    text = "---\nid: other\ntimeout: 5m\nneeds: [b]\nname: Given\n---\n# Heading\nBody\n".replace("\n", end)
    plan = _load(tmp_path, a=text, b="B")
    first = plan.tasks[0]
    assert (first.id, first.name, first.timeout_s, first.needs) == ("other", "Given", 300.0, ("b",))
    assert first.prompt == "# Heading\nBody"


def test_empty_front_matter(tmp_path: Path) -> None:
    assert _load(tmp_path, a="---\n---\nBody").tasks[0].prompt == "Body"


def test_command_needs_no_text(tmp_path: Path) -> None:
    assert _load(tmp_path, a="---\ncommand: [make, 5]\n---\n").tasks[0].command == ("make", "5")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "1:1: expected text: what is the agent to do?"),
        ("---\nid: x\n---\n \n", "2:1: expected text: what is the agent to do?"),
        ("---\nid: x\nBody\n", "1:1: the front matter is not closed"),
        ("---\ntext\n---\nBody", "2:1: expected front matter of `key: value` lines"),
        ("---\nagent: a\n\ntimuot: 5\n---\nBody", "4:1: timuot: unknown key; did you mean `timeout`?"),
        ("---\ntimeout: 0\n---\nBody", "2:10: timeout: expected a duration above zero"),
        ("---\nagent: a\n  b: c\n---\nBody", "3:4: not valid YAML: "),
        ("---\nprompt: x\n---\nBody", "2:1: prompt: the file's text is the prompt"),
        ("---\nneeds: [lost]\n---\nBody", "2:9: needs.0: there is no task `lost`"),
    ],
)
def test_wrong_file(tmp_path: Path, text: str, fault: str) -> None:
    faults = _faults(tmp_path, a=text)
    assert len(faults) == 1, faults
    assert faults[0].startswith(f"a.md:{fault}")


def test_faults_of_all_files_come_at_once(tmp_path: Path) -> None:
    faults = _faults(tmp_path, a="", b="---\nneeds: [zz]\n---\nB", c="---\nneeds: [a]\n---\nC")
    assert [fault.split(" ")[0] for fault in faults] == ["a.md:1:1:", "b.md:2:9:"]


def test_file_names_become_ids(tmp_path: Path) -> None:
    names = ["Añadir lista (1)", "..hidden..name.", "任务", "x" * 100, "a.lock", "-rf", "a b"]
    plan = _load(tmp_path, **dict.fromkeys(names, "Do it."))
    ids = [task.id for task in plan.tasks]
    assert ids == ["Anadir-lista-1", "hidden-name", "task_03", "x" * 64, "task_05", "rf", "a-b"]


def test_same_id_from_two_files_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.md").write_text("x")
    (tmp_path / "sub" / "A.md").write_text("x")
    with pytest.raises(TaskFileError, match=r"A\.md:1:1: id: `A` is given twice as `a`") as caught:
        load_markdown_tasks([tmp_path / "a.md", tmp_path / "sub" / "A.md"])
    assert "front matter" in str(caught.value)


def test_missing_file_and_no_files(tmp_path: Path) -> None:
    with pytest.raises(TaskFileError, match="there is no such file"):
        load_markdown_tasks([tmp_path / "none.md"])
    with pytest.raises(InputError, match="there are no tasks"):
        load_markdown_tasks([])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(), st.booleans())
def test_any_text_loads_or_is_a_task_file_error(tmp_path: Path, text: str, front: bool) -> None:
    (tmp_path / "a.md").write_bytes(
        (f"---\n{text}\n---\nBody" if front else text).encode("utf-8", "surrogatepass")
    )
    try:
        (task,) = load_markdown_tasks([tmp_path / "a.md"]).tasks
    except TaskFileError:
        return
    assert id_fault(task.id) is None
    assert task.name.strip() and "\n" not in task.name


def test_prompts() -> None:
    first, second = tasks_from_prompts(["Fix X", "\n  Fix  Y\nand " + "Z" * 100])
    assert (first.id, first.name, first.prompt) == ("task_01", "Fix X", "Fix X")
    assert (second.id, second.name) == ("task_02", "Fix Y")
    assert second.prompt.endswith("Z")
    assert tasks_from_prompts(["a" * 61])[0].name == "a" * 59 + "…"
    assert tasks_from_prompts(["\x1b[31mred"])[0].name == "[31mred"
    assert [task.id for task in tasks_from_prompts(["x"] * 100)][::99] == ["task_001", "task_100"]
    assert tasks_from_prompts([]) == ()


@pytest.mark.parametrize("prompt", ["", " \n", "a\0b", "\udc80"])
def test_wrong_prompt(prompt: str) -> None:
    with pytest.raises(InputError, match="prompt 2: expected text"):
        tasks_from_prompts(["x", prompt])
