"""Whole runs with real processes in real repositories."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import psutil
import pytest

from orchestrator import config
from orchestrator.journal.runs import journal_path
from orchestrator.journal.state import load_state
from orchestrator.journal.store import add_request, read_events
from orchestrator.model.event import Event, EventKind, RunStatus
from orchestrator.model.result import Status
from orchestrator.report.build import build_report
from tests.integration.run_fixtures import git, make_repository, make_run, python, run, shell, task


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "repo")


def wait_for_each_other(count: int, folder: Path) -> str:
    """A program that ends only once `count` of it run at the same time."""
    return (
        "import os, pathlib, time\n"
        f"folder = pathlib.Path({str(folder)!r})\n"
        "(folder / os.environ['ORCHESTRATOR_WORKER_ID']).touch()\n"
        f"while len(list(folder.iterdir())) < {count}: time.sleep(0.01)\n"
    )


def test_results_come_in_spawn_order_whatever_the_order_of_ends(repo: Path, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    seen: list[str] = []

    def listen(event: Event) -> None:
        if event.kind is EventKind.WORKER_FINISHED and event.worker_id:
            seen.append(event.worker_id)
            gate.touch()

    slow = task("slow", shell(f"while [ ! -e {gate} ]; do sleep 0.01; done; echo slow"))
    results = run(repo, [slow, task("quick", shell("echo quick"))], on_event=listen)
    assert [result.worker_id for result in results] == ["slow", "quick"]
    assert seen == ["quick", "slow"]
    assert [result.output for result in results] == ["slow", "quick"]


def test_all_workers_run_at_one_instant(repo: Path, tmp_path: Path) -> None:
    meeting = tmp_path / "meeting"
    meeting.mkdir()
    tasks = [task(f"w{i}", python(wait_for_each_other(8, meeting)), timeout=60) for i in range(8)]
    running = make_run(repo, tasks, max_workers=8)
    results = asyncio.run(running.execute())
    assert all(result.success for result in results)
    assert build_report(load_state(running.directory))["max_overlap"] == 8


def test_the_cap_holds(repo: Path, tmp_path: Path) -> None:
    """Each worker notes how many others are alive; never more than the cap."""
    live = tmp_path / "live"
    live.mkdir()
    code = (
        "import os, pathlib, sys, time\n"
        f"folder = pathlib.Path({str(live)!r})\n"
        "mine = folder / os.environ['ORCHESTRATOR_WORKER_ID']\n"
        "mine.touch(); count = len(list(folder.iterdir())); time.sleep(0.05); mine.unlink()\n"
        "sys.exit(count > 2)\n"
    )
    results = run(repo, [task(f"w{i}", python(code)) for i in range(7)], max_workers=2)
    assert [result.status for result in results] == [Status.SUCCEEDED] * 7


def test_work_is_committed_on_the_workers_own_branch(repo: Path) -> None:
    head, status = git(repo, "rev-parse", "HEAD"), git(repo, "status", "--porcelain")
    [result] = run(repo, [task("write", shell("echo new > 'a file'; echo more >> README.md"))])
    assert result.success, result
    assert result.files_changed == ("README.md", "a file")
    assert (
        result.branch == f"orchestrator/{git(repo, 'branch', '--list', 'orchestrator/*').split('/')[1]}/write"
    )
    assert result.commit == git(repo, "rev-parse", result.branch)
    assert git(repo, "show", f"{result.branch}:a file") == "new"
    assert (git(repo, "rev-parse", "HEAD"), git(repo, "status", "--porcelain")) == (head, status)
    assert git(repo, "worktree", "list").count("\n") == 0


def test_a_worker_without_work_leaves_no_branch(repo: Path) -> None:
    [result] = run(repo, [task("idle", shell("true"))])
    assert result.success
    assert git(repo, "branch", "--list", "orchestrator/*") == ""


def test_faults_of_one_worker_leave_the_others_untouched(repo: Path) -> None:
    tasks = [
        task("good", shell("echo fine")),
        task("fails", shell("echo about to fail; exit 3")),
        task("killed", shell("kill -9 $$")),
        task("missing", ["no-such-program-anywhere"]),
        task("hangs", shell("sleep 1000"), timeout=0.3),
        task("silent", shell("echo once; sleep 1000"), idle_timeout=0.3),
        task("floods", python("import os\nfor _ in range(300): os.write(1, b'x' * 65536)")),
        task("binary", python(r"import os; os.write(1, b'\xff\xfe\x00\x80 caf\xc3')")),
        task("unread", shell("exec 0<&-; echo deaf")),
    ]
    results = {result.worker_id: result for result in run(repo, tasks, max_workers=9)}
    assert results["good"].output == "fine"
    assert (results["fails"].status, results["fails"].exit_code) == (Status.FAILED, 3)
    assert (results["killed"].status, results["killed"].signal) == (Status.FAILED, "SIGKILL")
    assert results["missing"].status is Status.SPAWN_FAILED
    assert "no-such-program-anywhere" in (results["missing"].error_message or "")
    assert (results["hangs"].status, results["hangs"].error_kind) == (Status.TIMED_OUT, "timeout")
    assert (results["silent"].status, results["silent"].error_kind) == (Status.TIMED_OUT, "idle_timeout")
    assert results["silent"].output == "once"
    for name in ("floods", "binary", "unread"):
        assert results[name].success, results[name]
    assert Path(results["floods"].log_path or "").stat().st_size == 300 * 65536


def test_a_failed_need_skips_its_dependents(repo: Path) -> None:
    tasks = [
        task("a", shell("exit 1")),
        task("b", shell("true"), needs=["a"]),
        task("c", shell("true"), needs=["b"]),
    ]
    results = run(repo, tasks)
    assert [result.status for result in results] == [Status.FAILED, Status.CANCELLED, Status.CANCELLED]
    assert results[1].error_kind == "need_failed"
    assert "`a`" in (results[1].error_message or "")
    assert results[2].attempts == 0


def test_a_dependent_builds_on_the_work_of_its_needs(repo: Path) -> None:
    tasks = [
        task("left", shell("echo left > left.txt")),
        task("right", shell("echo right > right.txt")),
        task("both", shell("cat left.txt right.txt > both.txt"), needs=["left", "right"]),
    ]
    results = run(repo, tasks)
    assert results[2].success, results[2]
    assert results[2].files_changed == ("both.txt",)
    assert git(repo, "show", f"{results[2].branch}:both.txt") == "left\nright"


def test_needs_whose_work_collides_fail_the_dependent_and_name_the_file(repo: Path) -> None:
    tasks = [
        task("left", shell("echo left > same.txt")),
        task("right", shell("echo right > same.txt")),
        task("both", shell("true"), needs=["left", "right"]),
    ]
    both = run(repo, tasks)[2]
    assert (both.status, both.error_kind) == (Status.FAILED, "workspace")
    assert "same.txt" in (both.error_message or "")


def test_setup_and_verify_have_their_logs_and_verdicts(repo: Path) -> None:
    tasks = [
        task("passes", shell("test -f ignored/ready && echo ok > out.txt")),
        task("fails", shell("true"), verify=["echo looking", "test -f nowhere", "echo never"]),
    ]
    passes, fails = run(
        repo, tasks, setup=["mkdir ignored && touch ignored/ready"], verify=["grep -q ok out.txt"]
    )
    assert passes.success, passes
    assert passes.verify is not None
    assert passes.verify.passed
    assert (fails.status, fails.error_kind) == (Status.FAILED, "verify_failed")
    assert fails.verify is not None
    assert [(check.command, check.exit_code) for check in fails.verify.commands] == [
        ("echo looking", 0),
        ("test -f nowhere", 1),
    ]
    assert "looking" in Path(fails.verify.commands[0].log_path).read_text()


def test_a_failing_or_endless_setup_ends_the_attempt_before_the_agent(repo: Path) -> None:
    [result] = run(repo, [task("a", shell("touch started"))], setup=["echo no; exit 4"])
    assert (result.status, result.error_kind) == (Status.FAILED, "setup_failed")
    assert result.files_changed == ()
    [result] = run(repo, [task("b", shell("true"))], setup=["sleep 1000"], setup_timeout=0.3)
    assert "time limit" in (result.error_message or "")


def test_verify_is_not_taken_on_the_agents_word(repo: Path) -> None:
    """What is not committed does not count: the check sees the tree, ignored files included."""
    [result] = run(repo, [task("liar", shell("echo all tests pass"))], verify=["test -f feature.txt"])
    assert result.error_kind == "verify_failed"


def test_a_failed_attempt_is_tried_again_on_its_own_branch(repo: Path) -> None:
    line = 'echo "$ORCHESTRATOR_ATTEMPT" > try.txt; test "$ORCHESTRATOR_ATTEMPT" = 2'
    [result] = run(repo, [task("flaky", shell(line), retries=1)])
    assert (result.status, result.attempts) == (Status.SUCCEEDED, 2)
    assert (result.branch or "").endswith("/flaky@2")
    assert git(repo, "show", f"{result.branch}:try.txt") == "2"


def test_the_runs_own_deadline_ends_what_runs_and_cancels_what_waits(repo: Path) -> None:
    tasks = [task("runs", shell("echo partial; sleep 1000")), task("waits", shell("true"))]
    running = make_run(repo, tasks, timeout=0.5, max_workers=1)
    runs, waits = asyncio.run(running.execute())
    assert (runs.status, runs.error_kind, runs.output) == (Status.TIMED_OUT, "run_timeout", "partial")
    assert (waits.status, waits.error_kind) == (Status.CANCELLED, "run_timeout")
    assert running.status is RunStatus.TIMED_OUT


DAEMONS = """
import os, signal, sys, time
for name in ("SIGTERM", "SIGINT", "SIGHUP"):
    signal.signal(getattr(signal, name), signal.SIG_IGN)
