"""`orchestrator report --review`, as a person uses it."""

from __future__ import annotations

import json

from cli_fixtures import Person, person

__all__ = ["person"]

TASKS = """\
version: 1
agent: command
sandbox: "off"
tasks:
  - id: pipeline
    prompt: Run the tests on every push.
    command: [sh, -c, "mkdir -p .github/workflows; echo on > .github/workflows/ci.yml; echo a > a.txt"]
"""


def test_the_review_in_every_form(person: Person) -> None:
    tasks = str(person.write("tasks.yaml", TASKS))
    assert person.orchestrator("run", tasks, "--no-progress").returncode == 0
    shown = person.orchestrator("report", "--review")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith("# Review of run `")
    assert "Run the tests on every push." in shown.stdout
    files = [line for line in shown.stdout.splitlines() if line.startswith("| `")]
    assert files == ["| `.github/workflows/ci.yml` | +1 -0 | **CI** |", "| `a.txt` | +1 -0 |  |"]
    page = person.orchestrator("report", "--review", "--format", "html").stdout
    assert page.startswith("<!doctype html>")
    written = person.orchestrator("report", "--review", "--html", str(person.home / "review.html"))
    assert written.returncode == 0
    assert (person.home / "review.html").read_text().strip() == page.strip()
    packet = json.loads(person.orchestrator("report", "--review", "--json").stdout)
    assert packet["workers"][0]["changes"][0]["risks"] == ["CI"]


def test_a_form_without_a_review_is_wrong_usage(person: Person) -> None:
    shown = person.orchestrator("report", "--format", "md")
    assert (shown.returncode, shown.stdout) == (2, "")
    assert "--review" in shown.stderr


def test_a_landed_run_in_its_order_with_its_gates_and_hints(person: Person) -> None:
    work = {name: f"echo {name} > README.md" for name in "ba"}
    work |= {name: f"mkdir -p migrations; echo {name} > migrations/0002_{name}.sql" for name in "cd"}
    entries = "".join(
        f'  - {{id: {name}, prompt: x, command: [sh, -c, "{line}"]}}\n' for name, line in work.items()
    )
    head = 'version: 1\nagent: command\nsandbox: "off"\nverify: ["test -s README.md"]\ntasks:\n'
    tasks = str(person.write("tasks.yaml", head + entries))
    assert person.orchestrator("run", tasks, "--no-progress", "--land").returncode == 3
    packet = json.loads(person.orchestrator("report", "--review", "--json").stdout)
    landing = packet["landing"]
    landed, held = landing["landed"], [each["worker_id"] for each in landing["held"]]
    assert [worker["worker_id"] for worker in packet["workers"]] == [*landed, *held]
    assert len(held) == 1 and held[0] in ("a", "b")
    text = person.orchestrator("report", "--review").stdout
    assert f"- branch: `{landing['branch']}` at `{landing['commit']}`" in text
    assert "- hint, with `c`: migration" in text
    assert "**passed**" in text and "- landing: held: it conflicts with what has landed" in text
    page = person.orchestrator("report", "--review", "--format", "html").stdout
    assert "The combined tree" in page and landing["commit"] in page
