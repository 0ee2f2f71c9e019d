"""The YAML task file: what it means, and that each fault is told with its place."""

import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from orchestrator.errors import InputError, TaskFileError
from orchestrator.taskfile import Plan, load_task_file, task_file_schema, template, write_template


def _load(folder: Path, text: str | bytes) -> Plan:
    path = folder / "tasks.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_task_file(path)


def _faults(folder: Path, text: str | bytes) -> list[str]:
    """Return the faults without the folder."""
    with pytest.raises(TaskFileError) as caught:
        _load(folder, text)
    assert caught.value.exit_code == 2
    prefix = f"{folder}{os.sep}"
    assert all(fault.startswith((prefix, "…")) for fault in caught.value.faults)
    return [fault.removeprefix(prefix) for fault in caught.value.faults]


ONE = "version: 1\ntasks:\n  - {id: a, prompt: x}\n"


def test_every_key_is_read(tmp_path: Path) -> None:
    (tmp_path / "more.md").write_text("Do more.\n")
    plan = _load(
        tmp_path,
        """\
version: 1
repo: sub/repo
base: main
agent: claude
max_workers: 8
timeout: 30m
isolation: worktree
sandbox: off
setup: ["npm ci"]
copy: [".env"]
verify: ["npm test"]
halt: soon,fail=2
policy: policy.yaml
tasks:
  - id: worker_01
    name: Blog post list
    prompt: "Write it."
    files: ["src/a.tsx", ./src//b.tsx]
    may_touch: [package.json]
    agent: codex
    model: big
    timeout: 1h30m
    idle_timeout: 90
    retries: 2
    estimate: 20m
    verify: []
    env: {A: b}
  - id: worker_02
    prompt_file: more.md
    needs: [worker_01]
  - id: tool
    command: [python, tool.py]
    terminal: true
""",
    )
    config = plan.config
    assert config.repo == tmp_path / "sub/repo"
    assert config.policy == str(tmp_path / "policy.yaml")
    assert (config.base, config.agent, config.max_workers, config.timeout) == ("main", "claude", 8, 1800.0)
    assert (config.isolation, config.sandbox, config.halt) == ("worktree", "off", "soon,fail=2")
    assert (config.setup, config.copy_files, config.verify) == (("npm ci",), (".env",), ("npm test",))
    first, second, third = plan.tasks
    assert (first.id, first.name, first.prompt) == ("worker_01", "Blog post list", "Write it.")
    assert (first.files, first.may_touch) == (("src/a.tsx", "src/b.tsx"), ("package.json",))
    assert (first.agent, first.model, first.retries, first.verify) == ("codex", "big", 2, ())
    assert (first.timeout_s, first.idle_timeout_s, first.estimate_s) == (5400.0, 90.0, 1200.0)
    assert first.env == {"A": "b"}
    assert (second.name, second.prompt, second.needs) == ("worker_02", "Do more.\n", ("worker_01",))
    assert (second.agent, second.timeout_s, second.verify) == (None, None, None)
    assert (third.command, third.terminal, third.prompt) == (("python", "tool.py"), True, "")
    assert plan.source == str(tmp_path / "tasks.yaml")


def test_what_is_not_written_has_its_default(tmp_path: Path) -> None:
    config = _load(tmp_path, ONE).config
    assert config.model_fields_set == set()
    assert config.repo == Path()


def test_all_faults_come_at_once_each_with_its_place(tmp_path: Path) -> None:
    text = """\
version: 1
max_wokers: 3
timeout: soon
tasks:
  - id: a
    promt: x
    needs: [b, lost]
  - prompt: x
  - id: b
    prompt: x
    timeout: 0
    command: python x.py
    env: {A-B: "1"}
"""
    duration = "expected a duration above zero and below ten years, such as 90, 90s, 30m or 1h30m"
    words = 'expected a list of words, such as ["python", "tool.py"]'
    variable = "expected a variable name of A-Z a-z 0-9 _, not starting with a digit"
    assert _faults(tmp_path, text) == [
        "tasks.yaml:2:1: max_wokers: unknown key; did you mean `max_workers`?",
        f"tasks.yaml:3:10: timeout: {duration} (got 'soon')",
        "tasks.yaml:6:5: tasks.0.promt: unknown key; did you mean `prompt`?",
        "tasks.yaml:7:16: tasks.0.needs.1: there is no task `lost`",
        "tasks.yaml:8:5: tasks.1.id: missing; expected a value for this key",
        f"tasks.yaml:11:14: tasks.2.timeout: {duration}, or a percentage such as 200% (got 0)",
        f"tasks.yaml:12:14: tasks.2.command: {words} (got 'python x.py')",
        f"tasks.yaml:13:11: tasks.2.env.A-B: {variable} (got 'A-B')",
    ]


