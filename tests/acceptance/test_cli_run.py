"""A run from the command line: results, progress, events, Ctrl-C, and looking at it from elsewhere."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pexpect
import psutil
import pytest
from cli_fixtures import COMMAND, Person, person

from orchestrator.errors import JournalError
from orchestrator.journal.state import load_state
from orchestrator.sessions.screen import Screen

__all__ = ["person"]
#: Tasks that work until the test opens the gate.
UNTIL_OPEN = "echo at work $$; while [ ! -e {gate} ]; do sleep 0.02; done; echo opened"
STUBBORN = "trap '' INT TERM HUP; echo at work $$; while :; do sleep 0.02; done"


def until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError(f"never came true: {condition}")


def plan(person: Person, /, *, settings: str = "", **lines: str) -> str:
    """Write a task file outside the repository; each task is a line for the shell, free to write anywhere."""
    tasks = [{"id": task_id, "prompt": "x", "command": ["sh", "-c", line]} for task_id, line in lines.items()]
    path = person.folder.parent / "tasks.yaml"
    head = f"version: 1\nrepo: {person.folder}\nagent: command\nsandbox: off\n{settings}\n"
    path.write_text(f"{head}tasks: {json.dumps(tasks)}\n")
    return str(path)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Path]:
    """The file that lets the tasks go on; opened at the end in any case."""
    path = tmp_path / "gate"
    yield path
    path.touch()


def at_work(person: Person, *ids: str) -> list[int]:
    """Wait until these workers' agents of the newest run are at work; return their process ids."""
    found: dict[str, int] = {}

    def all_found() -> bool:
        for worker_id in set(ids) - found.keys():
            if match := re.search(r"at work (\d+)\n", _log_text(person, worker_id)):
                found[worker_id] = int(match[1])
        return len(found) == len(ids)

    until(all_found)
    return [found[worker_id] for worker_id in ids]


def _log_text(person: Person, worker_id: str) -> str:
    folder = max(person.home.glob("runs/*"), default=None)
    if folder is None or not (folder / "journal.db").exists():
        return ""
    try:
        worker = load_state(folder).workers.get(worker_id)
    except JournalError:
        return ""  # it has begun to be written, no more
    path = worker.log_path if worker else None
    return Path(path).read_text() if path and Path(path).exists() else ""


