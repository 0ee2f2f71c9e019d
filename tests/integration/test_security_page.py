"""The security page: every test it names is there, and the few claims that no other test shows."""

from __future__ import annotations

import ast
import asyncio
import re
import stat
from pathlib import Path

import psutil

from tests.integration.run_fixtures import make_repository, make_run, shell, task

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "security.md"
_NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def test_every_test_that_the_page_names_exists() -> None:
    named = _NAMED.findall(PAGE.read_text())
    assert len(named) >= 40
    for path, name in named:
        tree = ast.parse((ROOT / path).read_text())
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert name in functions, f"{path}::{name}"


def test_every_line_of_what_stops_each_names_a_test() -> None:
    _, _, text = PAGE.read_text().partition("## What stops each")
    rows = [line for line in text.partition("## Secrets")[0].splitlines() if line.startswith("| ")]
    claims = [row for row in rows if "shown by" not in row and not row.startswith(("|---", "| |"))]
    assert len(claims) >= 25
    assert [row for row in claims if not _NAMED.search(row)] == []


def test_a_run_listens_nowhere(tmp_path: Path) -> None:
    listening: list[object] = []

    def look(_: object) -> None:
        us = psutil.Process()
        for process in [us, *us.children(recursive=True)]:
            listening.extend(c for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN)

    made = make_run(make_repository(tmp_path / "repo"), [task("a", shell("sleep 0.2"))], look)
    (result,) = asyncio.run(made.execute())
    assert result.success
    assert listening == []


def test_what_is_kept_is_for_its_owner_only(tmp_path: Path, home: Path) -> None:
    made = make_run(make_repository(tmp_path / "repo"), [task("a", shell("echo hello"))])
    (result,) = asyncio.run(made.execute())
    assert result.success
    assert stat.S_IMODE(made.directory.stat().st_mode) == 0o700
    assert made.directory.is_relative_to(home)