@pytest.mark.parametrize(
    ("task", "fault"),
    [
        ("{id: a}", "3:5: tasks.0: expected `prompt` or `prompt_file`: what is the agent to do?"),
        ("{id: a, prompt: ' '}", "3:21: tasks.0.prompt: expected text, not nothing (got ' ')"),
        ("{id: a, prompt: }", "3:5: tasks.0: expected `prompt` or `prompt_file`"),
        (
            "{id: a, prompt: x, prompt_file: y}",
            "3:24: tasks.0.prompt_file: give `prompt` or `prompt_file`, not both",
        ),
        ("{id: ../a, prompt: x}", "3:10: tasks.0.id: expected 1 to 64 of A-Z a-z 0-9 . _ -"),
        ("{id: a.lock, prompt: x}", "3:10: tasks.0.id: git cannot name a branch so"),
        ("{id: null, prompt: x}", "3:10: tasks.0.id: expected text (got nothing)"),
        (
            '{id: a, prompt: x, name: "a\\e[31m"}',
            "3:30: tasks.0.name: expected one line without control characters",
        ),
        ("{id: a, prompt: x, needs: a}", "3:31: tasks.0.needs: expected a list (got 'a')"),
        ("{id: a, prompt: x, needs: [a]}", "3:32: tasks.0.needs.0: `a` cannot need itself"),
        ("{id: a, prompt: x, retries: -1}", "3:33: tasks.0.retries: expected 0 or more (got -1)"),
        ("{id: a, prompt: x, retries: 1.5}", "3:33: tasks.0.retries: expected a whole number (got 1.5)"),
        ("{id: a, prompt: x, retries: 010}", "3:33: tasks.0.retries: expected a whole number (got '010')"),
        ("{id: a, prompt: x, terminal: yes}", "3:34: tasks.0.terminal: expected true or false (got 'yes')"),
        ("{id: a, prompt: x, timeout: 1:30}", "3:33: tasks.0.timeout: expected a duration above zero"),
        ("{id: a, prompt: x, timeout: -5}", "3:33: tasks.0.timeout: expected a duration above zero"),
        (
            "{id: a, prompt: x, command: []}",
            "3:33: tasks.0.command: expected a program to run, not an empty list",
        ),
        (
            "{id: a, prompt: x, files: [/etc/passwd]}",
            "3:32: tasks.0.files.0: expected a path relative to the repo",
        ),
        (
            "{id: a, prompt: x, files: [a/../../b]}",
            "3:32: tasks.0.files.0: expected a path inside the repository",
        ),
        (
            "{id: a, prompt: x, may_touch: ['..\\b']}",
            "3:36: tasks.0.may_touch.0: expected a path inside the repo",
        ),
        (
            "{id: a, prompt: x, files: ['C:\\x']}",
            "3:32: tasks.0.files.0: expected a path relative to the repo",
        ),
        ("{id: a, prompt: x, files: ['']}", "3:32: tasks.0.files.0: expected the path of a file"),
        (
            "{id: a, prompt: x, files: [.git/hooks/x]}",
            "3:32: tasks.0.files.0: expected a path outside `.git`",
        ),
        ('{id: a, prompt: "a\\0b"}', "3:21: expected text without NUL characters"),
        ("[a]", "3:5: tasks.0: expected a task: a mapping with `id` and `prompt`"),
        ("a", "3:5: tasks.0: expected a task"),
    ],
)
def test_wrong_task(tmp_path: Path, task: str, fault: str) -> None:
    faults = _faults(tmp_path, f"version: 1\ntasks:\n  - {task}\n")
    assert len(faults) == 1, faults
    assert faults[0].startswith(f"tasks.yaml:{fault}")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "1:1: expected a mapping with `version: 1` and `tasks:`"),
        ("# nothing\n", "1:1: expected a mapping with"),
        ("- a\n", "1:1: expected a mapping with"),
        ("just text\n", "1:1: expected a mapping with"),
        ("tasks: [{id: a, prompt: x}]\n", "1:1: version: expected 1, the one version understood here"),
        (ONE.replace("1", "2"), "1:10: version: expected 1, the one version understood here (got 2)"),
        (ONE.replace("1", "'1'"), "1:10: version: expected 1, the one version understood here (got '1')"),
        (ONE.replace("1", "true"), "1:10: version: expected 1"),
        ("version: 1\n", "1:1: tasks: expected a list of at least one task"),
        ("version: 1\ntasks: []\n", "2:8: tasks: expected a list of at least one task"),
        ("version: 1\ntasks: {a: b}\n", "2:8: tasks: expected a list of at least one task"),
        (f"{ONE}prompt: x\n", "4:1: prompt: belongs to a task, under `tasks:`"),
        (f"{ONE}max_workers: 0\n", "4:14: max_workers: expected 1 or more (got 0)"),
        ("version: 1\nbase: 1\nbase: 2\n", "3:1: base: this key is already given in line 2"),
        ("version: 1\n\ttasks: []\n", "2:1: not valid YAML: "),
        ("version: 1\ntasks: [\n", "3:1: not valid YAML: "),
        (f"{ONE}---\n{ONE}", "4:1: expected one YAML document, not several"),
        ("version: !!python/name:os.system 1\n", "1:10: tags such as tag:yaml.org,2002:python/name:os"),
        ("version: *one\n", "1:10: *one names no value before it"),
        ("version: &a [*a]\n", "1:14: *a names no value before it"),
        ("? [a]\n: 1\n", "1:3: expected plain text as the key"),
        ("version: 1 \x07\n", "1:12: not valid YAML: control character U+0007"),
        ("version: 1\n<<: 5\n", "2:5: <<: expected a mapping, or a list of mappings"),
        (b"version: 1\n# caf\xe9\n", "2:6: not UTF-8 text; save the file as UTF-8"),
        ("version: 1\n".encode("utf-16"), "1:1: not UTF-8 text; save the file as UTF-8"),
        (b"version: 1\n\0", "2:1: expected text without NUL characters"),
        (b"#" * (4 * 1024 * 1024 + 1), "1:1: larger than 4 MiB"),
        ("[" * 100_000, "1:22: nested deeper than 20 levels"),
        ("- " * 100_000, "1:43: nested deeper than 20 levels"),
    ],
)
def test_wrong_file(tmp_path: Path, text: str | bytes, fault: str) -> None:
    faults = _faults(tmp_path, text)
    assert len(faults) == 1, faults
    assert faults[0].startswith(f"tasks.yaml:{fault}")


