"""The review packet of real runs: what was asked, changed, checked; nothing in it formats itself."""

from __future__ import annotations

import asyncio
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from orchestrator.git.file_changes import FileChange, file_changes
from orchestrator.git.repository import open_repository
from orchestrator.journal.state import load_state
from orchestrator.report.review import build_review, review_order
from orchestrator.report.review_markdown import block, code, plain, render_review
from orchestrator.report.review_page import render_review_page
from orchestrator.report.risks import gravity, risks_of
from tests.integration.run_fixtures import git, make_repository, make_run, shell, task

EVIL = "</code></pre><script>alert(1)</script> [x](javascript:1) ![i](http://e/)"
EVIL += " ```\n# Heading\n\x1b[31mred\u202e"
RISKY = """
mkdir -p .github/workflows .husky src && echo on > .github/workflows/ci.yml && echo x > .husky/pre-commit
echo '{}' > package.json && echo '{}' > package-lock.json && printf '\\000\\001' > logo.png
echo a > src/a.py && echo 'run' > tool.sh && chmod +x tool.sh && ln -s /etc/passwd link
git rm -q old.txt && git mv -f moved.txt src/moved.txt && echo more >> README.md
printf '%s' "$EVIL"
"""


@pytest.fixture
def packet(tmp_path: Path) -> dict[str, Any]:
    repo = make_repository(tmp_path / "repo")
    (repo / "old.txt").write_text("old\n")
    (repo / "moved.txt").write_text("moved\n" * 20)
    git(repo, "add", ".")
    git(repo, "commit", "-qm", "more")
    tasks = [
        task("second", shell("echo b > b.txt && echo other > README.md"), needs=["first"], prompt="later"),
        task(
            "first",
            shell(RISKY),
            prompt=EVIL,
            env={"EVIL": EVIL},
            files=["src"],
            verify=["echo `x` | grep -q nothing; true", "test -f tool.sh"],
        ),
        task("third", shell("echo third > README.md")),
        task("never", shell("exit 3")),
    ]
    run = make_run(repo, tasks)
    asyncio.run(run.execute())
    return build_review(load_state(run.directory), run.directory)


def _worker(packet: dict[str, Any], worker_id: str) -> dict[str, Any]:
    return next(worker for worker in packet["workers"] if worker["worker_id"] == worker_id)


def test_risky_files_come_first_and_say_why(packet: dict[str, Any]) -> None:
    changes = _worker(packet, "first")["changes"]
    said = {change["path"]: change["risks"] for change in changes}
    assert [change["path"] for change in changes][:2] == [".github/workflows/ci.yml", ".husky/pre-commit"]
    assert said.pop(".github/workflows/ci.yml") == ["CI"]
    assert said.pop(".husky/pre-commit") == ["runs unasked: git, by husky"]
    assert said.pop("link") == ["symbolic link"]
    assert said.pop("tool.sh") == ["permissions: 000000 → 100755"]
    assert said.pop("package.json") == ["dependencies"]
    assert said.pop("package-lock.json") == ["lock file"]
    assert said.pop("old.txt") == ["deleted"]
    assert said.pop("logo.png") == ["binary"]
    assert said == {"README.md": [], "src/a.py": [], "src/moved.txt": []}
    assert next(c for c in changes if c["path"] == "src/moved.txt")["old_path"] == "moved.txt"
    assert {c["path"] for c in changes if not c["undeclared"]} == {"src/a.py", "src/moved.txt"}


def test_each_worker_s_work_is_its_own_in_the_order_of_merging(packet: dict[str, Any]) -> None:
    second = _worker(packet, "second")
    assert {change["path"] for change in second["changes"]} == {"b.txt", "README.md"}
    assert second["needs"] == ["first"]
    assert [pair["b"] if pair["a"] == "second" else pair["a"] for pair in second["conflicts"]] == ["third"]
    order = [worker["worker_id"] for worker in packet["workers"]]
    assert order.index("first") < order.index("second")
    assert sorted(order) == ["first", "never", "second", "third"]
    never = _worker(packet, "never")
    assert (never["status"], never["changes"], never["verify"]) == ("failed", [], None)