def end(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    stdout, stderr = process.communicate(timeout=60)
    return process.returncode, stdout, stderr


def test_json_is_one_document_and_nothing_else(person: Person) -> None:
    tasks = plan(
        person, slow="sleep 0.3; echo done > slow.txt", quick="printf '\\033[31mhi'", broken="exit 3"
    )
    shown = person.orchestrator("run", tasks, "--json")
    report = json.loads(shown.stdout)
    assert shown.returncode == 1
    assert report["status"] == "failed"
    assert [result["worker_id"] for result in report["results"]] == ["slow", "quick", "broken"]
    assert [result["status"] for result in report["results"]] == ["succeeded", "succeeded", "failed"]
    assert shown.stdout.isascii()
    assert "\x1b" not in shown.stdout + shown.stderr
    assert report == json.loads(person.orchestrator("report", "--json").stdout)
    assert person.git("status", "--porcelain") == ""


def test_all_succeeded_is_exit_code_0_and_a_summary(person: Person) -> None:
    shown = person.orchestrator("run", plan(person, one="echo x > one.txt", two="true"))
    assert shown.returncode == 0
    assert "2 of 2 ended, 2 succeeded" in shown.stdout
    assert "1 with work" in shown.stdout
    run_id = re.search(r"^run (\S+):", shown.stderr)
    assert run_id
    assert f"orchestrator report {run_id[1]}" in shown.stdout
    branch = f"orchestrator/{run_id[1]}/one"
    assert f"...{branch}" in shown.stdout
    assert person.git("show", f"{branch}:one.txt") == "x\n"


def test_plain_lines_when_not_on_a_terminal(person: Person) -> None:
    shown = person.orchestrator(
        "run", plan(person, one="true", two="exit 1", three="true"), "--max-workers=1"
    )
    header, *lines = shown.stderr.splitlines()
    assert re.fullmatch(r"run \S+: 3 tasks, 1 at once", header)
    assert any("no sandbox" in line for line in lines)
    steps = [line.split("] ")[1].split() for line in lines if line.startswith("[")]
    assert sorted(step[1] for step in steps if step[0] == "started") == ["one", "three", "two"]
    ended = [step[:2] for step in steps if step[0] != "started"]
    assert ended == [["succeeded", "one"], ["failed", "two"], ["succeeded", "three"]]
    assert all(steps.index(step) > [one[1] for one in steps].index(step[1]) for step in steps if step[2:])
    assert [step[2] for step in steps if step[0] != "started"] == ["1/3", "2/3", "3/3"]


def test_no_progress_says_only_the_start(person: Person) -> None:
    shown = person.orchestrator("run", plan(person, one="true"), "--no-progress")
    assert shown.returncode == 0
    assert [line for line in shown.stderr.splitlines() if line.startswith("[")] == []


def test_warnings_come_before_the_start(person: Person) -> None:
    person.write("new.txt", "not committed\n")
    shown = person.orchestrator("run", plan(person, one="true"))
    assert shown.stderr.index("warning: 1 uncommitted change") < shown.stderr.index("started")


def test_prompts_and_markdown(person: Person) -> None:
    person.write("a.md", "# Add a file\n\nPlease.\n")
    report = json.loads(person.orchestrator("run", "a.md", "--agent", "demo", "--json").stdout)
    assert [result["agent"] for result in report["results"]] == ["demo"]
    shown = person.orchestrator(
        "run", "-p", "What is 2 + 3?", "-p", "What is 4 * 5?", "--agent=demo", "--json"
    )
    assert len(json.loads(shown.stdout)["results"]) == 2


def test_options_count_more_than_the_file(person: Person) -> None:
    tasks = plan(person, settings="max_workers: 2\nbase: nowhere", one="true", two="true")
    report = json.loads(person.orchestrator("run", tasks, "--max-workers=1", "--base=main", "--json").stdout)
    assert (report["max_workers"], report["max_overlap"], report["base_ref"]) == (1, 1, "main")


def test_events_come_as_they_happen(person: Person, gate: Path, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    run = person.start("run", plan(person, one=UNTIL_OPEN.format(gate=gate)), "--events", str(file))

    def kinds() -> list[str]:
        lines = file.read_text().splitlines(keepends=True) if file.exists() else []
        return [json.loads(line)["kind"] for line in lines if line.endswith("\n")]

    until(lambda: "process.started" in kinds())
    assert run.poll() is None
    gate.touch()
    assert end(run)[0] == 0
    assert (kinds()[0], kinds()[-1]) == ("run.started", "run.finished")
    assert kinds().count("worker.finished") == 1


def test_events_on_stdout(person: Person) -> None:
    shown = person.orchestrator("run", plan(person, one="true"), "--events", "-")
    events = [json.loads(line) for line in shown.stdout.splitlines()]
    assert shown.returncode == 0
    assert events[-1]["kind"] == "run.finished"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_cleanly(person: Person, gate: Path, number: signal.Signals) -> None:
    line = "echo half > half.txt; " + UNTIL_OPEN.format(gate=gate)
    run = person.start("run", plan(person, one=line, two="true"), "--json")
    [pid] = at_work(person, "one")
    until(lambda: _statuses(person).get("two") == "succeeded")
    run.send_signal(number)
    code, stdout, stderr = end(run)
    report = json.loads(stdout)
    assert code == 130
    assert report["status"] == "interrupted"
    assert [result["status"] for result in report["results"]] == ["cancelled", "succeeded"]
    assert "stopping; press Ctrl-C again to stop at once" in stderr
    assert "Traceback" not in stderr
    assert not psutil.pid_exists(pid)
    assert person.git("show", f"{report['results'][0]['branch']}:half.txt") == "half\n"


def test_ctrl_c_twice_stops_at_once(person: Person) -> None:
    run = person.start("run", plan(person, one=STUBBORN, two=STUBBORN))
    pids = at_work(person, "one", "two")
    assert run.stderr is not None
    run.send_signal(signal.SIGINT)
    said = ""
    while "press Ctrl-C again" not in said:
        said = run.stderr.readline()
    run.send_signal(signal.SIGINT)
    code, stdout, stderr = end(run)
    assert code == 130
    assert "stopping at once" in stderr
    assert "2 cancelled" in stdout
    assert not any(psutil.pid_exists(pid) for pid in pids)


@pytest.fixture
def on_terminal(person: Person) -> Iterator[Callable[..., pexpect.spawn]]:
    """Start the command on a terminal of its own."""
    children: list[pexpect.spawn] = []

    def start(*args: str, rows: int = 20, columns: int = 100, **env: str) -> pexpect.spawn:
        child = pexpect.spawn(
            COMMAND[0],
            [*COMMAND[1:], *args],
            cwd=str(person.folder),
            env=person.env | env,
            dimensions=(rows, columns),
            timeout=60,
        )
        children.append(child)
        return child

    yield start
    for child in children:
        child.close(force=True)


def screen_until(child: pexpect.spawn, screen: Screen, condition: Callable[[list[str]], bool]) -> bytes:
    """Show the child's output until the screen fulfils the condition, or the child ends."""
    seen = b""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if condition(screen.lines()):
            return seen
        try:
            data = child.read_nonblocking(65536, timeout=1)
        except pexpect.TIMEOUT:
            continue
        except pexpect.EOF:
            break
        seen += data
        screen.feed(data)
    assert condition(screen.lines()), "\n".join(screen.lines())
    return seen


def test_live_progress_on_a_terminal(
    person: Person, on_terminal: Callable[..., pexpect.spawn], gate: Path
) -> None:
    line = UNTIL_OPEN.format(gate=gate)
    tasks = plan(person, one=line, two="echo broken; exit 4", three=line)
    child = on_terminal("run", tasks)
    screen = Screen(40, 100)

    def going(lines: list[str]) -> bool:
        rows = {row.split()[0]: row.split()[1:] for row in lines if row.split()}
        return (
            rows.get("one", [""])[0] == "running"
            and rows["one"][2:4] == ["at", "work"]
            and rows.get("two", [""])[0] == "failed"
            and any("1/3 done  1 failed" in row for row in lines)
        )

    seen = screen_until(child, screen, going)
    assert b"\x1b[3" in seen  # colours
    gate.touch()
    screen_until(child, screen, lambda lines: any(row.startswith("report ") for row in lines))
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 1
    rows = screen.lines()
    assert sum(row.startswith("one ") for row in rows) == 1  # drawn over, not again and again
    assert any("3/3 done  1 failed" in row for row in rows)


def test_ctrl_c_on_a_terminal(person: Person, on_terminal: Callable[..., pexpect.spawn]) -> None:
    child = on_terminal("run", plan(person, one=STUBBORN))
    [pid] = at_work(person, "one")
    child.sendintr()
    child.expect("press Ctrl-C again to stop at once")
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    assert not psutil.pid_exists(pid)


def test_a_closed_terminal_stops_the_run_and_keeps_it(
    person: Person, on_terminal: Callable[..., pexpect.spawn], gate: Path
) -> None:
    child = on_terminal("run", plan(person, one=UNTIL_OPEN.format(gate=gate)))
    [pid] = at_work(person, "one")
    child.close(force=False)
    until(lambda: json.loads(person.orchestrator("status", "--json").stdout)["status"] != "running")
    assert json.loads(person.orchestrator("status", "--json").stdout)["status"] == "interrupted"
    assert not psutil.pid_exists(pid)
    assert not (person.home / "crashes").exists()


def test_a_reader_that_stalls_holds_nothing_up(person: Person) -> None:
    tasks = plan(person, **{f"w{number:02}": "exit 1" for number in range(20)})
    unread, stderr = os.pipe()
    fcntl.fcntl(stderr, fcntl.F_SETPIPE_SZ, 4096)
    os.write(stderr, b"x" * 3000)  # room for the header, no more
    run = subprocess.run(
        [*COMMAND, "run", tasks, "--json"],
        env=person.env,
        cwd=person.folder,
        stdout=subprocess.PIPE,
        stderr=stderr,
        timeout=60,
        check=False,
    )
    os.close(stderr)
    os.close(unread)
    assert run.returncode == 1
    assert json.loads(run.stdout)["counts"]["failed"] == 20


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_colour_when_asked(
    person: Person, on_terminal: Callable[..., pexpect.spawn], env: dict[str, str]
) -> None:
    child = on_terminal("run", plan(person, one="true"), **env)
    child.expect(pexpect.EOF)
    child.close()
    assert child.before is not None
    assert re.search(rb"\x1b\[[0-9;]*m", child.before) is None
    assert (b"\x1b" in child.before) is ("TERM" not in env)


def test_more_workers_than_rows(
    person: Person, on_terminal: Callable[..., pexpect.spawn], gate: Path
) -> None:
    lines = {f"w{number:02}": UNTIL_OPEN.format(gate=gate) for number in range(30)}
    child = on_terminal("run", plan(person, **lines), "--max-workers=4", rows=12, columns=60)
    screen = Screen(12, 60)
    screen_until(
        child, screen, lambda rows: sum(" running " in row for row in rows) == 4 and "queued" in rows[-3]
    )
    child.setwinsize(8, 40)
    smaller = Screen(8, 40)
    screen_until(child, smaller, lambda rows: sum(" running " in row for row in rows) == 4)
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()


def test_status_from_elsewhere_while_it_goes_and_after_it_died(person: Person, gate: Path) -> None:
    run = person.start("run", plan(person, one=UNTIL_OPEN.format(gate=gate), two="true"), "--max-workers=2")
    at_work(person, "one")
    until(lambda: _statuses(person).get("two") == "succeeded")
    status = json.loads(person.orchestrator("status", "--json").stdout)
    assert (status["status"], status["live"], status["counts"]["succeeded"]) == ("running", True, 1)
    assert [worker["worker_id"] for worker in status["pending"]] == ["one"]
    shown = person.orchestrator("status").stdout
    assert re.search(r"^one +running +\S+s +at work", shown, re.MULTILINE)
    assert "1/2 done" in shown
    run.kill()
    end(run)
    until(lambda: not json.loads(person.orchestrator("status", "--json").stdout)["live"])
    died = json.loads(person.orchestrator("status", "--json").stdout)
    assert died["status"] == "died"
    assert "its process is gone" in person.orchestrator("status").stdout
    assert [entry["status"] for entry in json.loads(person.orchestrator("list", "--json").stdout)] == ["died"]


def _statuses(person: Person) -> dict[str, str]:
    status = json.loads(person.orchestrator("status", "--json").stdout)
    return {result["worker_id"]: result["status"] for result in status["results"]}


def test_logs_follow_a_worker_to_its_end(person: Person, gate: Path) -> None:
    run = person.start("run", plan(person, one=UNTIL_OPEN.format(gate=gate)))
    at_work(person, "one")
    logs = person.start("logs", "one", "-f")
    assert logs.stdout is not None
    assert logs.stdout.readline().startswith("at work ")
    assert logs.poll() is None
    gate.touch()
    assert end(logs)[:2] == (0, "opened\n")
    assert end(run)[0] == 0


def test_logs_follow_a_run_to_its_end(person: Person, gate: Path) -> None:
    run = person.start("run", plan(person, one=UNTIL_OPEN.format(gate=gate)))
    at_work(person, "one")
    logs = person.start("logs", "-f")
    watch = person.start("status", "--watch")
    assert logs.stdout is not None
    assert " run.started " in logs.stdout.readline()
    gate.touch()
    code, stdout, _ = end(logs)
    assert code == 0
    assert " run.finished " in stdout.splitlines()[-1]
    assert end(watch)[2].splitlines()[-1].split("] ")[1].startswith("succeeded  one 1/1")
    end(run)


def test_logs_are_harmless_unless_raw(person: Person) -> None:
    person.orchestrator("run", plan(person, one="printf '\\033]0;t\\007a\\033[31mb\\n\\377end'"))
    assert person.orchestrator("logs", "one").stdout == "ab\n\ufffdend\n"
    raw = subprocess.run(
        [*COMMAND, "logs", "one", "--raw"], env=person.env, cwd=person.folder, capture_output=True, check=True
    )
    assert raw.stdout == b"\x1b]0;t\x07a\x1b[31mb\n\xffend"
    document = json.loads(person.orchestrator("logs", "one", "--json").stdout)
    assert document["text"] == "ab\n\ufffdend"
    wrong = person.orchestrator("logs", "oen")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "did you mean `one`?" in wrong.stderr


def test_logs_of_setup_and_verify(person: Person) -> None:
    tasks = plan(person, settings='setup: ["echo prepared"]\nverify: ["echo checked"]', one="true")
    assert person.orchestrator("run", tasks).returncode == 0
    assert "prepared\n" in person.orchestrator("logs", "one", "--setup").stdout
    assert "checked\n" in person.orchestrator("logs", "one", "--verify").stdout
    events = json.loads(person.orchestrator("logs", "--json").stdout)
    assert events[-1]["kind"] == "run.finished"


@pytest.mark.parametrize("now", [False, True])
def test_stop_ends_a_run_in_another_process(person: Person, gate: Path, now: bool) -> None:
    run = person.start("run", plan(person, one=STUBBORN if now else UNTIL_OPEN.format(gate=gate)))
    [pid] = at_work(person, "one")
    stop = person.orchestrator("stop", *(["--now"] if now else []))
    assert stop.returncode == 0
    assert "has ended: interrupted" in stop.stdout
    assert end(run)[0] == 130
    assert not psutil.pid_exists(pid)
    again = person.orchestrator("stop")
    assert (again.returncode, again.stdout) == (0, "no run is going\n")
    [entry] = json.loads(person.orchestrator("list", "--json").stdout)
    named = person.orchestrator("stop", entry["run_id"])
    assert (named.returncode, "is not going; it ended: interrupted" in named.stdout) == (0, True)


def test_report_as_text_and_page(person: Person, tmp_path: Path) -> None:
    ended = person.orchestrator("run", plan(person, one="true", two="exit 1"))
    assert person.orchestrator("report").stdout.strip() in ended.stdout
    page = tmp_path / "report.html"
    shown = person.orchestrator("report", "--html", str(page))
    assert (shown.returncode, shown.stdout) == (0, f"wrote {page}\n")
    assert "<svg" in page.read_text() or "<html" in page.read_text()
    wrong = person.orchestrator("report", "--html", str(tmp_path / "no" / "r.html"))
    assert (wrong.returncode, wrong.stdout) == (2, "")


def test_list_is_newest_first_and_by_repository(person: Person, tmp_path: Path) -> None:
    for _ in range(2):
        person.orchestrator("run", plan(person, one="true"))
    entries = json.loads(person.orchestrator("list", "--json").stdout)
    ids = [entry["run_id"] for entry in entries]
    assert ids == sorted(ids, reverse=True)
    assert len(ids) == 2
    assert all(run_id in person.orchestrator("list").stdout for run_id in ids)
    assert len(json.loads(person.orchestrator("list", "--repo", ".", "--json").stdout)) == 2
    assert json.loads(person.orchestrator("list", "--repo", str(tmp_path), "--json").stdout) == []


def test_a_damaged_journal_does_not_hide_the_others(person: Person) -> None:
    person.orchestrator("run", plan(person, one="true"))
    broken = person.home / "runs" / "20200101-000000-aaaa"
    broken.mkdir()
    (broken / "journal.db").write_bytes(os.urandom(4096))
    statuses = [entry["status"] for entry in json.loads(person.orchestrator("list", "--json").stdout)]
    assert statuses == ["succeeded", "unreadable"]
    assert "unreadable" in person.orchestrator("list").stdout


def test_gc_takes_workspaces_and_keeps_work(person: Person, gate: Path) -> None:
    tasks = plan(person, settings="keep: always", one="echo x > one.txt", two="true")
    report = json.loads(person.orchestrator("run", tasks, "--json").stdout)
    branch = report["results"][0]["branch"]
    running = person.start("run", plan(person, three=UNTIL_OPEN.format(gate=gate)))
    at_work(person, "three")
    workspaces = person.home / "workspaces"
    assert len(list(workspaces.glob("*/*"))) >= 3

    planned = json.loads(person.orchestrator("gc", "--dry-run", "--json").stdout)
    assert [entry["run_id"] for entry in planned["runs"]] == [report["run_id"]]
    assert (workspaces / report["run_id"] / "one").exists()
    done = person.orchestrator("gc", "--older-than", "1ms")
    assert done.returncode == 0
    assert not (workspaces / report["run_id"]).exists()
    assert not (person.home / "runs" / report["run_id"]).exists()
    assert person.git("show", f"{branch}:one.txt") == "x\n"

    gate.touch()
    assert end(running)[0] == 0
    assert len(json.loads(person.orchestrator("list", "--json").stdout)) == 1