def test_tabs_get_a_hint(tmp_path: Path) -> None:
    with pytest.raises(TaskFileError, match="indent with spaces"):
        _load(tmp_path, "version: 1\n\ttasks: []\n")


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(TaskFileError, match="there is no such file") as caught:
        load_task_file(tmp_path / "none.yaml")
    assert "orchestrator init" in str(caught.value)
    with pytest.raises(TaskFileError, match="expected a task file, not a folder"):
        load_task_file(tmp_path)
    with pytest.raises(TaskFileError, match="cannot be read"):
        load_task_file(tmp_path / "a\0b")


def test_unquoted_words_and_numbers_are_text_where_text_is_expected(tmp_path: Path) -> None:
    plan = _load(
        tmp_path,
        """\
version: 1
base: 1234567e8
sandbox: on
env: {PORT: 8080, DEBUG: true, RATE: 1.10, WHEN: 12:30, ANSWER: no, OCTAL: 0o17, DATE: 2024-01-02}
tasks:
  - {id: 01, name: 7, prompt: yes, needs: [2]}
  - {id: 2, name: no, prompt: 1.0, command: [sleep, 5, true, 0x1F, 1_000], verify: [true]}
""",
    )
    assert plan.config.base == "1234567e8"
    assert plan.config.sandbox == "on"
    assert plan.config.env == {
        "PORT": "8080", "DEBUG": "true", "RATE": "1.10", "WHEN": "12:30", "ANSWER": "no", "OCTAL": "0o17",
        "DATE": "2024-01-02",
    }  # fmt: skip
    first, second = plan.tasks
    assert (first.id, first.name, first.prompt, first.needs) == ("01", "7", "yes", ("2",))
    assert (second.id, second.name, second.prompt, second.verify) == ("2", "no", "1.0", ("true",))
    assert second.command == ("sleep", "5", "true", "0x1F", "1_000")


