"""Whole runs with the sandbox on: work gets done, and nothing else."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from orchestrator.errors import InputError
from orchestrator.model.event import Event, EventKind
from orchestrator.model.result import Status, TaskResult
from tests.integration.run_fixtures import git, make_repository, make_run, run, shell, task
from tests.integration.sandbox_fixtures import needs_bubblewrap

pytestmark = needs_bubblewrap


def test_work_is_committed_checked_and_brought_back(tmp_path: Path) -> None:
    repo = make_repository(tmp_path / "repo")
    before = git(repo, "for-each-ref", "--format=%(refname) %(objectname)")
    line = (
        "cat set-up && echo new > new.txt && git add new.txt && git commit -qm 'by the agent' "
        "&& echo more > more.txt"
    )
    task_ = task("a", shell(line), verify=["test -e new.txt && test -e more.txt && git status --short"])
    (result,) = run(repo, [task_], sandbox="on", setup=["echo ready > set-up"])
    assert result.status is Status.SUCCEEDED, (result.error_message, _log(result))
    assert set(result.files_changed) == {"new.txt", "more.txt", "set-up"}
    assert git(repo, "log", "--format=%s", f"main..{result.branch}").splitlines()[-1] == "by the agent"
    after = git(repo, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    assert [line for line in after if "orchestrator/" not in line] == before.splitlines()
    assert git(repo, "fsck", "--full") == ""


HARM = {
    "home": "echo x > $HOME/.bashrc; test -e /canary-home",
    "key": "cat {home}/.ssh/id",
    "state": "cat {state}/runs/*/journal*",
    "outside": "echo x > {outside}/x",
    "main": "git -C {repo} update-ref refs/heads/main HEAD~0 0000000000000000000000000000000000000000",
    "hook": "echo x > {git}/hooks/post-commit",
    "config": "git config core.fsmonitor /evil",
    "new branch": "git branch other",
    "pack": "rm -f {git}/objects/pack/*.pack",
    "alternates": "echo /x > {git}/objects/info/alternates",
    "head": "echo x > {git}/HEAD",
    "commondir": "echo /evil > $(git rev-parse --git-dir)/commondir",
    "worktree config": "echo x > $(git rev-parse --git-dir)/config.worktree",
    "other entry": "mkdir {git}/worktrees/evil",
}


@pytest.mark.parametrize("kind", HARM)
def test_harm_fails(tmp_path: Path, kind: str) -> None:
    repo = make_repository(tmp_path / "repo")
    git(repo, "gc", "-q")
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id").write_text("secret")
    (tmp_path / "outside").mkdir()
    places = {
        "home": tmp_path,
        "state": tmp_path / "orchestrator-home",
        "outside": tmp_path / "outside",
        "repo": repo,
        "git": repo / ".git",
    }
    line = HARM[kind].format(**places)
    task_ = task("a", shell(f"({line}) && echo HARMED; echo over"))
    (result,) = run(repo, [task_], sandbox="on", isolation="worktree")
    log = _log(result)
    assert "over" in log and "HARMED" not in log
    assert not (tmp_path / ".bashrc").exists() and not list((tmp_path / "outside").iterdir())
    assert git(repo, "fsck", "--full") == "" and git(repo, "config", "--get", "core.bare") == "false"


def test_without_the_sandbox_the_same_harm_is_done(tmp_path: Path) -> None:
    repo = make_repository(tmp_path / "repo")
    line = f"echo x > {repo}/.git/hooks/post-commit && git branch other && echo HARMED"
    (result,) = run(repo, [task("a", shell(line))], sandbox="off", isolation="worktree")
    assert "HARMED" in _log(result)


def test_the_boundary_is_said(tmp_path: Path) -> None:
    repo = make_repository(tmp_path / "repo")
    assert "sandboxed" in make_run(repo, [task("a", shell("true"))], sandbox="auto").plan.boundary
    assert "no sandbox" in make_run(repo, [task("a", shell("true"))], sandbox="off").plan.boundary


def test_on_cannot_be_kept_without_bubblewrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = make_repository(tmp_path / "repo")
    only_git = tmp_path / "bin"
    only_git.mkdir()
    (only_git / "git").symlink_to(str(shutil.which("git")))
    monkeypatch.setenv("PATH", str(only_git))
    with pytest.raises(InputError, match="`on` cannot be kept here: bubblewrap is not installed"):
        make_run(repo, [task("a", ["/bin/true"])], sandbox="on")
    with pytest.raises(InputError, match="only a sandbox can limit it"):
        make_run(repo, [task("a", ["/bin/true"])], network="none", sandbox="auto")
    plan = make_run(repo, [task("a", ["/bin/true"])], sandbox="auto").plan
    assert plan.sandbox is None and "no sandbox" in plan.boundary and "not installed" in plan.boundary


def test_a_missing_program_is_a_start_that_failed(tmp_path: Path) -> None:
    repo = make_repository(tmp_path / "repo")
    (result,) = run(repo, [task("a", ["./not-there"])], sandbox="on")
    assert result.status is Status.SPAWN_FAILED
    assert "No such file or directory" in str(result.error_message)


def test_lists_open_what_they_name(tmp_path: Path) -> None:
    repo = make_repository(tmp_path / "repo")
    (tmp_path / "cache").mkdir()
    (tmp_path / "settings").write_text("wanted")
    line = "cat ~/settings && ! (echo x > ~/settings) && echo kept > ~/cache/file"
    (result,) = run(
        repo, [task("a", shell(line))], sandbox="on", readable=["~/settings"], writable=["~/cache"]
    )
    assert result.success, _log(result)
    assert (tmp_path / "cache" / "file").read_text() == "kept\n"
    assert (tmp_path / "settings").read_text() == "wanted"
    for key in ("readable", "writable"):
        with pytest.raises(InputError, match=f"{key}: there is no"):
            make_run(repo, [task("a", shell("true"))], **{key: ["~/nowhere"]})


def test_home_and_temporary_files_last_through_the_attempt(tmp_path: Path) -> None:
    repo = make_repository(tmp_path / "repo")
    task_ = task("a", shell("test -e ~/installed && test -e $TMPDIR/note"), verify=["test -e ~/installed"])
    (result,) = run(repo, [task_], sandbox="on", setup=["touch ~/installed $TMPDIR/note"])
    assert result.success, _log(result)
    assert not (tmp_path / "installed").exists()


def test_no_network_means_none(tmp_path: Path) -> None:
    repo = make_repository(tmp_path / "repo")
    (result,) = run(
        repo,
        [task("a", shell("ls /sys/class/net; cat /proc/net/dev | tail -n +3"))],
        network="none",
        sandbox="on",
    )
    assert result.success
    assert [line.split(":")[0].strip() for line in _log(result).splitlines() if ":" in line] == ["lo"]


def test_our_own_folder_is_worked_in_but_its_hooks_stay(tmp_path: Path) -> None:
    repo = make_repository(tmp_path / "repo")
    line = "echo x > x.txt && git add x.txt && git commit -qm x && ! (echo x > .git/hooks/pre-commit)"
    events: list[Event] = []
    made = make_run(repo, [task("a", shell(line))], events.append, isolation="none", sandbox="on")
    (result,) = asyncio.run(made.execute())
    assert result.success, _log(result)
    assert git(repo, "log", "-1", "--format=%s") == "x"
    assert not (repo / ".git" / "hooks" / "pre-commit").exists()
    started = [event for event in events if event.kind is EventKind.PROCESS_STARTED]
    assert started[0].data["argv"] == shell(line)


def _log(result: TaskResult) -> str:
    return Path(str(result.log_path)).read_text()