def test_landing_comes_before_the_merge_order() -> None:
    report = {
        "results": [{"worker_id": name} for name in "abcd"],
        "pending": [],
        "conflicts": {"order": ["c", "b", "a"]},
        "landing": {"landed": ["b"], "held": [{"worker_id": "a", "reason": "conflict"}]},
    }
    assert review_order(report) == ["b", "a", "c", "d"]


def test_markdown_that_nobody_else_wrote(packet: dict[str, Any]) -> None:
    text = render_review(packet)
    assert "\x1b" not in text and "\u202e" not in text
    outside = re.sub(r"(?ms)^(````+|```)text$.*?^\1$", "", text)  # without the fenced blocks
    assert [line for line in outside.splitlines() if line.startswith("# ")] == [text.splitlines()[0]]
    spans = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", outside)
    assert "<script" not in spans and "](" not in spans
    assert "| `.github/workflows/ci.yml` | +1 -0 | **CI**" in text
    assert "- exit 0" in text and "test -f tool.sh" in text


def test_the_page_is_escaped(packet: dict[str, Any]) -> None:
    page = render_review_page(packet)
    tags: set[str] = set()

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002
            tags.add(tag)

    Tags().feed(page)
    assert not tags & {"script", "img", "iframe", "object"}
    assert "&lt;script&gt;" in page and "\x1b" not in page and "\u202e" not in page
    assert ".github/workflows/ci.yml" in page


def test_what_a_deleted_branch_held_cannot_be_told(tmp_path: Path) -> None:
    repo = make_repository(tmp_path / "repo")
    run = make_run(repo, [task("one", shell("echo 1 > one.txt"))])
    asyncio.run(run.execute())
    git(repo, "branch", "-D", f"orchestrator/{run.run_id}/one")
    git(repo, "gc", "-q", "--prune=now")
    git(repo, "reflog", "expire", "--expire=now", "--all")
    git(repo, "gc", "-q", "--prune=now")
    packet = build_review(load_state(run.directory), run.directory)
    assert "its branch was deleted" in packet["workers"][0]["changes_unknown"]
    assert "Cannot be told" in render_review(packet) and "Cannot be told" in render_review_page(packet)
    (run.directory / "plan.json").unlink()
    assert build_review(load_state(run.directory), run.directory)["workers"][0]["prompt"] is None


def test_modes_submodules_and_odd_names(tmp_path: Path) -> None:
    repo = make_repository(tmp_path / "repo")
    start = git(repo, "rev-parse", "HEAD")
    odd = 'a\tb\n"c" `d`'
    (repo / odd).write_text("1\n2\n")
    (repo / "README.md").chmod(0o755)
    git(repo, "add", ".")
    git(repo, "update-index", "--add", "--cacheinfo", f"160000,{start},vendored")
    git(repo, "commit", "-qm", "odd")
    shield = open_repository(repo).scratch(tmp_path / "scratch", head=start)
    changes = {change.path: change for change in file_changes(shield, start, git(repo, "rev-parse", "HEAD"))}
    assert (changes[odd].added, changes[odd].removed) == (2, 0)
    assert risks_of(changes["README.md"]) == ("permissions: 100644 → 100755",)
    assert risks_of(changes["vendored"]) == ("submodule",)
    assert code(odd) == '`` a b "c" `d` ``'
    assert plain("a*b_<i>") == r"a\*b\_\<i\>"
    assert block("````\nx") == ["`````text", "````", "x", "`````"]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (".gitlab-ci.yml", "CI"),
        ("sub/.claude/settings.json", "runs unasked: Claude Code"),
        ("docs/AGENTS.md", "orders to agents"),
        (".gitattributes", "git's own rules"),
        ("requirements/dev.txt", "dependencies"),
        ("x/Cargo.lock", "lock file"),
        ("src/ci.yml", ""),
    ],
)
def test_names_that_ask_for_a_look(path: str, reason: str) -> None:
    change = FileChange(
        path=path, old_path=None, status="M", old_mode="100644", new_mode="100644", added=1, removed=1
    )
    assert (risks_of(change) or ("",))[0] == reason
    assert (gravity(change) < 11) == bool(reason)
