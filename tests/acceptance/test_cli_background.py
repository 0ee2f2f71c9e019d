"""`run --detach` and `attach`: a run that outlives its terminal."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import time
from pathlib import Path

from tests.acceptance.cli_fixtures import COMMAND, Person, person

__all__ = ["person"]
WAIT_S = 30.0


def waiting_task(person: Person, folder: Path) -> str:
    wait = f"touch {folder}/begun; while ! test -e {folder}/go; do sleep 0.05; done; echo done > done.txt"
    text = f'version: 1\nsandbox: "off"\ntasks: [{{id: a, prompt: p, command: [sh, -c, "{wait}"]}}]\n'
    person.write("t.yaml", text)
    return "t.yaml"


def until_there(path: Path) -> None:
    deadline = time.monotonic() + WAIT_S
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.02)


def test_a_run_in_the_background_outlives_its_terminal(person: Person, tmp_path: Path) -> None:
    """A shell on a real terminal starts it; then the terminal is closed under the shell."""
    tasks = waiting_task(person, tmp_path)
    pid, terminal = pty.fork()
    if pid == 0:  # the child: a shell in a session of its own, with the terminal
        os.chdir(person.folder)
        line = f"{' '.join(COMMAND)} run {tasks} --detach --json > {tmp_path}/begun.json; exec cat"
        os.execve("/bin/sh", ["sh", "-c", line], person.env)
    until_there(tmp_path / "begun")
    os.close(terminal)
    os.waitpid(pid, 0)  # the hang-up ended the shell
    begun = json.loads((tmp_path / "begun.json").read_text())
    listed = json.loads(person.orchestrator("status", begun["run_id"], "--json").stdout)
    assert (listed["status"], listed["live"]) == ("running", True)
    assert os.getsid(begun["pid"]) == begun["pid"]
    attached = person.start("attach", "--json")
    (tmp_path / "go").touch()
    out, _ = attached.communicate(timeout=WAIT_S)
    assert (attached.returncode, json.loads(out)["counts"]["succeeded"]) == (0, 1)
    assert "succeeded" in Path(begun["log"]).read_text()


def test_ctrl_c_ends_the_view_and_not_the_run(person: Person, tmp_path: Path) -> None:
    begun = person.orchestrator("run", waiting_task(person, tmp_path), "--detach")
    run_id = begun.stdout.strip()
    assert begun.returncode == 0
    until_there(tmp_path / "begun")
    view = subprocess.Popen(
        [*COMMAND, "attach"], cwd=person.folder, env=person.env, stderr=subprocess.PIPE, text=True
    )
    with view:
        assert view.stderr
        assert "started" in view.stderr.readline()
        view.send_signal(signal.SIGINT)
        assert "goes on" in view.stderr.read()
        assert view.wait(WAIT_S) == 0
    assert run_id in person.orchestrator("list").stdout
    stopped = person.orchestrator("stop", run_id)
    assert (stopped.returncode, "interrupted" in stopped.stdout) == (0, True)


def test_what_keeps_it_from_starting_is_said_at_once(person: Person) -> None:
    person.write("t.yaml", "version: 1\ntasks: [{id: a, prompt: p, nonsense: 1}]\n")
    refused = person.orchestrator("run", "t.yaml", "--detach")
    assert (refused.returncode, "nonsense" in refused.stderr, refused.stdout) == (2, True, "")


def test_a_killed_run_in_the_background_is_resumed_there(person: Person, tmp_path: Path) -> None:
    begun = json.loads(
        person.orchestrator("run", waiting_task(person, tmp_path), "--detach", "--json").stdout
    )
    until_there(tmp_path / "begun")
    os.kill(begun["pid"], signal.SIGKILL)
    (tmp_path / "go").touch()
    again = json.loads(person.orchestrator("resume", "--detach", "--json").stdout)
    assert again["run_id"] == begun["run_id"]
    attached = person.orchestrator("attach", "--json")
    assert json.loads(attached.stdout)["counts"]["succeeded"] == 1