def test_anchors_aliases_and_merges(tmp_path: Path) -> None:
    plan = _load(
        tmp_path,
        """\
version: 1
env: &env {A: "1", B: "2"}
tasks:
  - &first
    id: a
    prompt: x
    timeout: 5m
    env: {<<: *env, B: "3"}
  - {<<: *first, id: b}
  - {<<: [{id: c}, *first], env: *env}
""",
    )
    assert [(task.id, task.timeout_s, dict(task.env)) for task in plan.tasks] == [
        ("a", 300.0, {"A": "1", "B": "3"}),
        ("b", 300.0, {"A": "1", "B": "3"}),
        ("c", 300.0, {"A": "1", "B": "2"}),
    ]


LARGE = ", ".join(f"A{number}: b" for number in range(50_000))


def _bomb(levels: int) -> str:
    lines = ["version: 1", "tasks:", "- &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"- &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(_bomb(30), id="billion laughs"),
        pytest.param(_bomb(5), id="many small faults"),
        pytest.param(f"env: &e {{{LARGE}}}\ntasks:\n" + "- *e\n" * 50_000, id="one large mapping, often"),
        pytest.param(f"{ONE}  - {{id: b, command: [{'1,' * 50_000}]}}\n  - 5\n", id="many numbers"),
        pytest.param("version: 1\ntasks:\n" + "- 5\n" * 50_000, id="many faults"),
        pytest.param("version: 1\n" + "".join(f"k{i}: 1\n" for i in range(5_000)), id="many unknown keys"),
    ],
)
def test_hostile_file_ends_soon_with_a_short_message(tmp_path: Path, text: str) -> None:
    start = time.monotonic()
    with pytest.raises(TaskFileError) as caught:
        _load(tmp_path, text)
    assert time.monotonic() - start < 30
    assert len(caught.value.faults) <= 101
    assert len(str(caught.value)) < 100_000


def test_fault_below_an_alias_has_a_place(tmp_path: Path) -> None:
    text = "version: 1\ntasks:\n  - {id: a, prompt: x, needs: &n [lost]}\n  - {id: b, prompt: x, needs: *n}\n"
    assert _faults(tmp_path, text) == [
        "tasks.yaml:3:35: tasks.0.needs.0: there is no task `lost`",
        "tasks.yaml:3:35: tasks.1.needs.0: there is no task `lost`",
    ]


def test_faults_among_tasks_have_places(tmp_path: Path) -> None:
    text = """\
version: 1
tasks:
  - {id: a, prompt: x, needs: [b], files: [f]}
  - {id: b, prompt: x, needs: [c]}
  - {id: c, prompt: x, needs: [a]}
  - {id: A, prompt: x}
"""
    faults = _faults(tmp_path, text)
    assert len(faults) == 2
    circle = faults[0].partition("these tasks wait for each other: ")[2].split(" -> ")
    assert circle[0] == circle[-1] and sorted(circle[1:]) == ["a", "b", "c"]
    assert "bca"[("abc").index(circle[0])] == circle[1]
    assert faults[1] == (
        "tasks.yaml:6:10: tasks.3.id: `A` is given twice as `a`; upper and lower case are one on many disks"
    )


def test_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    plan = _load(tmp_path, b"\xef\xbb\xbf" + ONE.replace("\n", "\r\n").encode())
    assert [task.id for task in plan.tasks] == ["a"]


