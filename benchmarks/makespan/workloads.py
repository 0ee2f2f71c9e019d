"""The work that is measured: the worker program, what it must print, and a repository to work in."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

#: 15 characters, so that the kernel's short name of the process is the whole name.
PROGRAM = "makespan-worker"
LINES = 20
FILES = 30
#: The seed's eight modules, in units.
MICROBLOG = (20, 20, 25, 25, 20, 20, 25, 20)

IDENTITY = ("-c", "user.name=Benchmark", "-c", "user.email=benchmark@localhost")

_C_SOURCE = f"""
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
static char buffer[8192];
int main(int argc, char **argv) {{
    if (argc < 3) return 2;
    double seconds = atof(argv[2]);
    struct timespec pause = {{(time_t)seconds, (long)((seconds - (time_t)seconds) * 1e9)}};
    setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    printf("begin %s\\n", argv[1]);
    for (int i = 1; i <= {LINES}; i++) printf("line %s %d\\n", argv[1], i);
    fflush(stdout);
    nanosleep(&pause, NULL);
    if (argc > 3) {{
        FILE *file = fopen(argv[3], "w");
        if (!file || fprintf(file, "%s\\n", argv[1]) < 0 || fclose(file)) return 1;
    }}
    printf("end %s\\n", argv[1]);
    return fflush(stdout) != 0;
}}
"""

_SHELL_SOURCE = f"""#!/bin/sh
echo "begin $1"
i=1
while [ $i -le {LINES} ]; do echo "line $1 $i"; i=$((i + 1)); done
/bin/sleep "$2"
[ -z "$3" ] || echo "$1" > "$3"
echo "end $1"
"""


def build_program(folder: Path) -> tuple[Path, str]:
    """Make the worker program and say what it is. Its arguments: id, seconds, perhaps a file to write."""
    program = folder / PROGRAM
    if shutil.which("cc") and _compiled(program):
        return program, "a static C program"
    program.write_text(_SHELL_SOURCE)
    program.chmod(0o755)
    return program, "a shell script around /bin/sleep (no cc that links statically)"


def _compiled(program: Path) -> bool:
    source = program.with_suffix(".c")
    source.write_text(_C_SOURCE)
    argv = ["cc", "-O1", "-static", "-o", str(program), str(source)]
    return subprocess.run(argv, check=False, capture_output=True, timeout=60).returncode == 0


def expected_lines(worker_id: str) -> set[bytes]:
    """Every line that one worker prints."""
    lines = {f"line {worker_id} {number}" for number in range(1, LINES + 1)}
    return {line.encode() for line in lines | {f"begin {worker_id}", f"end {worker_id}"}}


def lost_lines(worker_ids: Sequence[str], output: bytes) -> int:
    """Count the lines of these workers that are not in what was collected of them."""
    found = set(output.splitlines())
    return sum(len(expected_lines(worker_id) - found) for worker_id in worker_ids)


def worker_ids(count: int) -> list[str]:
    """Names of `count` workers."""
    return [f"w{number:04d}" for number in range(1, count + 1)]


def make_repository(folder: Path) -> None:
    """Make a small repository with one commit."""
    for number in range(FILES):
        file = folder / f"package_{number % 5}" / f"module_{number}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f'"""Module {number}."""\n\nVALUE = {number}\n' * 20)
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "base")


def lost_files(repo: Path, ids: Sequence[str]) -> int:
    """Count the workers whose file is on no branch named after them."""
    refs = git(repo, "for-each-ref", "--format=%(refname)", "refs/heads").split()
    branch_of = {ref.rpartition("/")[2]: ref for ref in refs}
    asked = "".join(f"{branch_of.get(name, 'refs/heads/none')}:{name}.txt\n" for name in ids)
    found = git(repo, "cat-file", "--batch-check", feed=asked).splitlines()
    return sum(line.endswith(" missing") for line in found)


def git(repo: Path, *argv: str, feed: str = "") -> str:
    """Run git in `repo`; it must succeed."""
    done = subprocess.run(
        ["git", *IDENTITY, *argv], cwd=repo, input=feed, check=True, capture_output=True, text=True
    )
    return done.stdout