def note(): open(sys.argv[1], "a").write(f"{os.getpid()}\\n")
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        note()
        time.sleep(1000)
    os._exit(0)
note()
print("ready", flush=True)
if sys.argv[2] == "stay": time.sleep(1000)
"""


@pytest.mark.parametrize("stay", ["stay", "leave"])
def test_nothing_of_a_worker_is_left(repo: Path, tmp_path: Path, stay: str) -> None:
    pids = tmp_path / "pids"
    command = [*python(DAEMONS), str(pids), stay]
    [result] = run(repo, [task("daemon", command, timeout=1.0)])
    assert result.status is (Status.TIMED_OUT if stay == "stay" else Status.SUCCEEDED)
    for pid in pids.read_text().split():
        assert not psutil.pid_exists(int(pid)) or psutil.Process(int(pid)).status() == psutil.STATUS_ZOMBIE


def test_another_process_can_ask_for_the_stop(repo: Path) -> None:
    started = threading.Event()

    def listen(event: Event) -> None:
        if event.kind is EventKind.PROCESS_STARTED:
            started.set()

    running = make_run(repo, [task("long", shell("sleep 1000"))], listen)
    asker = threading.Thread(
        target=lambda: (
            started.wait(30) and add_request(journal_path(running.directory), "stop", {"now": False})
        )
    )
    asker.start()
    [result] = asyncio.run(running.execute())
    asker.join()
    assert (result.status, result.error_kind) == (Status.CANCELLED, "stopped")
    assert running.status is RunStatus.INTERRUPTED


def test_an_interrupt_keeps_the_work_and_the_workspace(repo: Path) -> None:
    def listen(event: Event) -> None:
        if event.kind is EventKind.PROCESS_STARTED:
            running.stop("interrupt", now=True)

    running = make_run(repo, [task("long", shell("echo half > half.txt; sync; sleep 1000"))], listen)
    [result] = asyncio.run(running.execute())
    assert result.status is Status.CANCELLED
    assert (config.workspaces_dir() / running.run_id / "long").is_dir()


def test_a_cancelled_caller_stops_every_worker_first(repo: Path) -> None:
    started = asyncio.Event()

    async def cancel_in_the_middle() -> None:
        running = make_run(
            repo,
            [task("long", shell("sleep 1000"))],
            lambda event: started.set() if event.kind is EventKind.PROCESS_STARTED else None,
        )
        executing = asyncio.ensure_future(running.execute())
        await started.wait()
        executing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await executing
        state = load_state(running.directory)
        assert state.status is RunStatus.INTERRUPTED
        assert state.workers["long"].result is not None

    asyncio.run(cancel_in_the_middle())


def test_a_loop_torn_down_with_everything_in_it_leaves_nothing(repo: Path, tmp_path: Path) -> None:
    """An exception in the loop itself makes `asyncio.run` cancel every task at once."""
    pids = tmp_path / "pids"

    class TornDownError(KeyboardInterrupt):
        pass

    def tear_down() -> None:
        raise TornDownError

    def listen(event: Event) -> None:
        if event.kind is EventKind.PROCESS_STARTED:
            pids.write_text(str(event.data["pid"]))
            asyncio.get_running_loop().call_soon(tear_down)

    running = make_run(repo, [task("long", shell("sleep 1000"))], listen)
    with pytest.raises(TornDownError):
        asyncio.run(running.execute())
    assert not psutil.pid_exists(int(pids.read_text()))
    assert load_state(running.directory).status is RunStatus.DIED


def test_halt_now_ends_the_run(repo: Path) -> None:
    tasks = [task("bad", shell("exit 1")), task("long", shell("sleep 1000")), task("next", shell("true"))]
    running = make_run(repo, tasks, halt="now,fail=1", max_workers=2)
    bad, long, after = asyncio.run(running.execute())
    assert (bad.status, long.status, after.status) == (Status.FAILED, Status.CANCELLED, Status.CANCELLED)
    assert long.error_kind == "halted"
    assert running.status is RunStatus.HALTED


def test_a_listener_that_fails_does_not_reach_the_workers(repo: Path) -> None:
    def listen(event: Event) -> None:
        raise ZeroDivisionError(event.kind)

    [result] = run(repo, [task("a", shell("true"))], on_event=listen)
    assert result.success


def test_the_journal_tells_the_same_story_as_the_results(repo: Path) -> None:
    events: list[Event] = []
    running = make_run(repo, [task("a", shell("echo hi")), task("b", shell("exit 2"))], events.append)
    results = asyncio.run(running.execute())
    kept = read_events(journal_path(running.directory))
    assert sorted(event.kind for event in kept) == sorted(event.kind for event in events)
    assert kept[0].kind is EventKind.RUN_STARTED
    assert kept[-1].kind is EventKind.RUN_FINISHED
    state = load_state(running.directory)
    assert [worker.result for worker in state.workers.values()] == results
    report = build_report(state)
    assert report["counts"]["succeeded"] == 1
    assert report["counts"]["failed"] == 1


def test_workers_have_an_environment_of_their_own(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SECRET_TOKEN", "s3cret")
    monkeypatch.setenv("MY_NAMED_ONE", "passes")
    line = (
        'test -z "$MY_SECRET_TOKEN" && test "$MY_NAMED_ONE" = passes && test "$A" = task && test "$B" = run'
        ' && test -w "$TMPDIR" && test "$(cat)" = "do it"'
        ' && test "$(cat $ORCHESTRATOR_PROMPT_FILE)" = "do it"'
        ' && echo "$ORCHESTRATOR_PORT_BASE $TMPDIR"'
    )
    tasks = [task(name, shell(line), env={"A": "task"}) for name in ("one", "two")]
    results = run(repo, tasks, pass_env=["MY_NAMED_ONE"], env={"A": "run", "B": "run"})
    assert [result.status for result in results] == [Status.SUCCEEDED] * 2, results
    (port_1, tmp_1), (port_2, tmp_2) = (result.output.split() for result in results)
    assert port_1 != port_2
    assert not Path(tmp_1).exists()
    assert tmp_1 != tmp_2


def test_isolation_none_works_in_a_folder_that_is_no_repository(tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    folder.mkdir()
    [result] = run(folder, [task("a", shell("echo here > here.txt"))], isolation="none")
    assert result.success
    assert (folder / "here.txt").read_text() == "here\n"
    assert (result.branch, result.commit) == (None, None)
