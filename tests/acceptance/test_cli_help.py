"""Help, completion, mistyped words, and what starting up may cost."""

from __future__ import annotations

import subprocess
import sys

import pytest
from cli_fixtures import Person, person

from orchestrator.cli.main import PURPOSES, cli

__all__ = ["person"]
HEAVY = {"asyncio", "jinja2", "psutil", "pydantic", "rich", "sqlite3", "yaml"}


def test_help_names_every_command(person: Person) -> None:
    shown = person.orchestrator("--help")
    assert shown.returncode == 0
    assert all(f"\n  {name} " in shown.stdout for name in PURPOSES)
    assert shown.stderr == ""


def test_no_arguments_is_help(person: Person) -> None:
    shown = person.orchestrator()
    assert (shown.returncode, shown.stdout) == (0, person.orchestrator("--help").stdout)


def test_help_imports_nothing_heavy(person: Person) -> None:
    code = (
        "import sys; from orchestrator.cli.main import main; main(['--help']);"
        "print(*{name.split('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], env=person.env, capture_output=True, text=True, check=True
    )
    loaded = set(shown.stderr.split())
    assert "click" in loaded
    assert not loaded & HEAVY


@pytest.mark.parametrize("name", PURPOSES)
def test_each_command_has_its_purpose_and_an_example(name: str) -> None:
    command = cli.get_command(cli.make_context("orchestrator", [name]), name)
    assert command is not None
    assert command.help is not None
    assert command.help.splitlines()[0] == PURPOSES[name]
    assert f"orchestrator {name}" in command.help.split("Example:")[1]


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        (["rum"], "did you mean `orchestrator run`?"),
        (["satus"], "did you mean `orchestrator status`?"),
        (["frobnicate"], "see `orchestrator --help`"),
        (["doctor", "--jsno"], "did you mean `--json`?"),
        (["run", "--max-worker", "3"], "did you mean `--max-workers`?"),
        (["--jsn"], "see `orchestrator --help`"),
        (["completion", "tcsh"], "see `orchestrator completion --help`"),
    ],
)
def test_mistyped_words_get_the_nearest_right_one(person: Person, args: list[str], hint: str) -> None:
    shown = person.orchestrator(*args)
    assert (shown.returncode, shown.stdout) == (2, "")
    assert shown.stderr.startswith("error: ")
    assert shown.stderr.endswith(f"\n\nhint: {hint}\n")
    assert "Traceback" not in shown.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_the_shell(person: Person, shell: str) -> None:
    shown = person.orchestrator("completion", shell)
    assert shown.returncode == 0
    assert "_ORCHESTRATOR_COMPLETE" in shown.stdout
    assert f"{shell}_complete" in shown.stdout


def test_completion_completes(person: Person) -> None:
    def complete(words: str, at: int) -> list[str]:
        asked = {"_ORCHESTRATOR_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(at)}
        return [line.split(",")[1] for line in person.orchestrator(**asked).stdout.splitlines()]

    assert complete("orchestrator st", 1) == ["status", "stop"]
    assert "--max-workers" in complete("orchestrator run --max", 2)


def test_version(person: Person) -> None:
    assert person.orchestrator("--version").stdout.startswith("orchestrator ")


def test_reader_that_leaves_is_no_fault(person: Person) -> None:
    left = person.start("--help")
    assert left.stdout is not None and left.stderr is not None
    left.stdout.close()
    assert "Traceback" not in left.stderr.read()
    left.stderr.close()
    left.wait()


def test_unexpected_fault_leaves_a_report_without_prompts(person: Person) -> None:
    code = (
        "import sys; from orchestrator.cli import main as m;"
        "m.cli.commands['boom'] = None;"
        "m.PURPOSES['boom'] = 'x';"
        "sys.exit(m.main(['boom', '-p', 'my private plan', '--api-key=hunter2']))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], env=person.env, capture_output=True, text=True, check=False
    )
    [report] = (person.home / "crashes").iterdir()
    assert (shown.returncode, shown.stdout) == (1, "")
    assert shown.stderr.startswith("error: unexpected fault: ModuleNotFoundError")
    assert str(report) in shown.stderr
    text = report.read_text()
    assert "Traceback" in text
    assert "orchestrator " in text
    assert "private plan" not in text
    assert "hunter2" not in text
