"""The tripwire over a real repository: what trips it, what does not, and who is suspected."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orchestrator.git.repository import open_repository
from orchestrator.workspaces.tripwire import Alarm, Tripwire
from tests.integration.run_fixtures import git, make_repository


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "repo")


def tripwire(repo: Path, *, checkout: bool = True) -> Tripwire:
    return Tripwire(open_repository(repo), checkout=checkout, ours=repo.parent / "workspaces")


def changed_by(repo: Path, *changes: object, checkout: bool = True) -> list[str]:
    wire = tripwire(repo, checkout=checkout)
    wire.begin("w")
    for change in changes:
        assert callable(change)
        change(repo)
    alarm = wire.end("w")
    return [change.path for change in alarm.changes] if alarm else []


def write(name: str, text: str = "evil\n"):  # type: ignore[no-untyped-def]
    def change(repo: Path) -> None:
        (repo / name).parent.mkdir(parents=True, exist_ok=True)
        (repo / name).write_text(text)

    return change


def run_git(*argv: str):  # type: ignore[no-untyped-def]
    return lambda repo: git(repo, *argv)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (write("README.md"), "README.md"),
        (lambda repo: (repo / "README.md").unlink(), "README.md"),
        (lambda repo: (repo / "README.md").chmod(0o755), "README.md"),
        (write("new file"), "new file"),
        (write("new/folder/file"), "new/folder/file"),
        (write(".git/hooks/pre-commit"), ".git/hooks/pre-commit"),
        (write(".git/info/attributes", "* filter=x\n"), ".git/info/attributes"),
        (write(".git/objects/info/alternates", "/else\n"), ".git/objects/info/alternates"),
        (run_git("config", "core.fsmonitor", "evil"), ".git/config"),
        (run_git("branch", "other"), "refs/heads/other"),
        (run_git("tag", "v1"), "refs/tags/v1"),
        (run_git("symbolic-ref", "HEAD", "refs/heads/nowhere"), ".git/HEAD"),
        (run_git("rm", "-q", "--cached", "README.md"), "the index: README.md"),
    ],
)
def test_what_trips_it(repo: Path, change: object, path: str | None) -> None:
    if path is not None:
        assert path in changed_by(repo, change)


@pytest.mark.parametrize(
    "change",
    [
        lambda repo: (repo / "README.md").touch(),  # the same content
        lambda repo: (repo / ".git/FETCH_HEAD").write_text("x"),
        run_git("update-index", "--refresh", "--really-refresh"),
        run_git("pack-refs", "--all"),
        run_git("gc", "-q", "--prune=now"),
        run_git("update-ref", "refs/heads/orchestrator/run/w", "HEAD"),
        run_git("update-ref", "refs/remotes/origin/main", "HEAD"),
        run_git("worktree", "add", "-q", "-b", "orchestrator/run/w", "../workspaces/w"),
        write("ignored/file"),
    ],
)
def test_what_does_not(repo: Path, change: object) -> None:
    assert changed_by(repo, change) == []


def test_a_file_that_is_not_tracked_may_grow(repo: Path) -> None:
    """It may be a log or a report of this very run."""
    write("events.jsonl")(repo)
    assert changed_by(repo, write("events.jsonl", "more and more\n")) == []


def test_only_git_is_watched_when_so_asked(repo: Path) -> None:
    assert changed_by(repo, write("README.md"), run_git("tag", "v1"), checkout=False) == ["refs/tags/v1"]


def test_a_pipe_in_place_of_a_hook_holds_nobody_up(repo: Path) -> None:
    assert changed_by(repo, lambda repo: os.mkfifo(repo / ".git/hooks/pre-push")) != []


def test_whoever_was_alive_is_suspected_and_nobody_else(repo: Path) -> None:
    wire = tripwire(repo)
    wire.begin("early")
    assert wire.end("early") is None
    wire.begin("one")
    wire.begin("two")
    git(repo, "config", "user.name", "Evil")
    wire.begin("late")
    one, two, late = wire.end("one"), wire.end("two"), wire.end("late")
    assert isinstance(one, Alarm)
    assert isinstance(two, Alarm)
    assert (one.others, two.others, late) == (("two",), ("one",), None)
    assert ".git/config of your repository changed" in one.message
    assert "two" in one.message


def test_what_changes_while_nobody_runs_counts_against_nobody(repo: Path) -> None:
    wire = tripwire(repo)
    wire.begin("one")
    assert wire.end("one") is None
    write("README.md")(repo)
    wire.begin("two")
    assert wire.end("two") is None


def test_the_evidence_shows_before_and_after(repo: Path) -> None:
    wire = tripwire(repo)
    wire.begin("w")
    write("README.md", "hello\nevil\n")(repo)
    git(repo, "config", "core.pager", "evil")
    alarm = wire.end("w")
    assert alarm is not None
    text = alarm.evidence()
    assert "README.md was changed" in text
    assert "\n hello\n+evil" in text
    assert "+\tpager = evil" in text


def test_no_code_of_the_repository_runs(repo: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\ntouch {ran}\n")
    script.chmod(0o755)
    (repo / ".gitattributes").write_text("* filter=evil diff=evil\n")
    for key in ("core.fsmonitor", "filter.evil.clean", "filter.evil.smudge", "diff.external", "core.pager"):
        git(repo, "config", key, str(script))
    wire = tripwire(repo)
    ran.unlink(missing_ok=True)  # the fixture's own git ran it
    wire.begin("w")
    write("README.md")(repo)
    assert wire.end("w") is not None
    assert not ran.exists()


def test_a_look_is_quick(repo: Path) -> None:
    """Processor time of this process, so that a busy machine does not count."""
    for number in range(1000):
        write(f"d{number % 20}/f{number}", f"{number}\n")(repo)
    git(repo, "add", ".")
    git(repo, "commit", "-q", "-m", "many")
    wire = tripwire(repo)
    wire.begin("first")
    began = time.process_time()
    for number in range(5):
        wire.begin(f"w{number}")
    assert (time.process_time() - began) / 5 < 0.1


def test_worktrees_that_come_and_go_are_no_alarm(repo: Path) -> None:
    """Our own git is at work in the repository all the time, also in the middle of a look."""
    wire = tripwire(repo)
    wire.begin("w")
    with ThreadPoolExecutor(1) as pool:

        def work() -> None:
            for number in range(10):
                place = f"../workspaces/w{number}"
                git(repo, "worktree", "add", "-q", "-b", f"orchestrator/run/w{number}", place)
                git(repo, "pack-refs", "--all")
                git(repo, "worktree", "remove", place)

        working = pool.submit(work)
        looks = 0
        while not working.done():
            wire.begin(f"look {looks}")
            looks += 1
        working.result()
    alarm = wire.end("w")
    assert alarm is None, alarm.evidence()
    assert looks > 10
