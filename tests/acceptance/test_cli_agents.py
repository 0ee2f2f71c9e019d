"""Agents on this machine, one that a user defines, and the transcript of what an agent did."""

from __future__ import annotations

import json

import pytest
from cli_fixtures import Person, person

__all__ = ["person"]
OWN = """agents:
  here:
    command: [cat]
  gone:
    command: [no-such-program-x]
    channel: command
    install: "pip install gone"
"""
ASKS = """version: 1
agent: demo
sandbox: off
tasks:
  - id: writes
    prompt: |
      ```demo
      [{"say": "on it"}, {"write": {"path": "a.txt", "text": "hello\\n"}}, {"ask": "git push --force"}]
      ```
"""


def _define(person: Person) -> dict[str, str]:
    folder = person.folder / "settings" / "orchestrator"
    folder.mkdir(parents=True)
    (folder / "agents.yaml").write_text(OWN)
    return {"XDG_CONFIG_HOME": str(person.folder / "settings")}


def test_agents_tells_what_is_there(person: Person) -> None:
    env = _define(person)
    found = {
        agent["name"]: agent for agent in json.loads(person.orchestrator("agents", "--json", **env).stdout)
    }
    assert found["here"]["ready"] is True
    assert found["here"]["program"].endswith("cat")
    assert found["gone"]["ready"] is False
    assert found["gone"]["program"] is None
    assert "pip install gone" in found["gone"]["lacks"][0]
    assert (found["gone"]["defined"], found["demo"]["defined"]) == (True, False)
    shown = person.orchestrator("agents", **env)
    assert shown.returncode == 0
    assert "Not ready: " in shown.stdout


@pytest.mark.parametrize(("name", "code", "said"), [("here", 0, "cat"), ("gone", 1, "pip install gone")])
def test_doctor_looks_at_one_agent(person: Person, name: str, code: int, said: str) -> None:
    env = _define(person)
    shown = person.orchestrator("doctor", "--agent", name, **env)
    assert shown.returncode == code
    assert said in shown.stdout
    document = json.loads(person.orchestrator("doctor", "--agent", name, "--json", **env).stdout)
    assert document["ok"] is (code == 0)


def test_doctor_knows_no_such_agent(person: Person) -> None:
    shown = person.orchestrator("doctor", "--agent", "dmeo")
    assert (shown.returncode, shown.stdout) == (2, "")
    assert "did you mean `demo`?" in shown.stderr


def test_a_wrong_file_of_agents_is_told_with_its_line(person: Person) -> None:
    env = _define(person)
    path = person.folder / "settings" / "orchestrator" / "agents.yaml"
    path.write_text("agents:\n  claude: {command: [x]}\n")
    shown = person.orchestrator("agents", **env)
    assert (shown.returncode, shown.stdout) == (2, "")
    assert f"{path}:2:3: agents.claude: the name of a built-in agent" in shown.stderr


def test_a_run_with_an_agent_of_the_user(person: Person) -> None:
    env = _define(person)
    done = person.orchestrator("run", "-p", "my words", "--agent", "here", "--json", **env)
    assert done.returncode == 0, done.stderr
    [result] = json.loads(done.stdout)["results"]
    assert (result["agent"], result["output"]) == ("here", "my words")
    missing = person.orchestrator("run", "-p", "my words", "--agent", "gone", **env)
    assert missing.returncode == 2
    assert "pip install gone" in missing.stderr


def test_a_transcript_for_people_and_for_machines(person: Person) -> None:
    person.write("tasks.yaml", ASKS)
    person.orchestrator("run", "tasks.yaml")
    shown = person.orchestrator("logs", "writes", "--transcript")
    assert shown.returncode == 0, shown.stderr
    assert "asked write: allowed by " in shown.stdout
    assert "asked shell: denied by " in shown.stdout
    assert "          git push --force" in shown.stdout
    assert "\x1b" not in shown.stdout
    lines = person.orchestrator("logs", "writes", "--transcript", "--json", "-f").stdout.splitlines()
    assert [json.loads(line)["verdict"] for line in lines] == ["allow", "deny"]
    report = json.loads(person.orchestrator("report", "--json").stdout)
    assert report["results"][0]["transcript_path"].endswith("transcript.jsonl")
    assert f"transcript: {report['results'][0]['transcript_path']}" in person.orchestrator("report").stdout


def test_no_transcript_is_said(person: Person) -> None:
    person.write("tasks.yaml", "version: 1\ntasks:\n  - {id: plain, command: ['true']}\n")
    person.orchestrator("run", "tasks.yaml")
    shown = person.orchestrator("logs", "plain", "--transcript")
    assert (shown.returncode, shown.stdout) == (2, "")
    assert "plain has no transcript" in shown.stderr
    for args in (("--transcript",), ("plain", "--transcript", "--raw")):
        assert person.orchestrator("logs", *args).returncode == 2
