"""Landing real runs in real repositories."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import InputError, JournalError
from orchestrator.journal.runs import RunLock
from orchestrator.journal.state import load_state
from tests.integration.git_fixtures import fingerprint
from tests.integration.landing_fixtures import (
    branch_of,
    files_in,
    finished_run,
    land,
    landing_of,
    tasks_in,
    writes,
)
from tests.integration.run_fixtures import git, make_repository, shell


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "repo")


def test_what_succeeded_lands_and_the_users_own_things_stay(repo: Path) -> None:
    (repo / "README.md").write_text("being edited\n")
    commands = {
        "a": writes("a.txt"),
        "b": writes("src/b.txt"),
        "fails": shell("exit 3"),
        "idle": shell("true"),
    }
    folder = finished_run(repo, commands)
    before = fingerprint(repo)
    result = land(folder)
    assert (result.landed, result.held, result.empty) == (["a", "b"], {}, ["idle"])
    assert result.complete
    assert files_in(repo, branch_of(folder)) == [".gitignore", "README.md", "a.txt", "src/b.txt"]
    assert git(repo, "rev-parse", branch_of(folder)) == result.commit
    assert tasks_in(repo, folder) == ["a", "b"]
    assert fingerprint(repo) == before
    assert landing_of(folder)["landed"] == ["a", "b"]
    assert git(repo, "fsck", "--strict", "--no-dangling") == ""


@pytest.mark.parametrize("history", ["merge", "squash", "rebase"])
def test_each_form_of_history_gives_the_same_files(repo: Path, history: str) -> None:
    own = "echo one > w.txt && git add -A && git commit -q --author='W <w@x>' -m 'Add one' && "
    own += "echo two >> w.txt && git add -A && git commit -q --author='W <w@x>' -m 'Add two'"
    commands = {"w": shell(own), "next": shell("cat w.txt > copy.txt"), "other": writes("README.md", "new")}
    folder = finished_run(repo, commands, needs={"next": ["w"]})
    result = land(folder, history=history)
    assert result.complete, result.held
    tip = branch_of(folder)
    assert git(repo, "show", f"{tip}:copy.txt") == "one\ntwo"
    assert git(repo, "show", f"{tip}:README.md") == "new"
    parents = git(repo, "rev-list", "--parents", f"main..{tip}").splitlines()
    merges = [line for line in parents if len(line.split()) > 2]
    subjects = git(repo, "log", "--reverse", "--format=%s", f"main..{tip}").splitlines()
    if history == "merge":
        assert len(merges) == 3
    else:
        assert merges == []
        assert len(subjects) == {"squash": 3, "rebase": 4}[history]
    if history == "rebase":
        assert {"Add one", "Add two"} <= set(subjects)
        assert "W" in git(repo, "log", "--format=%an", f"main..{tip}").splitlines()
    assert git(repo, "fsck", "--strict", "--no-dangling") == ""


def test_a_conflict_is_set_aside_with_its_files_and_all_that_needs_it(repo: Path) -> None:
    commands = {
        "a": writes("README.md", "from a"),
        "b": writes("README.md", "from b"),
        "c": writes("c.txt"),
        "d": writes("d.txt"),
    }
    folder = finished_run(repo, commands, needs={"d": ["b"]})
    result = land(folder)
    assert "c" in result.landed
    kinds = {held.kind for held in result.held.values()}
    assert "conflict" in kinds
    [conflict] = [held for held in result.held.values() if held.kind == "conflict"]
    assert conflict.files == ("README.md",)
    assert "README.md" in conflict.reason
    assert ("d" in result.landed) == ("b" in result.landed)
    assert not result.complete


@pytest.mark.parametrize("history", ["merge", "squash", "rebase"])
def test_the_culprit_of_a_failing_gate_is_found_and_the_others_land(repo: Path, history: str) -> None:
    commands = {name: writes(f"{name}.txt") for name in "abcdef"}
    # each passes alone; e and b do not go together
    verify = ["! { test -e b.txt && test -e e.txt; }"]
    folder = finished_run(repo, commands, verify=verify)
    result = land(folder, history=history)
    assert len(result.landed) == 5
    [held] = result.held.values()
    assert held.worker_id in {"b", "e"}
    assert held.kind == "gate"
    assert "exited with status 1" in held.reason
    gates = [gate for gate in load_state(folder).gates if gate["on"] == "landing"]
    assert len(gates) <= 7
    assert gates[-1]["passed"] or not gates[-1]["workers"]


def test_a_second_landing_does_nothing_and_gates_nothing(repo: Path) -> None:
    folder = finished_run(repo, {"a": writes("a.txt"), "b": writes("b.txt")}, verify=["true"])
    first = land(folder)
    again = land(folder)
    assert again.landed == first.landed
    assert again.commit == first.commit
    assert len([gate for gate in load_state(folder).gates if gate["on"] == "landing"]) == 1


def test_an_unchanged_tree_is_not_gated_twice(repo: Path, tmp_path: Path) -> None:
    count = tmp_path / "count"
    folder = finished_run(repo, {"a": writes("a.txt"), "b": writes("b.txt")}, verify=[f"echo x >> {count}"])
    land(folder)
    git(repo, "branch", "-D", branch_of(folder))
    ran = len(count.read_text().split())
    result = land(folder)
    assert result.landed == ["a", "b"]
    assert len(count.read_text().split()) == ran
    assert load_state(folder).gates[-1]["cached"]


def test_only_some_land_and_later_the_rest(repo: Path) -> None:
    commands = {name: writes(f"{name}.txt") for name in "abc"}
    folder = finished_run(repo, commands, needs={"c": ["b"]})
    result = land(folder, only=("a", "c"))
    assert result.landed == ["a"]
    assert result.held["c"].kind == "need"
    first = result.commit
    assert first is not None
    result = land(folder)
    assert result.complete
    assert sorted(result.landed) == ["a", "b", "c"]
    git(repo, "merge-base", "--is-ancestor", first, branch_of(folder))
    assert sorted(tasks_in(repo, folder)) == ["a", "b", "c"]
    with pytest.raises(InputError, match="no task"):
        land(folder, only=("z",))
    with pytest.raises(InputError, match="never rewritten"):
        land(folder, history="squash")


def test_a_squashed_landing_goes_on_without_false_conflicts(repo: Path) -> None:
    commands = {
        "a": writes("f.txt", "1"),
        "b": shell("printf '1\\n2\\n' > f.txt"),
        "c": shell("echo 3 >> f.txt"),
    }
    folder = finished_run(repo, commands, needs={"b": ["a"], "c": ["b"]})
    for name in "abc":
        assert land(folder, history="squash", only=(name,)).complete
    assert git(repo, "show", f"{branch_of(folder)}:f.txt") == "1\n2\n3"
    assert tasks_in(repo, folder) == ["a", "b", "c"]


def test_a_worker_may_be_called_integration(repo: Path) -> None:
    folder = finished_run(repo, {"integration": writes("a.txt"), "Integration2": writes("b.txt")})
    result = land(folder)
    assert sorted(result.landed) == ["Integration2", "integration"]


def test_landing_while_the_run_is_alive_is_refused(repo: Path) -> None:
    folder = finished_run(repo, {"a": writes("a.txt")})
    lock = RunLock.acquire(folder)
    try:
        with pytest.raises(JournalError, match="alive"):
            land(folder)
    finally:
        lock.release()


def test_a_run_lands_at_its_end_when_asked(repo: Path) -> None:
    commands = {"a": writes("a.txt"), "b": writes("README.md", "b"), "c": writes("README.md", "c")}
    folder = finished_run(repo, commands, land=True, verify=["true"])
    state = load_state(folder)
    assert len(state.landing["landed"]) == 2
    assert [held["kind"] for held in state.landing["held"]] == ["conflict"]
    assert state.finished_at is not None


def test_the_base_gate_warns_or_stops(repo: Path) -> None:
    folder = finished_run(repo, {"a": shell("sleep 1; touch a.txt")}, verify=["test -f a.txt"])
    [gate] = load_state(folder).gates
    assert (gate["on"], gate["passed"]) == ("base", False)
    folder = finished_run(repo, {"b": writes("a.txt")}, verify=["test -f a.txt"], base_gate="require")
    state = load_state(folder)
    assert state.workers["b"].result is not None
    assert state.workers["b"].result.error_kind == "base_gate"
    folder = finished_run(repo, {"c": writes("a.txt")}, verify=["test -f a.txt"], base_gate="off")
    assert load_state(folder).gates == []
    folder = finished_run(repo, {"d": writes("a.txt")}, verify=["test -f README.md"], base_gate="require")
    assert load_state(folder).workers["d"].result.success  # type: ignore[union-attr]


def test_secrets_that_the_record_leaves_out_are_asked_for_again(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "a-value-nobody-should-see"
    env = {"API_TOKEN": secret}
    folder = finished_run(
        repo, {"a": writes("a.txt")}, env=env, verify=[f'test -n "$API_TOKEN" # {len(secret)}']
    )
    with pytest.raises(InputError, match="the variable API_TOKEN"):
        land(folder)
    monkeypatch.setenv("API_TOKEN", secret)
    assert land(folder).complete
    kept = [path for path in folder.parents[1].rglob("*") if path.is_file()]
    assert not [path for path in kept if secret.encode() in path.read_bytes()]
