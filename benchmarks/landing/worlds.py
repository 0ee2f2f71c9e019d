"""Made-up repositories: any number of files, and branches of which some touch the same ones."""

from __future__ import annotations

import itertools
import random
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.landing.replay import git

LINES = 12
#: For ten edits of a branch: so many are in files that all prefer, and so many of these files there are.
HOT_EACH, HOT = 3, 60


def make_repository(folder: Path, files: int) -> Path:
    """A repository with one commit of `files` files of 12 lines, in folders of 50."""
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    _import(folder, _base(files))
    git(folder, "reset", "-q", "--hard", "main")
    return folder


def make_branches(
    repo: Path, files: int, branches: int, edits: int, *, apart: bool = False
) -> dict[str, str]:
    """Branches of one commit with `edits` edits each; commits by name.

    Of ten edits three are in files that all prefer, unless the branches are to be `apart`.
    """
    chance = random.Random(f"{files} {branches} {edits}")
    names = [f"{'apart' if apart else 'work'}{edits}-{number:02d}" for number in range(branches)]
    hot, hot_each = (0, 0) if apart else (HOT * edits // 10, HOT_EACH * edits // 10)
    alone = iter(chance.sample(range(hot, files), branches * (edits - hot_each)))
    commands: list[bytes] = []
    for number, branch in enumerate(names):
        chosen = [*chance.sample(range(hot), hot_each), *itertools.islice(alone, edits - hot_each)]
        commands += _commit(branch, number, [(file, chance.randrange(LINES)) for file in chosen])
    _import(repo, commands)
    return {branch: git(repo, "rev-parse", branch).stdout.strip() for branch in names}


def _path(number: int) -> str:
    return f"area{number // 2500}/part{number // 50 % 50}/file{number}.txt"


def _content(number: int, edited: int | None = None, by: str = "") -> bytes:
    lines = [f"file {number} line {line} of some text that is long enough" for line in range(LINES)]
    if edited is not None:
        lines[edited] = f"edited by {by}"
    return ("\n".join(lines) + "\n").encode()


def _base(files: int) -> Iterator[bytes]:
    yield b"commit refs/heads/main\ncommitter N <n@localhost> 1700000000 +0000\ndata 4\nbase\n"
    for number in range(files):
        yield _file(number, _content(number))


def _commit(branch: str, number: int, edits: Sequence[tuple[int, int]]) -> Iterator[bytes]:
    when = 1700000100 + number
    yield f"commit refs/heads/{branch}\ncommitter N <n@localhost> {when} +0000\ndata 4\nwork\n".encode()
    yield b"from refs/heads/main^0\n"
    for file, line in edits:
        yield _file(file, _content(file, line, branch))


def _file(number: int, content: bytes) -> bytes:
    return f"M 100644 inline {_path(number)}\ndata {len(content)}\n".encode() + content + b"\n"


def _import(repo: Path, commands: Iterator[bytes] | Sequence[bytes]) -> None:
    argv = ["git", "fast-import", "--quiet", "--force"]
    done = subprocess.run(argv, cwd=repo, input=b"".join(commands), capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.decode())