@pytest.mark.parametrize(
    "name", ["none.md", "../outside.md", "link.md", "fifo", "folder", "empty.md", "latin.md", "loop"]
)
def test_prompt_file_must_be_text_from_near_by(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "project"
    (folder / "folder").mkdir(parents=True)
    (tmp_path / "outside.md").write_text("secret")
    (folder / "link.md").symlink_to(tmp_path / "outside.md")
    (folder / "loop").symlink_to(folder / "loop")
    os.mkfifo(folder / "fifo")
    (folder / "empty.md").write_text(" \n")
    (folder / "latin.md").write_bytes(b"caf\xe9")
    with pytest.raises(TaskFileError) as caught:
        _load(folder, f"version: 1\ntasks:\n  - {{id: a, prompt_file: {name}}}\n")
    assert len(caught.value.faults) == 1
    assert "tasks.yaml:3:26: tasks.0.prompt_file: " in caught.value.faults[0]
    assert "secret" not in str(caught.value)


def test_prompt_file_may_lie_in_the_repository(tmp_path: Path) -> None:
    (tmp_path / "repo" / "docs").mkdir(parents=True)
    (tmp_path / "plans").mkdir()
    (tmp_path / "repo" / "docs" / "a.md").write_text("Do it.")
    text = "version: 1\nrepo: ../repo\ntasks:\n  - {id: a, prompt_file: ../repo/docs/a.md}\n"
    plan = _load(tmp_path / "plans", text)
    assert plan.tasks[0].prompt == "Do it."


def test_template_works_as_written_and_explains_every_key(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    write_template(path)
    plan = load_task_file(path)
    assert [task.id for task in plan.tasks] == ["greeting", "greeting_review"]
    assert plan.config.model_dump() == type(plan.config)().model_dump()
    text = path.read_text()
    assert "orchestrator run plan.yaml" in text
    schema = task_file_schema()
    for key in [*schema["properties"], *schema["properties"]["tasks"]["items"]["properties"]]:
        assert f"{key}:" in text, key
    with pytest.raises(InputError, match="exists already"):
        write_template(path)
    assert path.read_text() == text
    with pytest.raises(InputError, match="cannot be written"):
        write_template(tmp_path / "none" / "plan.yaml")


def test_examples_in_the_template_are_right_too(tmp_path: Path) -> None:
    """Take the `#` from every example, one at a time, since some stand in for each other."""
    lines = template().splitlines()
    examples = [
        index
        for index, line in enumerate(lines)
        if line.lstrip().startswith("#") and line.lstrip()[1].isalpha()
    ]
    assert len(examples) >= 20
    for index in examples:
        changed = lines.copy()
        changed[index] = lines[index].replace("#", "", 1)
        _load(tmp_path, "\n".join(changed))


MARKS = [
    "- ",
    "? ",
    ": ",
    "&a ",
    "*a",
    "<<: ",
    "[",
    "]",
    "{",
    "}",
    "!!int ",
    "!x ",
    "'",
    '"',
    "---",
    "#",
    ",",
    "|",
]
ODD = [
    "%YAML 1.1",
    "a",
    "1",
    "1e400",
    "~",
    "\\U00110000",
    "\\ud800",
    "\t",
    "\n",
    "\r",
    "\x85",
    "\ufeff",
    "\0",
]
KEYS = ["version: 1", "tasks:", "  - id: a", "    prompt: x", "    needs: [a]", "env: {A: 1}", "repo: .."]
PIECES = st.one_of(
    st.sampled_from([*MARKS, *ODD]),
    st.sampled_from([f"{key}\n" for key in [*KEYS, "    prompt_file: /", "timeout: 5"]]),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=400)
@given(
    st.one_of(
        st.text(), st.lists(PIECES).map("".join), st.lists(PIECES).map(lambda parts: ONE + "".join(parts))
    )
)
@example('version: "\\ud800"')
@example('version: "\\UFFFFFFFF"')
@example("version: 1" + "0" * 5000)
@example("version: 1\ntasks: [{id: a, prompt: x, retries: 1" + "0" * 400 + "}]")
def test_any_text_loads_or_is_a_task_file_error(tmp_path: Path, text: str) -> None:
    try:
        _load(tmp_path, text.encode("utf-8", "surrogatepass"))
    except TaskFileError as err:
        assert err.faults
        for fault in err.faults:
            str(fault).encode()


@pytest.mark.parametrize("escape", ["\\ud800", "\\U00110000", "\\UFFFFFFFF"])
def test_no_character_is_a_fault_for_either_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, escape: str
) -> None:
    text = f'version: 1\ntasks: [{{id: a, prompt: "{escape}"}}]\n'
    assert len(_faults(tmp_path, text)) == 1
    monkeypatch.delattr("yaml.CBaseLoader", raising=False)
    assert len(_faults(tmp_path, text)) == 1


def test_reader_in_python_reads_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = _load(tmp_path, template())
    monkeypatch.delattr("yaml.CBaseLoader", raising=False)
    assert _load(tmp_path, template()) == plan
    assert _faults(tmp_path, f"{ONE}\tbase: x\n")[0].startswith("tasks.yaml:4:1: not valid YAML")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True))
def test_ids_mean_what_is_written(tmp_path: Path, task_id: str) -> None:
    try:
        plan = _load(tmp_path, f"version: 1\ntasks:\n  - id: {task_id}\n    prompt: x\n")
    except TaskFileError as err:
        assert task_id.endswith((".", ".lock")) or ".." in task_id or task_id.lower() == "null", err
    else:
        assert plan.tasks[0].id == task_id
